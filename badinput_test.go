package sse_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lastevent/sse"
	"github.com/lastevent/sse/persist"
)

// What cannot be sent is refused with an error that says why, and leaves no
// trace in the stream.
func TestWhatCannotBeSent(t *testing.T) {
	srv := open(t, sse.Config{Limits: sse.Limits{EventBytes: 1000}})
	handler, sessions := waiter(srv)
	tab := get(t, http.DefaultClient, serve(t, handler))
	tab.greeted(t)
	s := take(t, sessions)

	circle := map[string]any{}
	circle["itself"] = circle
	for _, c := range []struct {
		err  error
		send func() error
	}{
		{sse.ErrEventName, func() error { return s.Emit("a\nid: forged") }},
		{sse.ErrEventName, func() error { return s.Emit("a\rdata: x") }},
		{sse.ErrEventName, func() error { return s.Emit("a\x00") }},
		{sse.ErrEventName, func() error { return s.Emit("\xff") }},
		{sse.ErrEventName, func() error { return s.Emit(strings.Repeat("n", 257)) }},
		{sse.ErrEventID, func() error { return s.Publish(sse.Event{Data: "", ID: "1\n2"}) }},
		{sse.ErrEventID, func() error { return s.Publish(sse.Event{Data: "", ID: "with space"}) }},
		{sse.ErrEventID, func() error { return s.Publish(sse.Event{Data: "", ID: strings.Repeat("1", 17)}) }},
		{sse.ErrData, func() error { return s.Emit("e", make(chan int)) }},
		{sse.ErrData, func() error { return s.Emit("e", circle) }},
		{sse.ErrData, func() error { return s.Emit("e", func() {}) }},
		{sse.ErrData, func() error { return s.Emit("e", 1, 2) }},
		{sse.ErrTooLarge, func() error { return s.Send(strings.Repeat("x", 1001)) }},
		{sse.ErrTooLarge, func() error { return s.Send(strings.Repeat("\n", 500)) }},
		{sse.ErrRetry, func() error { return s.Retry(0) }},
		{sse.ErrRetry, func() error { return s.Retry(-time.Second) }},
		{sse.ErrRoom, func() error { return s.Join("") }},
		{sse.ErrRoom, func() error { return s.Join("fine", "not\nfine") }},
		{sse.ErrRoom, func() error { return s.Leave("not\nfine") }},
		{sse.ErrRoom, func() error { return srv.In("a\x00b").Send("x") }},
		{sse.ErrID, func() error { return srv.To("").Send("x") }},
		{sse.ErrID, func() error { return srv.To(s.Address()).Send("x") }},
		{sse.ErrID, func() error { return srv.At(s.ID()).Send("x") }},
		{sse.ErrNotConnected, func() error { return srv.At("AAAAAAAAAAAAAAAA").Send("x") }},
		{sse.ErrNotConnected, func() error { return srv.At("AAAAAAAAAAAAAAAA").Join("x") }},
		{sse.ErrEventName, func() error { return srv.All().Emit("\n") }},
	} {
		err := c.send()
		assert.ErrorIs(t, err, c.err)
		assert.NotContains(t, fmt.Sprint(err), "\n")
	}
	assert.Empty(t, s.Rooms(), "all or nothing")

	require.NoError(t, s.Send("a\rb\r\nc\nd\n"))
	require.NoError(t, s.Send("bad \xff\xe2 UTF-8"))
	require.NoError(t, s.Comment("a\nb\r\revent: x"))
	require.NoError(t, s.Comment(""))
	require.NoError(t, s.Emit(" spaced", " spaced"))
	assert.Equal(t, "a\nb\nc\nd\n", tab.next(t).Data)
	assert.Equal(t, "bad \uFFFD UTF-8", tab.next(t).Data)
	e := tab.next(t)
	assert.Equal(t, " spaced", e.Type)
	assert.Equal(t, " spaced", e.Data)
}

func TestRequestsThatOpenNoStream(t *testing.T) {
	srv := open(t, sse.Config{})
	errs := make(chan error, 1)
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := srv.New(w, r)
		assert.True(t, s.IsClosed(), "safe on nil")
		errs <- err
	}))
	for method, status := range map[string]int{"HEAD": 200, "PUT": 405, "OPTIONS": 405, "DELETE": 405} {
		r, err := http.NewRequest(method, url, nil)
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		resp.Body.Close()
		assert.Equal(t, status, resp.StatusCode, method)
		assert.ErrorIs(t, <-errs, sse.ErrMethod)
		if status == 405 {
			assert.Equal(t, "GET, HEAD, POST", resp.Header.Get("Allow"))
		}
	}
}

// Clients that send what they ask with a POST, and odd request targets.
func TestUnusualRequests(t *testing.T) {
	srv := open(t, sse.Config{})
	handler, sessions := waiter(srv)
	url := serve(t, handler)
	resp, err := http.Post(url, "application/json", strings.NewReader(`{"prompt": "hello"}`))
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.NoError(t, take(t, sessions).Disconnect())

	for _, target := range []string{"//", "//x?id=%zz", "/?id", "/?=&&;id=a", "*"} {
		_, r := rawGet(t, url, target, "HTTP/1.1")
		resp, err := http.ReadResponse(r, nil)
		require.NoError(t, err, target)
		assert.Contains(t, []int{200, 400}, resp.StatusCode, target)
		if resp.StatusCode == 200 {
			take(t, sessions).Disconnect()
		}
	}
}

// stiff wraps a ResponseWriter as middleware of old does.
type stiff struct{ http.ResponseWriter }

type flushing struct{ stiff }

func (f flushing) Flush() { f.ResponseWriter.(http.Flusher).Flush() }

type unwrapping struct{ stiff }

func (u unwrapping) Unwrap() http.ResponseWriter { return u.ResponseWriter }

func TestWrappedWriters(t *testing.T) {
	var logged lockedBuffer
	srv := open(t, sse.Config{Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	var wrap func(http.ResponseWriter) http.ResponseWriter
	errs := make(chan error, 1)
	handler, sessions := waiter(srv)
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/err" {
			_, err := srv.New(wrap(w), r)
			errs <- err
			return
		}
		handler(wrap(w), r)
	}))

	wrap = func(w http.ResponseWriter) http.ResponseWriter { return stiff{w} }
	resp, err := http.Get(url + "/err")
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, http.StatusInternalServerError, resp.StatusCode)
	err = <-errs
	assert.ErrorIs(t, err, sse.ErrFlush)
	assert.ErrorContains(t, err, "Unwrap")

	wrap = func(w http.ResponseWriter) http.ResponseWriter { return unwrapping{stiff{w}} }
	tab := get(t, http.DefaultClient, url)
	tab.greeted(t)
	require.NoError(t, take(t, sessions).Disconnect())
	_, clean := tab.ends(t)
	assert.False(t, clean)
	assert.NotContains(t, logged.String(), "deadlines")

	// It streams, but cannot be cut: EventSource comes back after a clean end
	// as well.
	wrap = func(w http.ResponseWriter) http.ResponseWriter { return flushing{stiff{w}} }
	tab = get(t, http.DefaultClient, url)
	tab.greeted(t)
	require.NoError(t, take(t, sessions).Disconnect())
	_, clean = tab.ends(t)
	assert.True(t, clean)
	assert.Contains(t, logged.String(), "deadlines")
}

// The deadlines of http.Server are for requests, not for streams.
func TestServerTimeoutsDoNotCut(t *testing.T) {
	srv := open(t, sse.Config{Heartbeat: 50 * time.Millisecond})
	handler, sessions := waiter(srv)
	for _, h2 := range []bool{false, true} {
		ts := httptest.NewUnstartedServer(handler)
		ts.Config.WriteTimeout = 100 * time.Millisecond
		ts.Config.ReadTimeout = 100 * time.Millisecond
		ts.EnableHTTP2 = h2
		if h2 {
			ts.StartTLS()
		} else {
			ts.Start()
		}
		t.Cleanup(ts.Close)
		tab := get(t, ts.Client(), ts.URL)
		tab.greeted(t)
		s := take(t, sessions)
		for tab.Comments < 8 { // well past both timeouts
			_, err := tab.peek(t)
			require.NoError(t, err)
		}
		require.NoError(t, s.Send("alive"))
		assert.Equal(t, "alive", tab.next(t).Data)
		tab.leave()
	}
}

func TestLimits(t *testing.T) {
	srv := open(t, sse.Config{Owner: byUser, Limits: sse.Limits{Connections: 3, OwnerConnections: 1, Rooms: 2}})
	handler, sessions := waiter(srv)
	url := serve(t, handler)
	come := func(user string) *stream { return get(t, http.DefaultClient, url, "User: "+user) }
	deferred := func(tab *stream) {
		t.Helper()
		assert.Equal(t, http.StatusOK, tab.resp.StatusCode, "any other status would be for good")
		events, clean := tab.ends(t)
		assert.Empty(t, events)
		assert.False(t, clean)
		assert.Positive(t, tab.Retry)
	}
	ann := come("ann")
	ann.greeted(t)
	s := take(t, sessions)
	deferred(come("ann"))
	come("").greeted(t)
	come("").greeted(t)
	deferred(come("bob"))
	assert.Equal(t, uint64(2), srv.Stats().Deferred)

	require.NoError(t, s.Join("1", "2"))
	require.NoError(t, s.Join("2", "1"), "joining again changes nothing")
	assert.ErrorIs(t, s.Join("3"), sse.ErrRoom)
	assert.Equal(t, []string{"1", "2"}, s.Rooms())

	// Coming back is not one more.
	again := get(t, http.DefaultClient, url, "User: ann", "Last-Event-ID: "+s.ID())
	assert.Equal(t, "gap", again.greeted(t))
}

// failing is a store whose engine is away.
type failing struct {
	persist.Store
	down atomic.Bool
}

func (f *failing) Keys() ([][]byte, error) { return f.Store.(persist.Keyring).Keys() }

func (f *failing) Get(ctx context.Context, key string) ([]byte, error) {
	if f.down.Load() {
		return nil, fmt.Errorf("%w: get", persist.ErrUnavailable)
	}
	return f.Store.Get(ctx, key)
}

func (f *failing) Put(ctx context.Context, key string, value []byte, expires time.Time) error {
	if f.down.Load() {
		return fmt.Errorf("%w: disk full", persist.ErrUnavailable)
	}
	return f.Store.Put(ctx, key, value, expires)
}

// A ledger that cannot be written to closes nobody, and says so; one that
// cannot be read lets nobody with an id in, and sends nobody away for good.
func TestStoreTrouble(t *testing.T) {
	store := &failing{Store: persist.NewMemory()}
	srv := open(t, sse.Config{Store: store})
	handler, sessions := waiter(srv)
	url := serve(t, handler)
	tab := get(t, http.DefaultClient, url)
	tab.greeted(t)
	s := take(t, sessions)

	store.down.Store(true)
	assert.ErrorIs(t, srv.To(s.ID()).Close(), sse.ErrUnavailable)
	assert.False(t, s.IsClosed(), "it can be tried again")
	err := s.Close()
	assert.ErrorIs(t, err, sse.ErrUnavailable)
	assert.NotErrorIs(t, err, sse.ErrClosed)
	events, clean := tab.ends(t)
	assert.Empty(t, events, "nobody was told that it is for good")
	assert.False(t, clean)

	back := get(t, http.DefaultClient, url, "Last-Event-ID: "+s.ID())
	assert.Equal(t, http.StatusOK, back.resp.StatusCode)
	events, clean = back.ends(t)
	assert.Empty(t, events)
	assert.False(t, clean)
	assert.Positive(t, back.Retry)
	fresh := get(t, http.DefaultClient, url)
	assert.Equal(t, "new", fresh.greeted(t), "who has no id can be in no ledger")
	take(t, sessions)

	store.down.Store(false)
	back = get(t, http.DefaultClient, url, "Last-Event-ID: "+s.ID())
	assert.Equal(t, "gap", back.greeted(t))
	require.NoError(t, take(t, sessions).Close())
}

// shared is a store without keys of its own.
type shared struct{ persist.Store }

func TestConfigErrors(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.db")
	require.NoError(t, os.WriteFile(garbage, bytes.Repeat([]byte("not a database "), 1000), 0o600))
	used := open(t, sse.Config{DB: filepath.Join(dir, "used.db")})
	_ = used
	for name, c := range map[string]struct {
		cfg  sse.Config
		is   error
		says string
	}{
		"negative":       {sse.Config{Retry: -1}, sse.ErrConfig, "Retry"},
		"too short":      {sse.Config{Retry: time.Millisecond}, sse.ErrConfig, "100ms"},
		"lifetime":       {sse.Config{IDLifetime: 1}, sse.ErrConfig, "IDLifetime"},
		"heartbeat":      {sse.Config{Heartbeat: 1}, sse.ErrConfig, "Heartbeat"},
		"limit":          {sse.Config{Limits: sse.Limits{Rooms: -1}}, sse.ErrConfig, "Limits.Rooms"},
		"queue":          {sse.Config{Limits: sse.Limits{QueueBytes: 10}}, sse.ErrConfig, "EventBytes"},
		"event":          {sse.Config{SessionEvent: "a\nb"}, sse.ErrConfig, "SessionEvent"},
		"close event":    {sse.Config{CloseEvent: "\xff"}, sse.ErrConfig, "CloseEvent"},
		"event limit":    {sse.Config{Limits: sse.Limits{EventBytes: 20}}, sse.ErrConfig, "SessionEvent"},
		"origin":         {sse.Config{AllowedOrigins: []string{"app.example"}}, sse.ErrConfig, "https://"},
		"short key":      {sse.Config{Keys: [][]byte{{1}}}, sse.ErrConfig, "32"},
		"no key":         {sse.Config{Keys: [][]byte{}}, sse.ErrConfig, "none"},
		"cookie":         {sse.Config{OwnerCookie: "a b"}, sse.ErrConfig, "OwnerCookie"},
		"shared, no key": {sse.Config{Store: shared{persist.NewMemory()}}, sse.ErrConfig, "SSE_KEY"},
		"garbage":        {sse.Config{DB: garbage}, persist.ErrCorrupt, garbage},
		"in use":         {sse.Config{DB: filepath.Join(dir, "used.db")}, persist.ErrLocked, "used.db"},
		"a directory":    {sse.Config{DB: dir}, nil, dir},
	} {
		t.Run(name, func(t *testing.T) {
			if c.cfg.Store == nil && c.cfg.DB == "" {
				c.cfg.Store = persist.NewMemory()
			}
			_, err := sse.Open(c.cfg)
			require.Error(t, err)
			if c.is != nil {
				assert.ErrorIs(t, err, c.is)
			}
			assert.ErrorContains(t, err, c.says)
		})
	}
}

// What is logged names sessions by their addresses.
func TestLogHasNoIDs(t *testing.T) {
	var logged lockedBuffer
	srv := open(t, sse.Config{Grace: time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	handler, sessions := waiter(srv)
	url := serve(t, handler)
	get(t, http.DefaultClient, url).greeted(t)
	s := take(t, sessions)
	get(t, http.DefaultClient, url+"?id="+s.ID()).greeted(t)
	take(t, sessions)
	get(t, http.DefaultClient, url, "Last-Event-ID: "+s.ID()).greeted(t)
	require.NoError(t, take(t, sessions).Close())
	get(t, http.DefaultClient, url+"?id="+s.ID())
	srv.To(s.ID()[1:]).Send("x")
	assert.Contains(t, logged.String(), s.Address())
	assert.NotContains(t, logged.String(), s.ID())
	assert.NotContains(t, logged.String(), s.ID()[1:])
}
