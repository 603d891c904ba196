package sse_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lastevent/sse"
)

// How a stream ends tells the client something, on every protocol: only Close
// ends it cleanly.
func TestEndings(t *testing.T) {
	srv := open(t, sse.Config{})
	const n = 200 // events before the end, all of which must arrive
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := srv.New(w, r)
		if err != nil {
			return
		}
		for i := range n {
			s.Send(i)
		}
		switch r.URL.Path {
		case "/close":
			s.Close()
		case "/disconnect":
			defer s.Disconnect()
		case "/elsewhere":
			go srv.At(s.Address()).Disconnect()
			s.Wait()
		case "/done":
			srv.At(s.Address()).Disconnect()
			<-s.Done()
		}
	})
	h1 := serve(t, handler)
	h2, h2client := serve2(t, handler)
	tlsServer := httptest.NewTLSServer(handler)
	t.Cleanup(tlsServer.Close)
	for name, at := range map[string]struct {
		url    string
		client *http.Client
	}{
		"HTTP/1.1":         {h1, http.DefaultClient},
		"HTTP/1.1 and TLS": {tlsServer.URL, tlsServer.Client()},
		"HTTP/2":           {h2, h2client},
	} {
		for _, path := range []string{"/close", "/disconnect", "/elsewhere", "/done"} {
			t.Run(name+path, func(t *testing.T) {
				tab := get(t, at.client, at.url+path)
				tab.greeted(t)
				for i := range n {
					require.Equal(t, fmt.Sprint(i), tab.next(t).Data)
				}
				last, clean := tab.ends(t)
				assert.Equal(t, path == "/close", clean)
				if path == "/close" {
					require.Len(t, last, 1)
					assert.Equal(t, "close", last[0].Type)
				} else {
					assert.Empty(t, last)
				}
			})
		}
	}
	for _, path := range []string{"/close", "/disconnect", "/elsewhere"} {
		t.Run("HTTP/1.0"+path, func(t *testing.T) {
			_, r := rawGet(t, h1, path, "HTTP/1.0")
			body, err := io.ReadAll(r)
			assert.Contains(t, string(body), fmt.Sprintf("data: %d\n\n", n-1), "nothing is lost by the reset")
			head, _, _ := strings.Cut(string(body), "\r\n\r\n")
			assert.NotContains(t, head, "chunked")
			if path == "/close" {
				assert.NoError(t, err)
				assert.Contains(t, string(body), "event: close\n")
			} else if runtime.GOOS == "linux" {
				assert.ErrorIs(t, err, syscall.ECONNRESET, "a FIN would be a clean end")
			}
		})
	}
}

// After a clean end the connection serves the next request, and is not hit by
// a deadline of the stream's.
func TestConnectionIsReusedAfterClose(t *testing.T) {
	srv := open(t, sse.Config{})
	mux := http.NewServeMux()
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		if s, err := srv.New(w, r); err == nil {
			s.Close()
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RemoteAddr) })
	url := serve(t, mux)
	conn, r := rawGet(t, url, "/events", "HTTP/1.1")
	for range 3 {
		resp, err := http.ReadResponse(r, nil)
		require.NoError(t, err)
		_, err = io.ReadAll(resp.Body)
		require.NoError(t, err)
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
		resp, err = http.ReadResponse(r, nil)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Equal(t, conn.LocalAddr().String(), string(body))
		io.WriteString(conn, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
	}
}

// The head says what browsers and proxies need to hear.
func TestHead(t *testing.T) {
	srv := open(t, sse.Config{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Middleware", "yes")
		w.Header().Set("Content-Length", "12")
		w.Header().Set("Content-Type", "text/html")
		if s, err := srv.New(w, r, sse.Header("X-Option", "too")); err == nil {
			s.Wait()
		}
	})
	h1 := serve(t, handler)
	h2, client := serve2(t, handler)
	for url, client := range map[string]*http.Client{h1: http.DefaultClient, h2: client} {
		tab := get(t, client, url)
		h := tab.resp.Header
		assert.Equal(t, "text/event-stream; charset=utf-8", h.Get("Content-Type"))
		assert.Equal(t, "private, no-store, no-transform", h.Get("Cache-Control"))
		assert.Equal(t, "no", h.Get("X-Accel-Buffering"))
		assert.Equal(t, "yes", h.Get("X-Middleware"))
		assert.Equal(t, "too", h.Get("X-Option"))
		assert.Empty(t, h.Get("Content-Length"))
		assert.Empty(t, h.Get("Connection"))
		tab.greeted(t)
		assert.Equal(t, 1, tab.Comments, "a comment opens Firefox")
	}
	// Every connection has its own reconnection time.
	seen := make(map[time.Duration]bool)
	for range 10 {
		tab := get(t, http.DefaultClient, h1)
		tab.greeted(t)
		assert.InDelta(t, 2*time.Second, tab.Retry, float64(500*time.Millisecond))
		seen[tab.Retry] = true
	}
	assert.Greater(t, len(seen), 1)
}

func TestOwnEventsCanBeNamedOrTurnedOff(t *testing.T) {
	srv := open(t, sse.Config{SessionEvent: "-", CloseEvent: "-"})
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s, err := srv.New(w, r); err == nil {
			s.Emit("connect")
			s.Close()
		}
	}))
	tab := get(t, http.DefaultClient, url)
	events, clean := tab.ends(t)
	assert.True(t, clean)
	require.Len(t, events, 1)
	assert.Equal(t, "connect", events[0].Type)
	assert.NotEmpty(t, events[0].LastEventID)
	assert.Positive(t, tab.Retry)

	srv = open(t, sse.Config{SessionEvent: "hello", CloseEvent: "bye"})
	url = serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s, err := srv.New(w, r); err == nil {
			s.Close()
		}
	}))
	events, _ = get(t, http.DefaultClient, url).ends(t)
	require.Len(t, events, 2)
	assert.Equal(t, "hello", events[0].Type)
	assert.Equal(t, "bye", events[1].Type)
}

// Thousands of short streams on few connections, ended in every way while
// other goroutines send to them: every byte that arrives was meant for that
// response, and net/http has nothing to complain about.
//
// Each stream's events carry its own address; what follows on the same
// connection is an ordinary response with a body of its own.
func TestNoByteCrossesIntoAnotherResponse(t *testing.T) {
	var complaints lockedBuffer
	srv := open(t, sse.Config{})
	mux := http.NewServeMux()
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		s, err := srv.New(w, r)
		if err != nil {
			return
		}
		var senders sync.WaitGroup
		defer senders.Wait()
		for i := range 3 {
			senders.Go(func() {
				for s.Send(s.Address()) == nil {
					if i == 2 {
						srv.All().Emit("all", "all")
					}
					runtime.Gosched()
				}
			})
		}
		switch r.URL.Query().Get("end") {
		case "close":
			s.Close()
		case "disconnect":
			s.Disconnect()
		case "elsewhere":
			go srv.To(s.ID()).Disconnect()
			s.Wait()
		case "closed elsewhere":
			go srv.To(s.ID()).Close()
			s.Wait()
		case "return":
			defer s.Disconnect()
		}
	})
	mux.HandleFunc("/plain", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "plain "+r.URL.RawQuery)
	})
	start := func(h2 bool) (string, *http.Client) {
		ts := httptest.NewUnstartedServer(mux)
		ts.Config.ErrorLog = log.New(&complaints, "", 0)
		ts.EnableHTTP2 = h2
		if h2 {
			ts.StartTLS()
		} else {
			ts.Start()
		}
		t.Cleanup(ts.Close)
		return ts.URL, ts.Client()
	}
	ends := []string{"close", "disconnect", "elsewhere", "closed+elsewhere", "return"}
	streams := 3000
	if testing.Short() {
		streams = 500
	}
	for _, h2 := range []bool{false, true} {
		t.Run(map[bool]string{false: "HTTP/1.1", true: "HTTP/2"}[h2], func(t *testing.T) {
			url, client := start(h2)
			var tabs sync.WaitGroup
			defer tabs.Wait()
			for tab := range 8 {
				tabs.Go(func() {
					for i := tab; i < streams; i += 8 {
						s := get(t, client, url+"/events?end="+ends[i/8%len(ends)])
						e, err := s.Next()
						if !assert.NoError(t, err) {
							return
						}
						own := s.LastEventID
						events, _ := s.ends(t)
						for _, ev := range events {
							assert.Equal(t, own, ev.LastEventID)
							if ev.Type == "message" {
								assert.Contains(t, e.Data, ev.Data, "an event of another tab")
							}
						}
						s.leave()
						resp, err := client.Get(url + fmt.Sprintf("/plain?%d", i))
						if !assert.NoError(t, err) {
							return
						}
						body, err := io.ReadAll(resp.Body)
						resp.Body.Close()
						assert.NoError(t, err)
						assert.Equal(t, fmt.Sprintf("plain %d", i), string(body))
					}
				})
			}
		})
	}
	assert.Empty(t, complaints.String())
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// http.Server.Shutdown does not hang on streams: they are told to go, with a
// time to come back.
func TestHTTPServerShutdown(t *testing.T) {
	srv := open(t, sse.Config{Spread: time.Minute})
	handler, sessions := waiter(srv)
	ts := httptest.NewServer(handler)
	defer ts.Close()
	other := serve(t, handler)
	stays := get(t, http.DefaultClient, other)
	stays.greeted(t)
	take(t, sessions)

	var tabs []*stream
	for range 5 {
		tab := get(t, http.DefaultClient, ts.URL)
		tab.greeted(t)
		tabs = append(tabs, tab)
	}
	for range tabs {
		require.NoError(t, take(t, sessions).Send("last words"))
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, ts.Config.Shutdown(ctx))
	spread := make(map[time.Duration]bool)
	for _, tab := range tabs {
		events, clean := tab.ends(t)
		require.Len(t, events, 1)
		assert.Equal(t, "last words", events[0].Data)
		assert.False(t, clean)
		spread[tab.Retry.Truncate(time.Second)] = true
	}
	assert.Greater(t, len(spread), 1, "they shall not come back all at once")
	require.NoError(t, srv.All().Send("still here"))
	assert.Equal(t, "still here", stays.next(t).Data, "the other http.Server goes on")
}

// Shutdown of a Server lets go all its streams, and turns away who comes late.
func TestServerShutdown(t *testing.T) {
	srv := open(t, sse.Config{})
	errs := make(chan error, 10)
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := srv.New(w, r)
		errs <- err
		if err == nil {
			s.Wait()
		}
	}))
	tab := get(t, http.DefaultClient, url)
	tab.greeted(t)
	require.NoError(t, <-errs)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, srv.Shutdown(ctx))
	_, clean := tab.ends(t)
	assert.False(t, clean)
	late := get(t, http.DefaultClient, url)
	assert.Equal(t, http.StatusOK, late.resp.StatusCode)
	_, clean = late.ends(t)
	assert.False(t, clean)
	assert.Positive(t, late.Retry)
	assert.ErrorIs(t, <-errs, sse.ErrShutdown)
	assert.ErrorIs(t, srv.To(tab.LastEventID).Close(), sse.ErrShutdown, "the ledger is closed: this must not be taken for done")
	assert.NoError(t, srv.Close())
	assert.NoError(t, srv.Shutdown(ctx))
}

// A Shutdown whose patience ends cuts who does not read.
func TestShutdownDoesNotWaitForStuckReaders(t *testing.T) {
	srv := open(t, sse.Config{})
	handler, sessions := waiter(srv)
	url := serve(t, handler)
	rawGet(t, url, "/", "HTTP/1.1")
	s := take(t, sessions)
	for range 12 {
		require.NoError(t, s.Send(make([]byte, 1<<20-100)))
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, srv.Shutdown(ctx), context.Canceled)
	<-s.Done()
	assert.ErrorIs(t, s.Err(), sse.ErrShutdown)
}

// nginx speaks HTTP/1.0 to its upstream by default; so does this.
func TestHTTP10(t *testing.T) {
	srv := open(t, sse.Config{})
	handler, sessions := waiter(srv)
	url := serve(t, handler)
	_, r := rawGet(t, url, "/", "HTTP/1.0")
	resp, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	assert.Equal(t, "HTTP/1.0", resp.Proto)
	assert.Empty(t, resp.TransferEncoding)
	s := take(t, sessions)
	require.NoError(t, s.Send("x"))
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() && lines.Text() != "data: x" {
	}
	assert.NoError(t, lines.Err())
}

// An HTTP/2 peer that opens no window is no reason to wait for ever.
func TestStalledHTTP2Peer(t *testing.T) {
	srv := open(t, sse.Config{WriteTimeout: 200 * time.Millisecond})
	handler, sessions := waiter(srv)
	url, client := serve2(t, handler)
	tr := client.Transport.(*http.Transport)
	addr := strings.TrimPrefix(url, "https://")
	conn, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: tr.TLSClientConfig.RootCAs, ServerName: "example.com", NextProtos: []string{"h2"}})
	require.NoError(t, err)
	defer conn.Close()
	// Preface, SETTINGS with INITIAL_WINDOW_SIZE 300 bytes (enough for the
	// greeting), HEADERS of a GET; and then nothing is ever read or granted.
	_, err = conn.Write(append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+
		"\x00\x00\x06\x04\x00\x00\x00\x00\x00"+"\x00\x04\x00\x00\x01\x2c"),
		headersFrame(addr)...))
	require.NoError(t, err)
	s := take(t, sessions)
	start := make(chan error, 1)
	go func() {
		for {
			if err := s.Send(strings.Repeat("x", 100)); err != nil {
				start <- err
				return
			}
			runtime.Gosched()
		}
	}()
	select {
	case <-s.Done():
	case <-time.After(patience):
		t.Fatal("the handler hangs")
	}
	assert.Error(t, <-start)
	err = s.Err()
	assert.True(t, errors.Is(err, sse.ErrStalled) || errors.Is(err, sse.ErrLagged), "%v", err)
}

// headersFrame is a GET / in HPACK without tables or Huffman coding.
func headersFrame(authority string) []byte {
	literal := func(name, value string) []byte {
		b := append([]byte{0x00, byte(len(name))}, name...)
		b = append(b, byte(len(value)))
		return append(b, value...)
	}
	block := []byte{0x82, 0x87, 0x84} // :method GET, :scheme https, :path /
	block = append(block, literal(":authority", authority)...)
	frame := []byte{0, 0, byte(len(block)), 0x01, 0x05, 0, 0, 0, 1} // END_STREAM, END_HEADERS
	return append(frame, block...)
}
