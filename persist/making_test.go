package persist

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// makeStore is a child that makes a store, and its keys, and says so; it is killed in the middle of it.
func makeStore(path string) {
	fmt.Println("begin")
	b, err := Open(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	keys, err := b.Keys()
	fmt.Println("made", keys, err)
	select {}
}

// A process that is killed while it makes the store leaves nothing that keeps the next one from making it; and keys that
// were once returned are the keys for good.
func TestKilledWhileMaking(t *testing.T) {
	rounds := 60
	if testing.Short() {
		rounds = 10
	}
	for round := range rounds {
		path := tempPath(t)
		child := startChild(t, "make", path)
		time.Sleep(time.Duration(rand.IntN(4_000)) * time.Microsecond)
		require.NoError(t, child.Process.Kill())
		made := ""
		if child.out.Scan() {
			made = child.out.Text()
		}
		child.Wait()

		b, err := Open(path)
		require.NoError(t, err, "round %d", round)
		keys, err := b.Keys()
		require.NoError(t, err, "round %d", round)
		if made != "" {
			require.Equal(t, made, fmt.Sprint("made ", keys, " ", err), "round %d", round)
		}
		require.NoError(t, b.Close())
		requireSound(t, path)
	}
}
