package closing

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lastevent/sse/persist"
)

func TestLedger(t *testing.T) {
	l := NewLedger(persist.NewMemory(), time.Hour)
	ctx := t.Context()
	requireClosed := func(address string, want bool) {
		t.Helper()
		got, err := l.Closed(ctx, address)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	requireClosed("AAAAAAAAAAAAAAAA", false)
	require.NoError(t, l.Close(ctx, "AAAAAAAAAAAAAAAA"))
	requireClosed("AAAAAAAAAAAAAAAA", true)
	requireClosed("AAAAAAAAAAAAAAAB", false)
	requireClosed("AAAAAAAAAAAAAAA", false)
	requireClosed("", false)
	// The ledger does not toggle.
	for range 3 {
		require.NoError(t, l.Close(ctx, "AAAAAAAAAAAAAAAA"))
		requireClosed("AAAAAAAAAAAAAAAA", true)
	}
}

// An entry lives one lifetime from the last close.
func TestLedgerLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := persist.Open(filepath.Join(t.TempDir(), "sse.db"))
		require.NoError(t, err)
		defer store.Close()
		l := NewLedger(store, 24*time.Hour)
		ctx := t.Context()
		require.NoError(t, l.Close(ctx, "a"))
		time.Sleep(23 * time.Hour)
		require.NoError(t, l.Close(ctx, "a"))
		time.Sleep(24*time.Hour - 1)
		closed, err := l.Closed(ctx, "a")
		require.NoError(t, err)
		require.True(t, closed)
		time.Sleep(time.Nanosecond)
		closed, err = l.Closed(ctx, "a")
		require.NoError(t, err)
		require.False(t, closed)
	})
}

func TestLedgerValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // in which time begins at midnight UTC 2000-01-01
		store := persist.NewMemory()
		require.NoError(t, NewLedger(store, time.Hour).Close(t.Context(), "a"))
		value, err := store.Get(t.Context(), "closed/a")
		require.NoError(t, err)
		require.Equal(t, "946684800", string(value))
	})
}

func TestLedgerFromManyGoroutines(t *testing.T) {
	l := NewLedger(persist.NewMemory(), time.Hour)
	var wait sync.WaitGroup
	for range 32 {
		wait.Go(func() {
			assert.NoError(t, l.Close(t.Context(), "a"))
			closed, err := l.Closed(t.Context(), "a")
			assert.NoError(t, err)
			assert.True(t, closed)
		})
	}
	wait.Wait()
}

// What the store cannot say, the ledger does not guess.
func TestLedgerErrors(t *testing.T) {
	store := persist.NewMemory()
	l := NewLedger(store, time.Hour)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := l.Closed(canceled, "a")
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, l.Close(canceled, "a"), context.Canceled)
	require.ErrorIs(t, l.Close(t.Context(), string(make([]byte, persist.MaxKey))), persist.ErrKey)
	require.NoError(t, store.Close())
	_, err = l.Closed(t.Context(), "a")
	require.ErrorIs(t, err, persist.ErrClosed)
	require.ErrorIs(t, l.Close(t.Context(), "a"), persist.ErrClosed)
}
