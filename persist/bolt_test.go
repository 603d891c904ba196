package persist

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOpenMakesWhatIsMissing(t *testing.T) {
	top := t.TempDir()
	path := filepath.Join(top, "a", "b", "sse.db")
	openBolt(t, path)
	for name, mode := range map[string]os.FileMode{
		filepath.Join(top, "a"):      0o700 | os.ModeDir,
		filepath.Join(top, "a", "b"): 0o700 | os.ModeDir,
		path:                         0o600,
	} {
		info, err := os.Stat(name)
		require.NoError(t, err)
		if runtime.GOOS != "windows" {
			assert.Equal(t, mode, info.Mode(), name)
		}
	}
	names, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	assert.Len(t, names, 1, "nothing is left beside the file")
}

// What a process left that was killed while it made the file goes, unless it may still be at it.
func TestOpenSweepsWhatWasLeft(t *testing.T) {
	path := tempPath(t)
	dir := filepath.Dir(path)
	old, young := filepath.Join(dir, ".sse-new-1"), filepath.Join(dir, ".sse-new-2")
	require.NoError(t, os.Mkdir(old, 0o700))
	require.NoError(t, os.Mkdir(young, 0o700))
	past := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(old, past, past))
	openBolt(t, path)
	assert.NoDirExists(t, old)
	assert.DirExists(t, young)
}

func TestOpenEmptyFile(t *testing.T) {
	t.Run("a regular one", func(t *testing.T) {
		path := tempPath(t)
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		b := openBolt(t, path)
		require.NoError(t, b.Put(t.Context(), "k", nil, time.Time{}))
	})
	t.Run("behind a link, which stays one", func(t *testing.T) {
		dir := t.TempDir()
		target, link := filepath.Join(dir, "target.db"), filepath.Join(dir, "link.db")
		require.NoError(t, os.Symlink(target, link))
		b := openBolt(t, link)
		require.NoError(t, b.Put(t.Context(), "k", nil, time.Time{}))
		info, err := os.Lstat(link)
		require.NoError(t, err)
		assert.NotZero(t, info.Mode()&os.ModeSymlink)
		requireNonEmpty(t, target)
	})
}

func requireNonEmpty(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.NotZero(t, info.Size())
}

// The file is made while other opens of the same path run: one wins, the others find it in use, and no two have it.
func TestOpenRace(t *testing.T) {
	path := tempPath(t)
	const openers = 8
	results := make(chan *Bolt, openers)
	for range openers {
		go func() { // ends with Open; the test receives from each
			b, err := Open(path)
			if err != nil {
				assert.ErrorIs(t, err, ErrLocked)
			}
			results <- b
		}()
	}
	var winners []*Bolt
	for range openers {
		if b := <-results; b != nil {
			winners = append(winners, b)
		}
	}
	require.Len(t, winners, 1)
	require.NoError(t, winners[0].Close())
	requireSound(t, path)
}

// A goroutine that outlived Close would fail the bubble.
func TestCloseLeavesNoGoroutine(t *testing.T) {
	path := tempPath(t)
	synctest.Test(t, func(t *testing.T) {
		for range 3 {
			b, err := Open(path)
			require.NoError(t, err)
			for range 10 {
				go b.Put(t.Context(), "k", []byte("v"), time.Now().Add(time.Millisecond)) // ends with the write
			}
			time.Sleep(time.Second)
			require.NoError(t, b.Close())
		}
	})
	requireSound(t, path)
}

func TestGetExpiresToTheNanosecond(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) Store{
		"bolt":   func(t *testing.T) Store { return openBolt(t, tempPath(t)) },
		"memory": func(t *testing.T) Store { return NewMemory() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t)
				ctx := t.Context()
				end := time.Now().Add(time.Hour)
				require.NoError(t, s.Put(ctx, "k", nil, end))
				time.Sleep(time.Hour - 1)
				_, err := s.Get(ctx, "k")
				require.NoError(t, err)
				require.ErrorIs(t, s.Add(ctx, "k", nil, end), ErrExists)
				time.Sleep(time.Nanosecond)
				_, err = s.Get(ctx, "k")
				require.ErrorIs(t, err, ErrNotFound)
				require.NoError(t, s.Add(ctx, "k", nil, time.Time{}))
				require.NoError(t, s.Close())
			})
		})
	}
}

// The file grows and is mapped anew, again and again, among reads that begin and end.
func TestReadsWhileTheFileGrows(t *testing.T) {
	b := openBolt(t, tempPath(t))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	require.NoError(t, b.Put(ctx, "k", []byte("v"), time.Time{}))
	var wait sync.WaitGroup
	for range 16 {
		wait.Go(func() { // ended by cancel
			for ctx.Err() == nil {
				if _, err := b.Get(ctx, "k"); err != nil && ctx.Err() == nil {
					t.Errorf("Get: %v", err)
					return
				}
			}
		})
	}
	for i := range 300 {
		require.NoError(t, b.Put(ctx, fmt.Sprint(i), make([]byte, MaxValue), time.Time{}))
	}
	cancel()
	wait.Wait()

	// And the same with Close in place of a new mapping.
	for range 8 {
		wait.Go(func() { // ended by Close
			for {
				if _, err := b.Get(t.Context(), "k"); err != nil {
					assert.ErrorIs(t, err, ErrClosed)
					return
				}
			}
		})
	}
	time.Sleep(5 * time.Millisecond)
	require.NoError(t, b.Close())
	wait.Wait()
}

// That power may fail cannot be tested here. What can: that nothing has told bbolt not to wait for the disk.
func TestSyncsEveryCommit(t *testing.T) {
	b := openBolt(t, tempPath(t))
	assert.False(t, b.db.NoSync)
	assert.False(t, b.db.NoGrowSync)
	assert.False(t, b.db.NoFreelistSync)
}
