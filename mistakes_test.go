package sse_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lastevent/sse"
	"github.com/lastevent/sse/persist"
)

// children are the programs that the test binary is when a test runs it as a
// process of its own: those that make mistakes which must not cost more than
// the stream they are made with.
var children = map[string]func(){
	"forgets to wait on HTTP/2":      func() { forgetful(true, func() {}) },
	"panics and recovers on HTTP/2":  func() { forgetful(true, func() { panic("a bug") }) },
	"panics and recovers on HTTP/1":  func() { forgetful(false, func() { panic("a bug") }) },
	"forgets to wait on HTTP/1":      func() { forgetful(false, func() {}) },
	"returns when done, on HTTP/1.0": returnsWhenDone,
}

// forgetful serves streams with a handler that returns at once, and then looks
// whether other requests on the same connections are served as they should.
func forgetful(h2 bool, mistake func()) {
	srv, err := sse.Open(sse.Config{Store: persist.NewMemory(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		defer func() { recover() }() // as middleware does
		if _, err := srv.New(w, r); err == nil {
			mistake()
		}
	})
	mux.HandleFunc("/other", func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Millisecond)
		io.WriteString(w, "fine")
	})
	ts := httptest.NewUnstartedServer(mux)
	ts.EnableHTTP2 = h2
	if h2 {
		ts.StartTLS()
	} else {
		ts.Start()
	}
	bad := 0
	for range 200 {
		if h2 {
			if resp, err := ts.Client().Get(ts.URL + "/events"); err == nil {
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			continue
		}
		conn, err := net.Dial("tcp", ts.Listener.Addr().String())
		if err != nil {
			log.Fatal(err)
		}
		r := bufio.NewReader(conn)
		for _, path := range []string{"/events", "/other"} {
			io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				bad++
				break
			}
			io.Copy(io.Discard, resp.Body)
		}
		conn.Close()
	}
	fmt.Println("survived;", bad, "other requests failed")
}

// returnsWhenDone has a handler that waits for Done by itself, as a select
// does, while another goroutine ends the connection.
func returnsWhenDone() {
	srv, err := sse.Open(sse.Config{Store: persist.NewMemory(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	sessions := make(chan *sse.Session)
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s, err := srv.New(w, r); err == nil {
			sessions <- s
			<-s.Done()
		}
	}))
	for range 200 {
		conn, err := net.Dial("tcp", ts.Listener.Addr().String())
		if err != nil {
			log.Fatal(err)
		}
		io.WriteString(conn, "GET /events HTTP/1.0\r\nHost: localhost\r\n\r\n")
		s := <-sessions
		s.Disconnect()
		conn.Close()
	}
	fmt.Println("survived; 0 other requests failed")
}

func TestMistakesCostOneStream(t *testing.T) {
	for name := range children {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, os.Args[0])
			cmd.Env = append(os.Environ(), "SSE_TEST_CHILD="+name)
			out, err := cmd.CombinedOutput()
			assert.NoError(t, err)
			assert.Equal(t, "survived; 0 other requests failed", strings.TrimSpace(string(out)))
		})
	}
}

// A request that announces a body and never sends it holds its handler for a
// few seconds, not for ever.
func TestBodyThatNeverComes(t *testing.T) {
	srv := open(t, sse.Config{})
	handler, _ := waiter(srv)
	returned := make(chan struct{})
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler(w, r)
		close(returned)
	}))
	rawGet(t, url, "/", "HTTP/1.1", "Content-Length: 10")
	select {
	case <-returned:
	case <-time.After(patience):
		t.Fatal("the handler hangs")
	}
	assert.Zero(t, srv.All().Count())
}

// panicky is somebody's middleware.
type panicky struct{ tape }

func (*panicky) WriteHeader(int) { panic("boom") }

// What panics while New is at work leaves nothing registered.
func TestPanicWithinNew(t *testing.T) {
	srv := open(t, sse.Config{})
	assert.Panics(t, func() { srv.New(new(panicky), httptest.NewRequest("GET", "/", nil)) })
	assert.Zero(t, srv.All().Count())
}

// An id that the program has chosen is given by the program alone: whoever
// sends one is not believed.
func TestChosenIDsAreNotClaimed(t *testing.T) {
	srv := open(t, sse.Config{ID: func(r *http.Request) (string, error) { return r.Header.Get("User"), nil }})
	handler, sessions := waiter(srv)
	url := serve(t, handler)
	get(t, http.DefaultClient, url, "User: alice").greeted(t)
	alice := take(t, sessions)
	thief := get(t, http.DefaultClient, url, "Last-Event-ID: alice")
	assert.Equal(t, "new", thief.greeted(t))
	assert.NotEqual(t, "alice", take(t, sessions).ID())
	assert.NoError(t, alice.Err())

	r := httptest.NewRequest("POST", "/leave", nil)
	r.Header.Set("Last-Event-ID", "alice")
	assert.ErrorIs(t, srv.From(r).Close(), sse.ErrID)
	r.Header.Set("User", "alice")
	assert.NoError(t, srv.From(r).Send("x"))
}

// From believes the pages of this site only.
func TestFromAcrossSites(t *testing.T) {
	srv := open(t, sse.Config{})
	s, err := srv.New(new(tape), httptest.NewRequest("GET", "/", nil))
	require.NoError(t, err)
	defer s.Disconnect()
	for site, want := range map[string]error{"same-origin": nil, "cross-site": sse.ErrCrossSite, "same-site": sse.ErrCrossSite} {
		r := httptest.NewRequest("POST", "/x?id="+s.ID(), nil)
		r.Header.Set("Sec-Fetch-Mode", "navigate") // a form on a page
		r.Header.Set("Sec-Fetch-Site", site)
		assert.ErrorIs(t, srv.From(r).Send("x"), want)
	}
}

// Trouble is logged once a minute, whatever its texts are.
func TestTroubleDoesNotFillTheLog(t *testing.T) {
	var logged lockedBuffer
	n := 0
	srv := open(t, sse.Config{
		Logger: slog.New(slog.NewTextHandler(&logged, nil)),
		Owner:  func(*http.Request) (string, error) { n++; return "", fmt.Errorf("token %d is bad", n) },
	})
	for range 100 {
		_, err := srv.New(new(tape), httptest.NewRequest("GET", "/", nil))
		require.ErrorIs(t, err, sse.ErrUnavailable)
	}
	assert.Equal(t, 1, strings.Count(logged.String(), "come back later"))
}

// A middleware's deadline that strikes while New waits is no reason to send the
// browser away for good.
func TestDeadlineWithinNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := sse.Open(sse.Config{Store: persist.NewMemory(), Grace: time.Hour, Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		defer srv.Close()
		s, err := srv.New(new(tape), httptest.NewRequest("GET", "/", nil))
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		w := new(tape)
		_, err = srv.New(w, httptest.NewRequestWithContext(ctx, "GET", "/?id="+s.ID(), nil))
		assert.ErrorIs(t, err, sse.ErrLeft)
		assert.Equal(t, http.StatusOK, w.status)
		assert.Contains(t, w.Header().Get("Content-Type"), "text/event-stream")
		assert.Contains(t, w.String(), "retry: ")
	})
}

// silent is a store that does not answer.
type silent struct{ persist.Store }

func (s silent) Keys() ([][]byte, error) { return s.Store.(persist.Keyring).Keys() }

func (silent) Get(ctx context.Context, _ string) ([]byte, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestStoreThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := sse.Open(sse.Config{Store: silent{persist.NewMemory()}, Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		defer srv.Close()
		s, err := srv.New(new(tape), httptest.NewRequest("GET", "/", nil))
		require.NoError(t, err)
		r := httptest.NewRequest("GET", "/?id="+s.ID(), nil)
		_, err = srv.New(new(tape), r)
		assert.ErrorIs(t, err, sse.ErrUnavailable)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = srv.New(new(tape), r.WithContext(ctx))
		assert.ErrorIs(t, err, sse.ErrLeft)
		assert.ErrorIs(t, srv.At("AAAAAAAAAAAAAAAA").Send("x"), sse.ErrUnavailable)
	})
}

// The event that finds a queue full is not sent, and its sender hears so.
func TestTargetHearsOfLag(t *testing.T) {
	srv := open(t, sse.Config{Limits: sse.Limits{QueueEvents: 2}})
	handler, sessions := waiter(srv)
	rawGet(t, serve(t, handler), "/", "HTTP/1.1")
	s := take(t, sessions)
	var err error
	for i := 0; err == nil; i++ {
		require.Less(t, i, 1000)
		err = srv.To(s.ID()).Send(make([]byte, 1<<20-100))
	}
	assert.ErrorIs(t, err, sse.ErrLagged)
}

// A page with a room that cannot be gets a status that says so.
func TestImpossibleRoom(t *testing.T) {
	srv := open(t, sse.Config{})
	w := new(tape)
	_, err := srv.New(w, httptest.NewRequest("GET", "/", nil), sse.Rooms(""))
	assert.ErrorIs(t, err, sse.ErrRoom)
	assert.Equal(t, http.StatusBadRequest, w.status)
	assert.Zero(t, srv.All().Count())
}
