package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lastevent/sse"
)

// testPatience is spent only by a test that fails.
const testPatience = 20 * time.Second

// A site is the program behind a real server, and all that it has said to
// anybody, its log included.
type site struct {
	*httptest.Server
	t    *testing.T
	said record
}

func newSite(t *testing.T, cfg sse.Config) *site {
	s := &site{t: t}
	if cfg.Store == nil {
		cfg.DB = filepath.Join(t.TempDir(), "tabs.db")
	}
	cfg.Logger = slog.New(slog.NewTextHandler(&s.said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	srv, err := sse.Open(cfg)
	require.NoError(t, err)
	app := newApp(srv)
	s.Server = httptest.NewServer(app.handler())
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Server.Close()
		app.close()
		require.NoError(t, srv.Close())
	})
	return s
}

// do makes a request and returns the answer's status and body.
func (s *site) do(method, path, body string, fields ...string) (int, string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testPatience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, s.URL+path, strings.NewReader(body))
	require.NoError(s.t, err)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Set(name, value)
		if name == "Host" {
			r.Host = value
		}
	}
	answer, err := s.Client().Do(r)
	require.NoError(s.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(s.t, err)
	answer.Header.Write(&s.said)
	s.said.Write(text)
	return answer.StatusCode, string(text)
}

// A tab is an open stream.
type tab struct {
	t       *testing.T
	events  chan event
	said    record
	id      string
	address string
	state   string
	leave   context.CancelFunc
}

type event struct{ id, name, data string }

// open opens a stream, under an id if there is one, and takes the greeting.
func (s *site) open(id string) *tab {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", s.URL+"/events", nil)
	require.NoError(s.t, err)
	if id != "" {
		r.Header.Set("Last-Event-ID", id)
	}
	answer, err := s.Client().Do(r)
	require.NoError(s.t, err)
	require.Equal(s.t, http.StatusOK, answer.StatusCode)
	tab := &tab{t: s.t, events: make(chan event, 1000), leave: cancel}
	go tab.read(io.TeeReader(answer.Body, &tab.said)) // until the stream ends, by leave at the latest
	hello := tab.next("session")
	tab.id = hello.id
	tab.state = field(s.t, hello.data, "state")
	tab.address = field(s.t, hello.data, "address")
	return tab
}

// read reads what this server sends, which is less than the whole format.
func (b *tab) read(body io.Reader) {
	defer close(b.events)
	var e event
	for lines := bufio.NewScanner(body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			e.data += value
		case "":
			if e != (event{}) {
				b.events <- e
			}
			e = event{}
		}
	}
}

// next waits for the next event of this name.
func (b *tab) next(name string) event {
	b.t.Helper()
	late := time.After(testPatience)
	for {
		select {
		case e, ok := <-b.events:
			require.True(b.t, ok, "the stream has ended before %q", name)
			if e.name == name {
				return e
			}
		case <-late:
			require.FailNow(b.t, "no event came", name)
		}
	}
}

// rest waits for the stream's end and returns what came until then.
func (b *tab) rest() (events []event) {
	b.t.Helper()
	late := time.After(testPatience)
	for {
		select {
		case e, ok := <-b.events:
			if !ok {
				return events
			}
			events = append(events, e)
		case <-late:
			require.FailNow(b.t, "the stream does not end")
		}
	}
}

// field is a string of a flat JSON object.
func field(t *testing.T, data, name string) string {
	t.Helper()
	_, value, ok := strings.Cut(data, `"`+name+`":"`)
	require.True(t, ok, "%s has no %s", data, name)
	value, _, _ = strings.Cut(value, `"`)
	return value
}

// A record keeps what is written to it.
type record struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.String()
}
