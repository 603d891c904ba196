package persist

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// While as many entries expire as are written, there are never more than lived at one time, and a few.
func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		for i := range 20_000 {
			time.Sleep(time.Millisecond)
			require.NoError(t, m.Put(t.Context(), fmt.Sprint(i), nil, time.Now().Add(time.Second)))
			require.LessOrEqual(t, m.Entries(), 1001)
		}
	})
}

// Whatever is replaced and deleted, the heap holds exactly the entries that expire.
func TestMemoryHeap(t *testing.T) {
	m := NewMemory()
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		key := fmt.Sprint(rnd.IntN(50))
		end := time.Now().Add(time.Duration(rnd.IntN(3)-1) * time.Duration(rnd.IntN(int(time.Hour))))
		switch rnd.IntN(4) {
		case 0:
			require.NoError(t, m.Delete(t.Context(), key))
		case 1:
			end = time.Time{}
			fallthrough
		default:
			require.NoError(t, m.Put(t.Context(), key, nil, end))
		}
		m.Entries() // panics if they differ
	}
}

func TestMemoryKeys(t *testing.T) {
	a, b := NewMemory(), NewMemory()
	ofA, err := a.Keys()
	require.NoError(t, err)
	ofB, err := b.Keys()
	require.NoError(t, err)
	require.Len(t, ofA, 1)
	assert.Len(t, ofA[0], newKeyLen)
	assert.NotEqual(t, ofA, ofB)
	clear(ofB[0])
	again, err := b.Keys()
	require.NoError(t, err)
	assert.NotEqual(t, ofB, again, "what is returned is the caller's")
}
