package persist

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// holdStore is a child that has the store open until its standard input ends.
func holdStore(path string) {
	b, err := Open(path)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("open")
	os.Stdin.Read(make([]byte, 1))
	b.Close()
}

func TestLockedByAnotherProcess(t *testing.T) {
	path := tempPath(t)
	child := startChild(t, "hold", path)
	require.Equal(t, "open", child.out.Text())

	_, err := Open(path)
	require.ErrorIs(t, err, ErrLocked)
	assert.ErrorContains(t, err, path)
	assert.ErrorContains(t, err, "stop it, or give this program a file of its own")
	if runtime.GOOS == "linux" {
		assert.ErrorContains(t, err, fmt.Sprintf("process %d (%.15s)", child.Process.Pid, filepath.Base(os.Args[0])))
	}

	// One that goes within the second is waited for.
	time.AfterFunc(lockWait/4, func() { child.in.Close() })
	b := openBolt(t, path)
	require.NoError(t, b.Put(t.Context(), "k", nil, time.Time{}))
}

func TestLockedByThisProcess(t *testing.T) {
	b := openBolt(t, tempPath(t))
	_, err := Open(b.path)
	require.ErrorIs(t, err, ErrLocked)
	if runtime.GOOS == "linux" {
		assert.ErrorContains(t, err, fmt.Sprintf("this process (%d)", os.Getpid()))
	}
}
