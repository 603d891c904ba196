package persist

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"
)

// stall keeps the committer in the middle of a commit, of the key "stalled" alone, until the function it returns is
// called or the test ends. What is queued meanwhile waits.
func stall(t *testing.T, b *Bolt) (goOn func()) {
	t.Helper()
	entered, leave := make(chan struct{}), make(chan struct{})
	commit := commitTx
	commitTx = func(tx *bolt.Tx) error { // the committer sees it: what it takes next was sent after this
		close(entered)
		<-leave
		commitTx = commit
		return commit(tx)
	}
	b.committer.ops <- newOp(opPut, "stalled", "v")
	<-entered
	goOn = sync.OnceFunc(func() { close(leave) })
	t.Cleanup(goOn)
	return goOn
}

func newOp(kind opKind, key, value string) *op {
	o := &op{kind: kind, key: []byte(key), done: make(chan struct{})}
	if kind != opDelete {
		o.record = encodeRecord([]byte(value), never)
	}
	return o
}

func queued(t *testing.T, b *Bolt, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return len(b.committer.ops) == n }, 10*time.Second, time.Millisecond)
}

// Five hundred callers share one transaction, and so one fsync.
func TestCommitterJoinsWhatWaits(t *testing.T) {
	b := openBolt(t, tempPath(t))
	before := b.txid(t)
	goOn := stall(t, b)
	const callers = 500
	results := make(chan error, callers)
	for i := range callers {
		go func() { results <- b.Put(context.Background(), fmt.Sprint(i), nil, time.Time{}) }() // the test receives from each
	}
	queued(t, b, callers)
	goOn()
	for range callers {
		require.NoError(t, <-results)
	}
	assert.Equal(t, before+2, b.txid(t), "one transaction for the first write, one for all that came meanwhile")
	assert.Equal(t, callers+1, b.Entries(t))
}

func TestCommitterLimitsABatch(t *testing.T) {
	b := openBolt(t, tempPath(t))
	before := b.txid(t)
	goOn := stall(t, b)
	const large = 2*maxBatchBytes/MaxValue + 1 // three batches by their bytes
	var last *op
	for i := range large {
		last = newOp(opPut, fmt.Sprint(i), string(make([]byte, MaxValue)))
		b.committer.ops <- last
	}
	goOn()
	<-last.done
	assert.Equal(t, before+1+3, b.txid(t))
}

// A lone caller waits for its transaction and for nothing else: no time passes.
func TestCommitterDoesNotWaitForMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openBolt(t, tempPath(t))
		start, before := time.Now(), b.txid(t)
		for i := range 20 {
			require.NoError(t, b.Put(t.Context(), fmt.Sprint(i), nil, time.Time{}))
		}
		assert.Zero(t, time.Since(start))
		assert.Equal(t, before+20, b.txid(t))
	})
}

// Writes that change nothing cost no fsync.
func TestCommitterSkipsWhatChangesNothing(t *testing.T) {
	b := openBolt(t, tempPath(t))
	ctx := t.Context()
	require.NoError(t, b.Put(ctx, "k", nil, time.Time{}))
	before := b.txid(t)
	require.ErrorIs(t, b.Add(ctx, "k", nil, time.Time{}), ErrExists)
	require.NoError(t, b.Delete(ctx, "absent"))
	assert.Equal(t, before, b.txid(t))
}

// In one batch the operations happen one after the other, and one that fails alone does so alone.
func TestCommitterKeepsTheOrder(t *testing.T) {
	b := openBolt(t, tempPath(t))
	before := b.txid(t)
	goOn := stall(t, b)
	steps := []struct {
		*op
		want error
	}{
		{newOp(opAdd, "k", "1"), nil},
		{newOp(opAdd, "k", "2"), ErrExists},
		{newOp(opDelete, "k", ""), nil},
		{newOp(opDelete, "k", ""), nil},
		{newOp(opAdd, "k", "3"), nil},
		{newOp(opPut, "k", "4"), nil},
		{newOp(opAdd, "k", "5"), ErrExists},
		{newOp(opPut, "other", "6"), nil},
	}
	for _, s := range steps {
		b.committer.ops <- s.op
	}
	goOn()
	for i, s := range steps {
		<-s.done
		assert.Equal(t, s.want, s.err, "step %d", i)
	}
	assert.Equal(t, before+2, b.txid(t))
	for key, want := range map[string]string{"k": "4", "other": "6"} {
		got, err := b.Get(t.Context(), key)
		require.NoError(t, err)
		assert.Equal(t, want, string(got))
	}
}

// A caller whose context ends is released at once. While it waits for a place in the queue nothing has happened; after
// that it is told that it cannot know.
func TestCommitterContext(t *testing.T) {
	b := openBolt(t, tempPath(t))
	goOn := stall(t, b)

	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- b.Put(ctx, "waiting", nil, time.Time{}) }() // ended by cancel
	queued(t, b, 1)
	cancel()
	err := <-result
	require.ErrorIs(t, err, context.Canceled)
	assert.ErrorContains(t, err, "may or may not have happened")

	for i := len(b.committer.ops); i < maxWaiting; i++ {
		b.committer.ops <- newOp(opDelete, "absent", "")
	}
	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err = b.Put(ctx, "no place", nil, time.Time{})
	require.Equal(t, context.DeadlineExceeded, err)

	goOn()
	require.NoError(t, b.Put(t.Context(), "behind them", nil, time.Time{}))
	_, err = b.Get(t.Context(), "no place")
	require.ErrorIs(t, err, ErrNotFound)
}

// Close commits what was accepted before.
func TestCommitterDrains(t *testing.T) {
	b := openBolt(t, tempPath(t))
	goOn := stall(t, b)
	const callers = 1000
	results := make(chan error, callers)
	for i := range callers {
		go func() { results <- b.Put(context.Background(), fmt.Sprint(i), nil, time.Time{}) }() // ended by Close
	}
	queued(t, b, callers)
	closed := make(chan error, 1)
	go func() { closed <- b.Close() }() // ended by goOn
	require.Eventually(t, b.committer.closing, 10*time.Second, time.Millisecond)
	goOn()
	for range callers {
		require.NoError(t, <-results)
	}
	require.NoError(t, <-closed)
	again := openBolt(t, b.path)
	assert.Equal(t, callers+1, again.Entries(t))
}

func failCommits(t *testing.T, commit func(*bolt.Tx) error) {
	before := commitTx
	commitTx = commit
	t.Cleanup(func() { commitTx = before })
}

// When a transaction fails, all its writes get the error, also the one that had found a key there: it may have been of
// the same transaction. The next transaction works again.
func TestCommitterFailsTogether(t *testing.T) {
	cause := errors.New("no space left on device")
	fail := false
	failCommits(t, func(tx *bolt.Tx) error {
		if fail {
			return errors.Join(cause, tx.Rollback())
		}
		return tx.Commit()
	})
	b := openBolt(t, tempPath(t))
	goOn := stall(t, b)
	first, second := newOp(opAdd, "k", "1"), newOp(opAdd, "k", "2")
	b.committer.ops <- first
	b.committer.ops <- second
	fail = true // seen by the committer, which waits for goOn
	goOn()
	for _, o := range []*op{first, second} {
		<-o.done
		require.ErrorIs(t, o.err, ErrUnavailable)
		require.ErrorIs(t, o.err, cause)
	}
	_, err := b.Get(t.Context(), "k")
	require.ErrorIs(t, err, ErrNotFound)

	fail = false // the committer sees it: what it takes next was sent after this
	require.NoError(t, b.Add(t.Context(), "k", nil, time.Time{}))
}

// When the very last step of a commit fails, the outcome is unknown, and the store writes no more until it has been
// opened again.
func TestCommitterStopsWhenUnsure(t *testing.T) {
	cause := errors.New("input/output error")
	path := tempPath(t)
	b, err := Open(path)
	require.NoError(t, err)
	failCommits(t, func(tx *bolt.Tx) error { return errors.Join(tx.Commit(), cause) })
	ctx := t.Context()
	for range 3 {
		err := b.Put(ctx, "k", nil, time.Time{})
		require.ErrorIs(t, err, ErrUnavailable)
		require.ErrorIs(t, err, cause)
		require.ErrorContains(t, err, "may or may not have happened")
	}
	commitTx = (*bolt.Tx).Commit
	require.ErrorIs(t, b.Put(ctx, "other", nil, time.Time{}), cause)
	_, err = b.Get(ctx, "k")
	require.NoError(t, err, "reads go on")
	require.NoError(t, b.Close())
	again := openBolt(t, path)
	require.NoError(t, again.Put(ctx, "other", nil, time.Time{}))
}

// What is in the queue when quit is closed is committed, whichever of the two is seen first.
func TestCommitterRunDrains(t *testing.T) {
	for range 50 {
		committed := 0
		c := newCommitter(func(batch []*op) error {
			committed += len(batch)
			return nil
		}, func() bool { return false })
		for range 10 {
			c.ops <- newOp(opPut, "k", "v")
		}
		close(c.quit)
		c.run()
		require.Equal(t, 10, committed)
	}
}

// A write that slips into the queue after the committer has gone is told so.
func TestCommitterTooLate(t *testing.T) {
	c := newCommitter(nil, nil)
	close(c.finished)
	require.ErrorIs(t, c.do(t.Context(), newOp(opPut, "k", "v")), ErrClosed)
}

// After bbolt has panicked nothing enters it any more, because it may hold its own locks; and Close returns.
func TestCommitterAfterAPanic(t *testing.T) {
	b, err := Open(tempPath(t))
	require.NoError(t, err)
	failCommits(t, func(*bolt.Tx) error { panic("page 7 is not where it should be") })
	err = b.Put(t.Context(), "k", nil, time.Time{})
	require.ErrorIs(t, err, ErrCorrupt)
	require.ErrorContains(t, err, "page 7")
	_, err = b.Get(t.Context(), "k")
	require.ErrorIs(t, err, ErrCorrupt)
	require.NoError(t, b.Close())
	require.ErrorIs(t, b.Put(t.Context(), "k", nil, time.Time{}), ErrClosed)
}
