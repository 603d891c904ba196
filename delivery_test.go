package sse_test

import (
	"bufio"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lastevent/sse"
	"github.com/lastevent/sse/persist"
)

// Sending queues and returns, whoever does not read; and who reads is not
// held up by who does not.
func TestSlowReaderDelaysNobody(t *testing.T) {
	srv := open(t, sse.Config{Limits: sse.Limits{QueueEvents: 300}})
	handler, sessions := waiter(srv)
	url := serve(t, handler)
	rawGet(t, url, "/", "HTTP/1.1") // and never reads
	stuck := take(t, sessions)

	const healthy, events = 10, 3000
	tabs := make([]*bufio.Scanner, healthy)
	for i := range tabs {
		tabs[i] = bufio.NewScanner(get(t, http.DefaultClient, url).resp.Body)
		take(t, sessions)
	}
	expect := func(tab *bufio.Scanner, i int) {
		data := fmt.Sprintf("data: %d ", i)
		for tab.Scan() {
			if strings.HasPrefix(tab.Text(), data) {
				return
			}
			require.False(t, strings.HasPrefix(tab.Text(), "data: ") && tab.Text()[6] != '{', "event %d is missing", i)
		}
		require.FailNow(t, "a healthy reader was cut", "%v", tab.Err())
	}
	payload := strings.Repeat("x", 4000)
	// The sender waits for the healthy readers now and then, which bounds what
	// can be waiting for them by what the test allows; the stuck one gets
	// everything at once.
	for i := range events {
		require.NoError(t, srv.All().Send(fmt.Sprintf("%d %s", i, payload)))
		if i%100 == 99 {
			for _, tab := range tabs {
				for j := i - 99; j <= i; j++ {
					expect(tab, j)
				}
			}
		}
	}
	<-stuck.Done()
	assert.ErrorIs(t, stuck.Err(), sse.ErrLagged)
	assert.Equal(t, healthy, srv.All().Count(), "nobody else was cut")
	assert.Equal(t, uint64(1), srv.Stats().Lagged)
}

// Heartbeats come 15 s after the last write, for as long as it takes.
func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := sse.Open(sse.Config{Store: persist.NewMemory(), Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		defer srv.Close()
		w := new(tape)
		s, err := srv.New(w, httptest.NewRequest("GET", "/", nil))
		require.NoError(t, err)
		comments := func() int { return strings.Count(w.String(), "\n:\n") }
		require.Equal(t, 1, comments())
		time.Sleep(10 * time.Second)
		require.NoError(t, s.Send("x"))
		time.Sleep(15*time.Second - 1)
		synctest.Wait()
		assert.Equal(t, 1, comments())
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		assert.Equal(t, 2, comments())
		time.Sleep(time.Hour)
		synctest.Wait()
		assert.Equal(t, 2+240, comments())
		require.NoError(t, s.Disconnect())
	})
}
