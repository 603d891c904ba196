//go:build linux || darwin

package persist

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// fillDisk is a child for which files have a limit: writes beyond it fail, as on a full disk. It reports what is wrong,
// or "fine".
func fillDisk(path string) {
	signal.Ignore(syscall.SIGXFSZ)
	if err := tryFullDisk(path); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("fine")
}

func tryFullDisk(path string) error {
	ctx := context.Background()
	b, err := Open(path)
	if err != nil {
		return err
	}
	value := make([]byte, 10_000)
	put := func(key string) error { return b.Put(ctx, key, value, time.Now().Add(time.Hour)) }
	has := func(key string) bool {
		_, err := b.Get(ctx, key)
		return err == nil
	}

	if err := put("before"); err != nil {
		return err
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	lifted := limit.Cur
	for round := range 3 {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		limit.Cur = uint64(info.Size())
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
			return err
		}
		var there, refused []string
		for i := 0; len(refused) < 20; i++ {
			if i == 100_000 {
				return errors.New("no write failed")
			}
			key := fmt.Sprintf("%d/%d", round, i)
			switch err := put(key); {
			case err == nil:
				there = append(there, key)
			case !errors.Is(err, ErrUnavailable):
				return fmt.Errorf("a write returned: %w", err)
			case !has("before"):
				return errors.New("reading no longer works")
			default:
				refused = append(refused, key)
			}
		}
		limit.Cur = lifted
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
			return err
		}
		for _, key := range refused {
			if has(key) {
				return fmt.Errorf("%s was refused and is there", key)
			}
			if err := put(key); err != nil {
				return fmt.Errorf("after the limit was lifted: %w", err)
			}
			there = append(there, key)
		}
		for _, key := range there {
			if !has(key) {
				return fmt.Errorf("%s was written and is gone", key)
			}
		}
	}
	return b.Close()
}

func TestFullDisk(t *testing.T) {
	path := tempPath(t)
	require.Equal(t, "fine", startChild(t, "full", path).out.Text())
	requireSound(t, path)
}

func init() { children["full"] = fillDisk }

// What is not a regular file is refused before anything is done to it.
func TestPipe(t *testing.T) {
	path := tempPath(t)
	require.NoError(t, unix.Mkfifo(path, 0o600))
	_, err := Open(path)
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorContains(t, err, "not a regular file")
	info, err := os.Lstat(path)
	require.NoError(t, err)
	require.NotZero(t, info.Mode()&os.ModeNamedPipe)
}
