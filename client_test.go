package sse_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lastevent/sse"
	"github.com/lastevent/sse/emitter/wiretest"
)

// patience is how long a test waits for what must come. It is no measure of
// anything: a test that uses it up has failed.
const patience = 20 * time.Second

// open makes a Server with a file of its own, unless cfg brings a store.
func open(t testing.TB, cfg sse.Config) *sse.Server {
	t.Helper()
	if cfg.DB == "" && cfg.Store == nil {
		cfg.DB = filepath.Join(t.TempDir(), "sse.db")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	srv, err := sse.Open(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, srv.Close()) })
	return srv
}

// serve serves handler over HTTP/1.1 until the test ends.
func serve(t testing.TB, handler http.Handler) string {
	t.Helper()
	ts := httptest.NewServer(handler)
	t.Cleanup(ts.Close)
	t.Cleanup(ts.CloseClientConnections)
	return ts.URL
}

// serve2 serves handler over HTTP/2 and TLS, and returns a client for it.
func serve2(t testing.TB, handler http.Handler) (string, *http.Client) {
	t.Helper()
	ts := httptest.NewUnstartedServer(handler)
	ts.EnableHTTP2 = true
	ts.StartTLS()
	t.Cleanup(ts.Close)
	t.Cleanup(ts.CloseClientConnections)
	return ts.URL, ts.Client()
}

// waiter is a handler that keeps the stream open and hands sessions to the
// test as they come.
func waiter(srv *sse.Server, opts ...sse.Option) (http.HandlerFunc, chan *sse.Session) {
	sessions := make(chan *sse.Session, 100)
	return func(w http.ResponseWriter, r *http.Request) {
		s, err := srv.New(w, r, opts...)
		if err != nil {
			return
		}
		sessions <- s
		s.Wait()
	}, sessions
}

// take receives a session from a waiter.
func take(t testing.TB, sessions chan *sse.Session) *sse.Session {
	t.Helper()
	select {
	case s := <-sessions:
		return s
	case <-time.After(patience):
		require.FailNow(t, "no session came")
		return nil
	}
}

// A stream is an open response and the events read from it.
type stream struct {
	*wiretest.Parser
	resp   *http.Response
	cancel context.CancelFunc
}

// request makes a GET with header fields given as "Name: value".
func request(t testing.TB, ctx context.Context, url string, fields ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	require.NoError(t, err)
	r.Header.Set("Accept", "text/event-stream")
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Add(name, value)
	}
	return r
}

// get opens a stream, or gets whatever else is answered.
func get(t testing.TB, client *http.Client, url string, fields ...string) *stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	resp, err := client.Do(request(t, ctx, url, fields...))
	require.NoError(t, err)
	s := &stream{wiretest.NewParser(resp.Body, ""), resp, cancel}
	t.Cleanup(s.leave)
	return s
}

func (s *stream) leave() {
	s.cancel()
	s.resp.Body.Close()
}

// next is the next event, which must come.
func (s *stream) next(t testing.TB) wiretest.Event {
	t.Helper()
	e, err := s.Next()
	require.NoError(t, err)
	return e
}

// greeted reads the session event and returns its state; the id is in
// s.LastEventID from then on.
func (s *stream) greeted(t testing.TB) string {
	t.Helper()
	require.Equal(t, http.StatusOK, s.resp.StatusCode)
	e := s.next(t)
	require.Equal(t, "session", e.Type)
	require.NotEmpty(t, e.LastEventID)
	_, rest, _ := strings.Cut(e.Data, `"state":"`)
	state, _, ok := strings.Cut(rest, `"`)
	require.True(t, ok, e.Data)
	return state
}

// ends reads to the end and says how it came.
func (s *stream) ends(t testing.TB) (last []wiretest.Event, clean bool) {
	t.Helper()
	for {
		e, err := s.Next()
		switch {
		case err == nil:
			last = append(last, e)
		case err == io.EOF:
			return last, true
		case errors.Is(err, context.DeadlineExceeded):
			require.FailNow(t, "the stream does not end")
		default:
			return last, false
		}
	}
}

// rawGet writes a request by hand, and leaves the reading to the test.
func rawGet(t testing.TB, url, path, proto string, fields ...string) (*net.TCPConn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(conn, "GET "+path+" "+proto+"\r\nHost: localhost\r\n"+strings.Join(append(fields, ""), "\r\n")+"\r\n")
	require.NoError(t, err)
	return conn.(*net.TCPConn), bufio.NewReader(conn)
}

// A tape is a ResponseWriter for tests in which time is faked, which sockets
// cannot be part of.
type tape struct {
	mu     sync.Mutex
	header http.Header
	status int
	body   strings.Builder
}

func (w *tape) Header() http.Header {
	if w.header == nil {
		w.header = make(http.Header)
	}
	return w.header
}

func (w *tape) WriteHeader(status int) { w.status = status }

func (w *tape) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.body.Write(p)
}

func (w *tape) Flush() {}

func (w *tape) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.body.String()
}
