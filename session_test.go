package sse_test

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lastevent/sse"
)

// The story that a user would tell: a tab connects and has an id, is cut and
// comes back as the same tab, is reloaded and is the same tab, is closed and
// stays away, and a restart of the server changes nothing about it.
func TestStory(t *testing.T) {
	db := filepath.Join(t.TempDir(), "sse.db")
	srv := open(t, sse.Config{DB: db})
	handler, sessions := waiter(srv)
	url := serve(t, handler)

	first := get(t, http.DefaultClient, url)
	require.Equal(t, "new", first.greeted(t))
	id := first.LastEventID
	s := take(t, sessions)
	require.Equal(t, s.ID(), id)
	assert.Equal(t, sse.StateNew, s.State())
	assert.True(t, s.IsNew())
	assert.False(t, s.IsClosed())
	assert.NotContains(t, s.ID(), s.Address(), "an address is no part of the text of an id")
	assert.Len(t, s.Address(), 16)
	assert.Positive(t, first.Retry)

	require.NoError(t, s.Emit("connect"))
	require.NoError(t, s.Emit("news", map[string]int{"n": 1}))
	require.NoError(t, s.Send("plain"))
	require.NoError(t, s.Publish(sse.Event{Name: "own", Data: []byte("b"), ID: "42"}))
	require.NoError(t, s.Comment("for people"))
	require.NoError(t, s.Retry(50*time.Millisecond))
	require.NoError(t, s.Send("last"))
	for _, want := range []struct{ event, data, id string }{
		{"connect", "", id}, {"news", `{"n":1}`, id}, {"message", "plain", id},
		{"own", "b", id + "~42"}, {"message", "last", id + "~42"},
	} {
		got := first.next(t)
		assert.Equal(t, want.event, got.Type)
		assert.Equal(t, want.data, got.Data)
		assert.Equal(t, want.id, got.LastEventID, "the id is on every event")
	}
	assert.Equal(t, 50*time.Millisecond, first.Retry)

	// The server cuts the connection; the browser reconnects by itself.
	require.NoError(t, s.Disconnect())
	_, clean := first.ends(t)
	assert.False(t, clean)
	assert.True(t, s.IsClosed())
	assert.ErrorIs(t, s.Err(), sse.ErrDisconnected)
	assert.ErrorIs(t, s.Emit("late"), sse.ErrDisconnected)
	assert.ErrorIs(t, context.Cause(s.Context()), sse.ErrDisconnected)

	second := get(t, http.DefaultClient, url, "Last-Event-ID: "+first.LastEventID)
	require.Equal(t, "gap", second.greeted(t))
	s = take(t, sessions)
	require.Equal(t, id, s.ID())
	assert.Equal(t, "42", s.LastEventID(), "the program's own cursor comes back")
	assert.False(t, s.IsNew())

	// The page is reloaded: no header, the id is in the URL.
	second.leave()
	<-s.Done()
	assert.ErrorIs(t, s.Err(), sse.ErrLeft)
	third := get(t, http.DefaultClient, url+"?id="+id)
	require.Equal(t, "gap", third.greeted(t))
	s = take(t, sessions)
	require.Equal(t, id, s.ID())

	// It is closed for good.
	other := get(t, http.DefaultClient, url)
	other.greeted(t)
	take(t, sessions)
	require.NoError(t, s.Close())
	require.NoError(t, s.Close(), "twice is fine")
	events, clean := third.ends(t)
	assert.True(t, clean, "only a close ends cleanly")
	require.Len(t, events, 1)
	assert.Equal(t, "close", events[0].Type)
	assert.ErrorIs(t, s.Emit("late"), sse.ErrClosed)
	assert.ErrorIs(t, srv.To(id).Emit("late"), sse.ErrClosed)

	stayAway := func(url string) {
		t.Helper()
		for range 3 {
			for _, again := range []*stream{
				get(t, http.DefaultClient, url, "Last-Event-ID: "+id),
				get(t, http.DefaultClient, url+"?id="+id),
				get(t, http.DefaultClient, url+"?lastEventId="+id+"~42"),
			} {
				assert.Equal(t, http.StatusNoContent, again.resp.StatusCode)
				assert.Equal(t, "no-store", again.resp.Header.Get("Cache-Control"))
			}
		}
	}
	stayAway(url)

	// The server is restarted.
	require.NoError(t, srv.Close())
	srv = open(t, sse.Config{DB: db})
	handler, sessions = waiter(srv)
	url = serve(t, handler)
	stayAway(url)
	back := get(t, http.DefaultClient, url, "Last-Event-ID: "+other.LastEventID)
	require.Equal(t, "gap", back.greeted(t))
	require.Equal(t, other.LastEventID, back.LastEventID)
	require.Equal(t, other.LastEventID, take(t, sessions).ID())
}

func TestClosingATabThatIsAway(t *testing.T) {
	srv := open(t, sse.Config{})
	handler, sessions := waiter(srv)
	url := serve(t, handler)
	tab := get(t, http.DefaultClient, url)
	tab.greeted(t)
	s := take(t, sessions)
	tab.leave()
	<-s.Done()

	assert.ErrorIs(t, srv.At(s.Address()).Close(), sse.ErrNotConnected, "an address alone closes only who is known")
	require.NoError(t, srv.To(s.ID()).Close())
	assert.Equal(t, http.StatusNoContent, get(t, http.DefaultClient, url+"?id="+s.ID()).resp.StatusCode)
	assert.NoError(t, srv.At(s.Address()).Close(), "closing twice is fine")
	closed, err := srv.At(s.Address()).Closed()
	require.NoError(t, err)
	assert.True(t, closed)
}

func TestTargets(t *testing.T) {
	srv := open(t, sse.Config{Owner: func(r *http.Request) (string, error) { return r.URL.Query().Get("user"), nil }})
	handler, sessions := waiter(srv)
	url := serve(t, handler)
	join := func(user string) (*stream, *sse.Session) {
		tab := get(t, http.DefaultClient, url+"?user="+user)
		tab.greeted(t)
		return tab, take(t, sessions)
	}
	ann1, a1 := join("ann")
	ann2, a2 := join("ann")
	bob, b := join("bob")

	require.NoError(t, a1.Join("lobby", "games"))
	require.NoError(t, srv.To(b.ID()).Join("lobby"))
	assert.Equal(t, []string{"games", "lobby"}, a1.Rooms())
	assert.True(t, b.InRoom("lobby"))
	require.NoError(t, a1.Leave("games"))
	assert.False(t, a1.InRoom("games"))

	require.NoError(t, srv.To(a1.ID()).Emit("m", "a1"))
	require.NoError(t, srv.At(b.Address()).Emit("m", "b"))
	require.NoError(t, srv.Of("ann").Send("ann"))
	require.NoError(t, srv.In("lobby").Publish(sse.Event{Data: "lobby"}))
	require.NoError(t, srv.In("nobody is here").Send("x"))
	require.NoError(t, srv.Of("nobody").Send("x"))
	require.NoError(t, srv.All().Send("all"))
	for tab, want := range map[*stream][]string{
		ann1: {"a1", "ann", "lobby", "all"},
		ann2: {"ann", "all"},
		bob:  {"b", "lobby", "all"},
	} {
		for _, data := range want {
			assert.Equal(t, data, tab.next(t).Data)
		}
	}
	assert.Equal(t, 3, srv.All().Count())
	assert.Equal(t, 2, srv.Of("ann").Count())
	assert.ElementsMatch(t, []string{a1.Address(), b.Address()}, srv.In("lobby").Addresses())
	assert.Equal(t, 3, srv.Stats().Connections)

	// A logout: all tabs of the user come back, and are asked who they are.
	require.NoError(t, srv.Of("ann").Disconnect())
	for _, tab := range []*stream{ann1, ann2} {
		_, clean := tab.ends(t)
		assert.False(t, clean)
	}
	<-a1.Done()
	<-a2.Done()
	assert.ErrorIs(t, srv.To(a1.ID()).Send("x"), sse.ErrNotConnected)
	assert.ErrorIs(t, srv.To(a1.ID()).Disconnect(), sse.ErrNotConnected)
	assert.Equal(t, 1, srv.All().Count())

	require.NoError(t, srv.Of("bob").Close())
	_, clean := bob.ends(t)
	assert.True(t, clean)
	assert.Equal(t, http.StatusNoContent, get(t, http.DefaultClient, url+"?user=ann&id="+b.ID()).resp.StatusCode)
}

// A tab that comes back is in the rooms that it was in, unless New says which.
func TestRoomsOutliveConnections(t *testing.T) {
	srv := open(t, sse.Config{})
	handler, sessions := waiter(srv)
	chosen, chosenSessions := waiter(srv, sse.Rooms("only"))
	mux := http.NewServeMux()
	mux.Handle("/", handler)
	mux.Handle("/chosen", chosen)
	url := serve(t, mux)

	tab := get(t, http.DefaultClient, url)
	tab.greeted(t)
	s := take(t, sessions)
	require.NoError(t, s.Join("a", "b"))
	require.NoError(t, s.Disconnect())
	assert.Equal(t, 1, srv.Stats().Away)
	assert.Zero(t, srv.In("a").Count())

	tab = get(t, http.DefaultClient, url, "Last-Event-ID: "+s.ID())
	tab.greeted(t)
	s = take(t, sessions)
	assert.Equal(t, []string{"a", "b"}, s.Rooms())
	require.NoError(t, srv.In("a").Send("to a"))
	assert.Equal(t, "to a", tab.next(t).Data)

	tab = get(t, http.DefaultClient, url+"/chosen", "Last-Event-ID: "+s.ID())
	tab.greeted(t)
	assert.Equal(t, []string{"only"}, take(t, chosenSessions).Rooms())
}

func TestFrom(t *testing.T) {
	srv := open(t, sse.Config{})
	handler, sessions := waiter(srv)
	mux := http.NewServeMux()
	mux.Handle("GET /events", handler)
	mux.HandleFunc("POST /leave", func(w http.ResponseWriter, r *http.Request) {
		if err := srv.From(r).Close(); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	url := serve(t, mux)
	post := func(query string, form map[string][]string) int {
		resp, err := http.PostForm(url+"/leave"+query, form)
		require.NoError(t, err)
		resp.Body.Close()
		return resp.StatusCode
	}
	for _, how := range []string{"query", "form"} {
		tab := get(t, http.DefaultClient, url+"/events")
		tab.greeted(t)
		id := take(t, sessions).ID()
		if how == "query" {
			assert.Equal(t, http.StatusOK, post("?id="+id, nil))
		} else {
			assert.Equal(t, http.StatusOK, post("", map[string][]string{"id": {id}}))
		}
		_, clean := tab.ends(t)
		assert.True(t, clean)
	}
	assert.Equal(t, http.StatusBadRequest, post("", nil))
	assert.Equal(t, http.StatusBadRequest, post("?id=forged", nil))
}
