package persist_test

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lastevent/sse/persist"
	"github.com/lastevent/sse/persist/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Run(t, func(t *testing.T) persist.Store { return persist.NewMemory() })
}

func TestBolt(t *testing.T) {
	open := func(t *testing.T, dir string) persist.Store {
		s, err := persist.Open(filepath.Join(dir, "sse.db"))
		require.NoError(t, err)
		return s
	}
	storetest.Run(t, func(t *testing.T) persist.Store { return open(t, t.TempDir()) })
	storetest.RunDurable(t, open)
}

func TestMemoryReclaims(t *testing.T) {
	s := persist.NewMemory()
	storetest.RunReclaim(t, s, s.Entries, func() {
		require.NoError(t, s.Delete(t.Context(), "whatever is written next"))
	})
	require.NoError(t, s.Close())
}

func TestBoltReclaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := persist.Open(filepath.Join(t.TempDir(), "sse.db"))
		require.NoError(t, err)
		storetest.RunReclaim(t, s, func() int { return s.Entries(t) }, func() { time.Sleep(time.Minute) })
		require.NoError(t, s.Close())
	})
}
