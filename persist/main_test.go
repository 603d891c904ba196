package persist

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"
)

// Some tests need another process: one that can be killed, that holds a lock, that has a limit of its own. The test
// binary runs itself for that, with the name of a child in its environment.
const childEnv = "PERSIST_TEST_CHILD"

var children = map[string]func(path string){
	"hold": holdStore,
	"make": makeStore,
}

func TestMain(m *testing.M) {
	if child, ok := children[os.Getenv(childEnv)]; ok {
		child(os.Args[1])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// A childProcess is the test binary as a child.
type childProcess struct {
	*exec.Cmd
	in  io.Closer
	out *bufio.Scanner
}

// startChild starts a child and waits for its first line. The child is gone at the end of the test.
func startChild(t *testing.T, name, path string) *childProcess {
	t.Helper()
	cmd := exec.Command(os.Args[0], path)
	cmd.Env = append(os.Environ(), childEnv+"="+name)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	c := &childProcess{cmd, in, bufio.NewScanner(out)}
	require.True(t, c.out.Scan(), "the child said nothing")
	return c
}

// openBolt opens the store at path. At the end of the test it is closed, and the file must be sound, in bbolt's eyes.
func openBolt(t *testing.T, path string) *Bolt {
	t.Helper()
	b, err := Open(path)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, b.Close())
		requireSound(t, path)
	})
	return b
}

func requireSound(t *testing.T, path string) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second})
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.View(func(tx *bolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("bbolt's check: %v", err)
		}
		return nil
	}))
}

func tempPath(t *testing.T) string { return filepath.Join(t.TempDir(), "sse.db") }

// Entries counts what the file holds, with what has expired; the index must agree.
func (b *Bolt) Entries(t *testing.T) (records int) {
	t.Helper()
	expiring, indexed := 0, 0
	require.NoError(t, b.view(func(tx *bolt.Tx) error {
		tx.Bucket(expiryBucket).ForEach(func(k, _ []byte) error {
			indexed++
			return nil
		})
		return tx.Bucket(recordsBucket).ForEach(func(_, rec []byte) error {
			records++
			if _, expires := decodeRecord(rec); expires != never {
				expiring++
			}
			return nil
		})
	}))
	require.Equal(t, expiring, indexed, "entries in the expiry index")
	return records
}

// txid is the number of the last transaction. Each that changes something costs an fsync.
func (b *Bolt) txid(t *testing.T) (id int) {
	t.Helper()
	require.NoError(t, b.view(func(tx *bolt.Tx) error {
		id = tx.ID()
		return nil
	}))
	return id
}

// Entries counts what the store holds, with what has expired; the heap must agree.
func (m *Memory) Entries() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	expiring := 0
	for _, e := range m.entries {
		if e.expires != never {
			expiring++
		}
	}
	if expiring != len(m.expiry) {
		panic("the heap holds entries that are gone")
	}
	return len(m.entries)
}
