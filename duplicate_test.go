package sse_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lastevent/sse"
)

// The browser's own reconnect finds the connection that nobody has noticed to
// be dead, and takes over at once. When the old one then ends, the new one
// stays: clean-up is by connection.
func TestReconnectTakesOver(t *testing.T) {
	srv := open(t, sse.Config{Grace: time.Hour})
	handler, sessions := waiter(srv)
	url := serve(t, handler)
	old := get(t, http.DefaultClient, url)
	old.greeted(t)
	s1 := take(t, sessions)
	require.NoError(t, s1.Join("room"))

	reborn := get(t, http.DefaultClient, url, "Last-Event-ID: "+old.LastEventID)
	reborn.greeted(t)
	s2 := take(t, sessions)
	assert.Equal(t, s1.ID(), s2.ID())
	_, clean := old.ends(t)
	assert.False(t, clean, "a client that heard a clean end would not come back")
	<-s1.Done()
	assert.ErrorIs(t, s1.Err(), sse.ErrTakenOver)
	assert.NoError(t, s2.Err())
	assert.Equal(t, 1, srv.All().Count())
	require.NoError(t, srv.To(s1.ID()).Send("to the tab"))
	require.NoError(t, srv.In("room").Send("to the room"))
	assert.Equal(t, "to the tab", reborn.next(t).Data)
	assert.Equal(t, "to the room", reborn.next(t).Data)
}

// A reload brings only ?id=, and its old connection ends a moment later.
func TestReloadWaitsForTheOldPage(t *testing.T) {
	srv := open(t, sse.Config{Grace: time.Hour})
	handler, sessions := waiter(srv)
	url := serve(t, handler)
	old := get(t, http.DefaultClient, url)
	old.greeted(t)
	s1 := take(t, sessions)

	reloaded := make(chan *stream)
	go func() { reloaded <- get(t, http.DefaultClient, url+"?id="+s1.ID()) }()
	// The newcomer pokes the old connection: that is when it waits.
	for old.Comments < 2 {
		_, err := old.peek(t)
		require.NoError(t, err)
	}
	old.leave()
	tab := <-reloaded
	assert.Equal(t, "gap", tab.greeted(t))
	assert.Equal(t, s1.ID(), take(t, sessions).ID())
}

// A duplicated tab brings only ?id= as well, but its original lives on.
func TestDuplicatedTabIsForked(t *testing.T) {
	srv := open(t, sse.Config{Grace: 50 * time.Millisecond})
	handler, sessions := waiter(srv)
	url := serve(t, handler)
	original := get(t, http.DefaultClient, url)
	original.greeted(t)
	s1 := take(t, sessions)
	copied := get(t, http.DefaultClient, url+"?id="+s1.ID())
	assert.Equal(t, "forked", copied.greeted(t))
	s2 := take(t, sessions)
	assert.Equal(t, sse.StateForked, s2.State())
	assert.True(t, s2.IsNew())
	assert.NotEqual(t, s1.ID(), s2.ID())
	assert.Equal(t, uint64(1), srv.Stats().Forked)
	require.NoError(t, s1.Send("one"))
	require.NoError(t, s2.Send("two"))
	assert.Equal(t, "one", original.next(t).Data)
	assert.Equal(t, "two", copied.next(t).Data)
	// From here on each reconnects as itself.
	again := get(t, http.DefaultClient, url, "Last-Event-ID: "+s2.ID())
	assert.Equal(t, "gap", again.greeted(t))
	assert.NoError(t, s1.Err())
}

// A page that brings the id of a connection whose peer does not answer has it:
// here one whose system has taken no bytes since its window was full.
func TestCorpseIsTakenOver(t *testing.T) {
	if !canSeeUnacked {
		t.Skip("this system does not tell what is unacknowledged")
	}
	srv := open(t, sse.Config{Grace: 50 * time.Millisecond})
	handler, sessions := waiter(srv)
	url := serve(t, handler)
	rawGet(t, url, "/", "HTTP/1.1", "Accept: text/event-stream")
	dead := take(t, sessions)
	for range 12 {
		require.NoError(t, dead.Send(make([]byte, 1<<20-100)))
	}
	// As long as its system still takes some of it, it is alive.
	for start := time.Now(); time.Since(start) < patience; {
		tab := get(t, http.DefaultClient, url+"?id="+dead.ID())
		if tab.greeted(t) == "gap" {
			assert.Equal(t, dead.ID(), tab.LastEventID)
			break
		}
		tab.leave()
	}
	<-dead.Done()
	assert.ErrorIs(t, dead.Err(), sse.ErrTakenOver)
}

// Two tabs that both hold one id throw each other out as fast as they can
// reconnect; after a few rounds one gets an id of its own, and there is peace.
func TestTwoTabsDoNotEvictEachOtherForEver(t *testing.T) {
	srv := open(t, sse.Config{Grace: 50 * time.Millisecond})
	handler, sessions := waiter(srv)
	url := serve(t, handler)
	type tab struct {
		*stream
		id string
	}
	reconnect := func(id string) (tab, string) {
		s := get(t, http.DefaultClient, url, "Last-Event-ID: "+id)
		state := s.greeted(t)
		take(t, sessions)
		return tab{s, s.LastEventID}, state
	}
	first := get(t, http.DefaultClient, url)
	first.greeted(t)
	shared := first.LastEventID
	take(t, sessions)

	living := tab{first, shared}
	for round := 1; ; round++ {
		require.LessOrEqual(t, round, 10, "they are still at it")
		newcomer, state := reconnect(shared)
		if state == "forked" {
			assert.NotEqual(t, shared, newcomer.id)
			assert.Greater(t, round, 2, "a browser may well reconnect twice")
			// Both live on.
			require.NoError(t, srv.To(shared).Send("old"))
			require.NoError(t, srv.To(newcomer.id).Send("new"))
			assert.Equal(t, "old", living.next(t).Data)
			assert.Equal(t, "new", newcomer.next(t).Data)
			return
		}
		_, clean := living.ends(t)
		assert.False(t, clean)
		living = newcomer
	}
}

// A browser that gives up while its page waits for the grace time leaves
// nothing behind.
func TestLeavingWhileWaiting(t *testing.T) {
	srv := open(t, sse.Config{Grace: time.Hour})
	handler, sessions := waiter(srv)
	returned := make(chan struct{}, 2)
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler(w, r)
		returned <- struct{}{}
	}))
	original := get(t, http.DefaultClient, url)
	original.greeted(t)
	s := take(t, sessions)

	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		for original.Comments < 2 {
			if _, err := original.peek(t); err != nil {
				break
			}
		}
		cancel()
	}()
	_, err := http.DefaultClient.Do(request(t, ctx, url+"?id="+s.ID()))
	require.ErrorIs(t, err, context.Canceled)
	<-returned
	assert.NoError(t, s.Err())
	assert.Equal(t, 1, srv.All().Count())
}

// peek reads one line of the stream, event or not.
func (s *stream) peek(t testing.TB) (int, error) {
	t.Helper()
	n, err := s.ReadLine()
	if err == io.EOF {
		require.FailNow(t, "the stream has ended")
	}
	return n, err
}
