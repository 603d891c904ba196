package sse_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lastevent/sse"
	"github.com/lastevent/sse/persist"
)

// The default server is opened on first use; one that cannot be is tried
// again, and meanwhile nobody is sent away for good.
func TestDefault(t *testing.T) {
	sse.CloseDefault()
	t.Cleanup(sse.CloseDefault)
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := sse.New(w, r)
		if err != nil {
			assert.ErrorIs(t, err, sse.ErrUnavailable)
			return
		}
		s.Emit("connect")
		s.Wait()
	}))
	path := os.Getenv("SSE_DB")
	blocker, err := sse.Open(sse.Config{DB: path})
	require.NoError(t, err)
	old := slog.Default()
	var logged lockedBuffer
	slog.SetDefault(slog.New(slog.NewTextHandler(&logged, nil)))
	defer slog.SetDefault(old)

	assert.ErrorIs(t, sse.All().Send("x"), persist.ErrLocked)
	assert.ErrorIs(t, sse.To("x").Close(), persist.ErrLocked)
	tab := get(t, http.DefaultClient, url)
	assert.Equal(t, http.StatusOK, tab.resp.StatusCode)
	_, clean := tab.ends(t)
	assert.False(t, clean)
	assert.Positive(t, tab.Retry)
	assert.Equal(t, 1, strings.Count(logged.String(), "level=ERROR"))
	require.NoError(t, blocker.Close())

	require.Eventually(t, func() bool { return sse.All().Send("x") == nil }, patience, 50*time.Millisecond)
	tab = get(t, http.DefaultClient, url)
	tab.greeted(t)
	assert.Equal(t, "connect", tab.next(t).Type)
	require.NoError(t, sse.To(tab.LastEventID).Send("to"))
	assert.Equal(t, "to", tab.next(t).Data)
	assert.Equal(t, 1, sse.All().Count())
	assert.Zero(t, sse.In("room").Count())
	assert.Zero(t, sse.Of("owner").Count())
	assert.ErrorIs(t, sse.At("x").Send("x"), sse.ErrID)
	r := httptest.NewRequest("POST", "/leave?id="+tab.LastEventID, nil)
	require.NoError(t, sse.From(r).Close())
	_, clean = tab.ends(t)
	assert.True(t, clean)
	assert.False(t, sse.IsEventSource(r))
	r.Header.Set("Accept", "text/event-stream")
	assert.True(t, sse.IsEventSource(r))
	_, err = io.ReadAll(tab.resp.Body)
	require.NoError(t, err)
}
