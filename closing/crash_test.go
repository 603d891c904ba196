package closing

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/lastevent/sse/persist"
)

// The child of the crash test is the test binary itself, with the path of the store in this variable.
const crashEnv = "CLOSING_TEST_CRASH"

// The rounds of the crash test; CRASH_ROUNDS in the environment asks for more.
const (
	crashRounds      = 40
	crashRoundsShort = 5
)

func TestMain(m *testing.M) {
	if path := os.Getenv(crashEnv); path != "" {
		fmt.Println(closeUntilKilled(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// closeUntilKilled closes addresses from several goroutines, and prints each one only after Close has returned nil.
// It returns only when something is wrong.
func closeUntilKilled(path string) error {
	store, err := persist.Open(path)
	if err != nil {
		return err
	}
	fmt.Println("open")
	l := NewLedger(store, 24*time.Hour)
	failed := make(chan error)
	for g := range 8 {
		go func() { // ends with the process
			for i := 0; ; i++ {
				address := fmt.Sprintf("%d.%d.%d", os.Getpid(), g, i)
				if err := l.Close(context.Background(), address); err != nil {
					failed <- err
					return
				}
				// One write per line: a kill leaves whole lines, and part of one at most.
				os.Stdout.WriteString("closed " + address + "\n")
			}
		}()
	}
	return <-failed
}

// The invariants, over any number of crashes:
//
//   - an address whose Close returned nil, in whatever round, is closed in all later ones;
//   - the store opens after every crash, and its file is sound in bbolt's eyes.
func TestCrash(t *testing.T) {
	rounds := crashRounds
	if testing.Short() {
		rounds = crashRoundsShort
	}
	if text := os.Getenv("CRASH_ROUNDS"); text != "" {
		var err error
		rounds, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	path := filepath.Join(t.TempDir(), "sse.db")
	var acknowledged []string
	for round := range rounds {
		acknowledged = append(acknowledged, crash(t, path, time.Duration(rand.IntN(80_000))*time.Microsecond)...)

		store, err := persist.Open(path)
		require.NoError(t, err, "round %d", round)
		l := NewLedger(store, 24*time.Hour)
		for _, address := range acknowledged {
			closed, err := l.Closed(t.Context(), address)
			require.NoError(t, err, "round %d", round)
			require.True(t, closed, "round %d: %s was closed, and is not", round, address)
		}
		require.NoError(t, store.Close())
		requireSound(t, path)
	}
	require.NotEmpty(t, acknowledged)
	t.Logf("%d addresses in %d rounds", len(acknowledged), rounds)
}

// crash starts the child, kills it some time after it has opened the store, and returns what it had acknowledged.
func crash(t *testing.T, path string, after time.Duration) (acknowledged []string) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), crashEnv+"="+path)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	defer child.Wait()
	defer child.Process.Kill()

	lines := bufio.NewReader(out)
	first, _ := lines.ReadString('\n')
	require.Equal(t, "open\n", first)
	time.AfterFunc(after, func() { child.Process.Kill() })
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return acknowledged // the pipe ended with the child
		}
		address, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "closed ")
		require.True(t, ok, "the child says: %s", line)
		acknowledged = append(acknowledged, address)
	}
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
