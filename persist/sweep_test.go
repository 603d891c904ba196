package persist

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fill writes n entries in few transactions.
func fill(t *testing.T, b *Bolt, n int, expires time.Time) {
	t.Helper()
	var last *op
	for i := range n {
		key := fmt.Sprintf("filled/%d", i)
		last = &op{key: []byte(key), expires: instantOf(expires), done: make(chan struct{})}
		last.record = encodeRecord(nil, last.expires)
		b.committer.ops <- last
	}
	<-last.done
	require.NoError(t, last.err)
}

func TestSweepEveryMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openBolt(t, tempPath(t))
		fill(t, b, 3*sweepKeys+1, time.Now().Add(time.Second))
		require.NoError(t, b.Put(t.Context(), "kept", nil, time.Now().Add(time.Hour)))
		before := b.txid(t)

		time.Sleep(sweepEvery - 1)
		synctest.Wait()
		require.Equal(t, 3*sweepKeys+2, b.Entries(t))
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.Equal(t, 1, b.Entries(t))
		assert.Equal(t, before+4, b.txid(t), "in transactions of limited size")

		time.Sleep(30 * time.Minute)
		synctest.Wait()
		assert.Equal(t, before+4, b.txid(t), "with nothing to do there is no transaction")
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Zero(t, b.Entries(t))
	})
}

func TestSweepAfterOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := tempPath(t)
		b := openBolt(t, path)
		fill(t, b, 2*sweepKeys, time.Now().Add(time.Second))
		require.NoError(t, b.Close())
		time.Sleep(time.Hour)
		again := openBolt(t, path)
		synctest.Wait()
		require.Zero(t, again.Entries(t))
	})
}

// Between two steps of a sweep there is a turn for the writes that wait.
func TestSweepLetsWritesPass(t *testing.T) {
	var log []string
	var c *committer
	steps := 4
	commit := func([]*op) error {
		log = append(log, "commit")
		return nil
	}
	sweep := func() (more bool) {
		log = append(log, "sweep")
		if steps--; steps > 1 {
			c.ops <- newOp(opPut, "came meanwhile", "v")
		}
		if steps == 0 {
			close(c.quit)
		}
		return steps > 0
	}
	c = newCommitter(commit, sweep)
	c.ops <- newOp(opPut, "first", "v")
	c.run()
	assert.Equal(t, []string{"commit", "sweep", "commit", "sweep", "commit", "sweep", "sweep"}, log)
}
