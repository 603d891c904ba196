package emitter

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lastevent/sse/emitter/wiretest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A protocol is a way to get a stream over a real connection.
type protocol struct {
	name  string
	major int
	// cut is whether err is what a client gets of a response that was cut.
	cut func(err error) bool
}

var protocols = []protocol{
	{"HTTP/1.0", 1, func(err error) bool { return errors.Is(err, syscall.ECONNRESET) }},
	{"HTTP/1.1", 1, func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }},
	{"HTTP/2", 2, func(err error) bool { return err != nil && strings.Contains(err.Error(), "stream error") }},
}

func eachProtocol(t *testing.T, test func(t *testing.T, p protocol)) {
	for _, p := range protocols {
		t.Run(strings.ReplaceAll(p.name, "/", ""), func(t *testing.T) { test(t, p) })
	}
}

// serve starts a server of this protocol. It has no goroutine and no
// connection left when the test is over.
func (p protocol) serve(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	ts := httptest.NewUnstartedServer(handler)
	ts.Config.ErrorLog = log.New(io.Discard, "", 0)
	if p.major == 2 {
		ts.EnableHTTP2 = true
		ts.StartTLS()
	} else {
		ts.Start()
	}
	t.Cleanup(ts.Close)
	return ts
}

// get asks for the stream. A HTTP/1.0 response is read by hand.
func (p protocol) get(t *testing.T, ts *httptest.Server) *http.Response {
	t.Helper()
	if p.name != "HTTP/1.0" {
		resp, err := ts.Client().Get(ts.URL)
		require.NoError(t, err)
		require.Equal(t, p.major, resp.ProtoMajor)
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}
	conn, err := net.Dial("tcp", ts.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	_, err = io.WriteString(conn, "GET / HTTP/1.0\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	// net/http answers 1.0 with its own version; what counts is that there are
	// no chunks, so that the body ends with the connection.
	require.Empty(t, resp.TransferEncoding)
	return resp
}

// stream is a handler that gives use a Conn over the Response, and does what
// Session does around it.
func stream(t *testing.T, h *Hub, use func(c *Conn)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		out, deadlines, err := NewResponse(w, r)
		if !assert.NoError(t, err) || !assert.True(t, deadlines) {
			return
		}
		c := h.NewConn(out, "sid", "", func() {})
		stop := context.AfterFunc(r.Context(), func() { c.End(Ending{Err: errPeer, How: Cut}) })
		defer stop()
		out.Head()
		c.Open(time.Second, nil)
		use(c)
		<-c.Done()
	}
}

func TestResponseHead(t *testing.T) {
	eachProtocol(t, func(t *testing.T, p protocol) {
		ts := p.serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "5")
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("X-Mine", "kept")
			out, deadlines, err := NewResponse(w, r)
			if assert.NoError(t, err) && assert.True(t, deadlines) {
				out.Head()
				assert.NoError(t, out.Write([]byte("data: a\n\n")))
				out.Finish(Clean)
			}
		})
		resp := p.get(t, ts)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		resp.Header.Del("Date")
		resp.Header.Del("Connection")
		require.Equal(t, http.Header{
			"Content-Type":      {"text/event-stream; charset=utf-8"},
			"Cache-Control":     {"private, no-store, no-transform"},
			"X-Accel-Buffering": {"no"},
			"X-Mine":            {"kept"},
		}, resp.Header)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, "data: a\n\n", string(body))
	})
}

// The bytes of a whole response, as HTTP/1.1 has them: one chunk a write.
func TestResponseBytes(t *testing.T) {
	ts := protocols[1].serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil
		out, _, err := NewResponse(w, r)
		if assert.NoError(t, err) {
			out.Head()
			assert.NoError(t, out.Write([]byte("\n:\n\n")))
			assert.NoError(t, out.Write([]byte("data: a\n\n")))
			out.Finish(Clean)
		}
	})
	conn, err := net.Dial("tcp", ts.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	require.NoError(t, err)
	got, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 200 OK\r\n"+
		"Cache-Control: private, no-store, no-transform\r\n"+
		"Content-Type: text/event-stream; charset=utf-8\r\n"+
		"X-Accel-Buffering: no\r\n"+
		"Connection: close\r\n"+
		"Transfer-Encoding: chunked\r\n\r\n"+
		"4\r\n\n:\n\n\r\n9\r\ndata: a\n\n\r\n0\r\n\r\n", string(got))
}

// The program's own Cache-Control and X-Accel-Buffering go before ours.
func TestResponseHeadDefaults(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("X-Accel-Buffering", "yes")
	out, deadlines, err := NewResponse(w, httptest.NewRequest("GET", "/", nil))
	require.NoError(t, err)
	require.False(t, deadlines, "a recorder has none")
	out.Head()
	require.Equal(t, "no-cache", w.Header().Get("Cache-Control"))
	require.Equal(t, "yes", w.Header().Get("X-Accel-Buffering"))
	require.False(t, out.Acks().Known)
}

// The client has all events, and then sees a cut as such and a clean end as
// such.
func TestResponseEnd(t *testing.T) {
	const events = 200
	big := strings.Repeat("x", 5000) // more than net/http's buffers
	eachProtocol(t, func(t *testing.T, p protocol) {
		for _, cut := range []bool{false, true} {
			for _, drain := range []bool{false, true} {
				if !cut && !drain {
					continue // an end that drops what is being written is a cut
				}
				t.Run(fmt.Sprintf("cut %t, drain %t", cut, drain), func(t *testing.T) {
					h := startHub(t, settings())
					read := make(chan struct{})
					ts := p.serve(t, stream(t, h, func(c *Conn) {
						n := 1
						if drain {
							n = events
						}
						f := text(t, big)
						for range n {
							assert.NoError(t, c.Send(f))
						}
						if !drain {
							<-read
						}
						c.End(Ending{Err: errOver, How: manner(cut), Drain: drain})
					}))
					body := wiretest.NewParser(p.get(t, ts).Body, "")
					n := 0
					for ; ; n++ {
						e, err := body.Next()
						if err != nil {
							if cut {
								require.True(t, p.cut(err), "%v", err)
							} else {
								require.Equal(t, io.EOF, err)
							}
							break
						}
						require.Equal(t, big, e.Data)
						if n == 0 {
							close(read)
						}
					}
					if drain {
						require.Equal(t, events, n)
					} else {
						require.Equal(t, 1, n)
					}
				})
			}
		}
	})
}

// Last is a whole response, and cut.
func TestResponseLast(t *testing.T) {
	eachProtocol(t, func(t *testing.T, p protocol) {
		ts := p.serve(t, func(w http.ResponseWriter, r *http.Request) {
			out, _, err := NewResponse(w, r)
			if assert.NoError(t, err) {
				out.Head()
				out.Last([]byte("retry: 7\n\n"))
			}
		})
		got, err := io.ReadAll(p.get(t, ts).Body)
		require.True(t, p.cut(err), "%v", err)
		require.Equal(t, "retry: 7\n\n", string(got))
	})
}

// A client that leaves ends its connection.
func TestResponseClientLeaves(t *testing.T) {
	eachProtocol(t, func(t *testing.T, p protocol) {
		h := startHub(t, settings())
		over := make(chan *Conn, 1)
		ts := p.serve(t, stream(t, h, func(c *Conn) { over <- c }))
		if p.name == "HTTP/1.0" {
			conn, err := net.Dial("tcp", ts.Listener.Addr().String())
			require.NoError(t, err)
			_, err = io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n")
			require.NoError(t, err)
			c := <-over
			conn.Close()
			<-c.Done()
			return
		}
		resp := p.get(t, ts)
		c := <-over
		resp.Body.Close()
		<-c.Done()
		require.ErrorIs(t, c.Err(), errPeer)
	})
}

// A spyListener tells what deadlines its connections have.
type spyListener struct {
	net.Listener
	mu    sync.Mutex
	conns map[string]*spyConn // by the peer's address
}

func spyOn(ts *httptest.Server) *spyListener {
	s := &spyListener{Listener: ts.Listener, conns: map[string]*spyConn{}}
	ts.Listener = s
	return s
}

func (s *spyListener) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	spy := &spyConn{TCPConn: c.(*net.TCPConn)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c.RemoteAddr().String()] = spy
	return spy, nil
}

func (s *spyListener) of(r *http.Request) *spyConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns[r.RemoteAddr]
}

type spyConn struct {
	*net.TCPConn
	mu          sync.Mutex
	read, write time.Time
}

func (c *spyConn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	c.read, c.write = t, t
	c.mu.Unlock()
	return c.TCPConn.SetDeadline(t)
}

func (c *spyConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	c.read = t
	c.mu.Unlock()
	return c.TCPConn.SetReadDeadline(t)
}

func (c *spyConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	c.write = t
	c.mu.Unlock()
	return c.TCPConn.SetWriteDeadline(t)
}

func (c *spyConn) deadlines() (read, write time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read, c.write
}

// A clean end leaves the connection to the next request, without a deadline.
func TestResponseKeepAlive(t *testing.T) {
	h := startHub(t, settings())
	sse := stream(t, h, func(c *Conn) {
		assert.NoError(t, c.Send(text(t, "x")))
		c.End(Ending{Err: errOver, Drain: true})
	})
	var spies *spyListener
	ts := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if spy := spies.of(r); assert.NotNil(t, spy) {
			_, write := spy.deadlines()
			assert.Zero(t, write, "a stale deadline")
		}
		if r.URL.Path == "/sse" {
			sse(w, r)
			return
		}
		io.WriteString(w, "plain")
	}))
	spies = spyOn(ts)
	ts.Start()
	defer ts.Close()
	reused := 0
	for i, path := range []string{"/sse", "/", "/sse", "/sse", "/"} {
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
			if i.Reused {
				reused++
			}
		}})
		r, err := http.NewRequestWithContext(ctx, "GET", ts.URL+path, nil)
		require.NoError(t, err)
		resp, err := ts.Client().Do(r)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		resp.Body.Close()
		if path == "/" {
			require.Equal(t, "plain", string(body))
		}
		require.Equal(t, i, reused, "every request but the first on the same connection")
	}
}

// The server's own deadlines are lifted while the stream runs.
func TestResponseLiftsDeadlines(t *testing.T) {
	h := startHub(t, settings())
	var spies *spyListener
	ts := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		read, write := spies.of(r).deadlines()
		assert.Equal(t, r.Method == "POST", !read.IsZero(), "net/http lifts it when there is no body left to read")
		assert.NotZero(t, write, "the server's")
		stream(t, h, func(c *Conn) {
			read, write := spies.of(r).deadlines()
			assert.Zero(t, read)
			assert.Zero(t, write)
			c.End(Ending{Err: errOver, Drain: true})
		})(w, r)
	}))
	ts.Config.ReadTimeout, ts.Config.WriteTimeout = time.Hour, time.Hour
	spies = spyOn(ts)
	ts.Start()
	defer ts.Close()
	_, err := io.ReadAll(protocols[1].get(t, ts).Body)
	require.NoError(t, err)
	resp, err := ts.Client().Post(ts.URL, "text/plain", strings.NewReader("a body that the handler does not read"))
	require.NoError(t, err)
	defer resp.Body.Close()
	_, err = io.ReadAll(resp.Body)
	require.NoError(t, err)
}

// A pipeListener is a network in memory, under which the clock can be fake.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}
func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

// A stream outlives the server's ReadTimeout and WriteTimeout, and gets its
// heartbeats, for an hour.
func TestResponseOutlivesTimeouts(t *testing.T) {
	for _, major := range []int{1, 2} {
		t.Run(fmt.Sprintf("HTTP%d", major), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := startHub(t, settings())
				var protos http.Protocols
				protos.SetHTTP1(major == 1)
				protos.SetUnencryptedHTTP2(major == 2)
				srv := &http.Server{
					ReadTimeout:  10 * time.Second,
					WriteTimeout: 20 * time.Second,
					Protocols:    &protos,
					ErrorLog:     log.New(io.Discard, "", 0),
					Handler: stream(t, h, func(c *Conn) {
						time.Sleep(time.Hour + time.Second)
						assert.NoError(t, c.Send(text(t, "after an hour")))
						c.End(Ending{Err: errOver, Drain: true})
					}),
				}
				l := &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
				var served sync.WaitGroup
				served.Go(func() { srv.Serve(l) })
				client := &http.Transport{DialContext: l.dial, Protocols: &protos}
				defer func() {
					client.CloseIdleConnections()
					srv.Close()
					served.Wait()
				}()
				start := time.Now()
				resp, err := (&http.Client{Transport: client}).Get("http://server.test/")
				require.NoError(t, err)
				defer resp.Body.Close()
				require.Equal(t, major, resp.ProtoMajor)
				p := wiretest.NewParser(resp.Body, "")
				e, err := p.Next()
				require.NoError(t, err)
				require.Equal(t, "after an hour", e.Data)
				require.Equal(t, time.Hour+time.Second, time.Since(start))
				require.Equal(t, 1+240, p.Comments)
				_, err = p.Next()
				require.Equal(t, io.EOF, err)
			})
		})
	}
}

// Writers that middleware wraps around the real one.
type (
	bareWriter  struct{ http.ResponseWriter } // neither Flush nor Unwrap
	flushWriter struct{ http.ResponseWriter } // as people write them
	unwrapper   struct{ http.ResponseWriter }
	errFlusher  struct{ http.ResponseWriter }
)

func (w flushWriter) Flush()                        { w.ResponseWriter.(http.Flusher).Flush() }
func (w errFlusher) FlushError() error              { return http.NewResponseController(w.ResponseWriter).Flush() }
func (w unwrapper) Unwrap() http.ResponseWriter     { return w.ResponseWriter }
func (w *doubleWriter) Unwrap() http.ResponseWriter { return w.inner }

type doubleWriter struct {
	inner http.ResponseWriter
	http.ResponseWriter
}

func TestResponseWrapped(t *testing.T) {
	for name, c := range map[string]struct {
		wrap      func(http.ResponseWriter) http.ResponseWriter
		err       error
		deadlines bool
	}{
		"bare":               {func(w http.ResponseWriter) http.ResponseWriter { return bareWriter{w} }, ErrFlush, false},
		"bare under Unwrap":  {func(w http.ResponseWriter) http.ResponseWriter { return unwrapper{bareWriter{w}} }, ErrFlush, false},
		"Unwrap":             {func(w http.ResponseWriter) http.ResponseWriter { return unwrapper{w} }, nil, true},
		"Unwrap thrice":      {func(w http.ResponseWriter) http.ResponseWriter { return unwrapper{&doubleWriter{unwrapper{w}, w}} }, nil, true},
		"Flush":              {func(w http.ResponseWriter) http.ResponseWriter { return flushWriter{w} }, nil, false},
		"FlushError":         {func(w http.ResponseWriter) http.ResponseWriter { return errFlusher{w} }, nil, false},
		"Flush under Unwrap": {func(w http.ResponseWriter) http.ResponseWriter { return unwrapper{flushWriter{w}} }, nil, false},
		"Flush and Unwrap both": {func(w http.ResponseWriter) http.ResponseWriter {
			return struct {
				flushWriter
				unwrapped
			}{flushWriter{w}, unwrapped{w}}
		}, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			eachProtocol(t, func(t *testing.T, p protocol) {
				ts := p.serve(t, func(w http.ResponseWriter, r *http.Request) {
					out, deadlines, err := NewResponse(c.wrap(w), r)
					assert.Equal(t, c.deadlines, deadlines)
					if c.err != nil {
						assert.ErrorIs(t, err, c.err)
						w.WriteHeader(http.StatusTeapot)
						return
					}
					if !assert.NoError(t, err) {
						return
					}
					out.Head()
					assert.NoError(t, out.Write([]byte("data: a\n\n")))
					<-r.Context().Done() // the client has it before the handler returns
					out.Finish(Cut)
				})
				resp := p.get(t, ts)
				if c.err != nil {
					require.Equal(t, http.StatusTeapot, resp.StatusCode, "nothing was written")
					return
				}
				e, err := wiretest.NewParser(resp.Body, "").Next()
				require.NoError(t, err)
				require.Equal(t, "a", e.Data)
				resp.Body.Close()
				ts.CloseClientConnections()
			})
		})
	}
}

type unwrapped struct{ w http.ResponseWriter }

func (u unwrapped) Unwrap() http.ResponseWriter { return u.w }

// What should be cut ends cleanly where a wrapper hides the deadlines, and a
// wrapper with Unwrap cuts as well as none.
func TestResponseWrappedEnd(t *testing.T) {
	eachProtocol(t, func(t *testing.T, p protocol) {
		for _, open := range []bool{false, true} {
			t.Run(fmt.Sprintf("Unwrap %t", open), func(t *testing.T) {
				ts := p.serve(t, func(w http.ResponseWriter, r *http.Request) {
					var wrapped http.ResponseWriter = flushWriter{w}
					if open {
						wrapped = unwrapper{w}
					}
					out, _, err := NewResponse(wrapped, r)
					if assert.NoError(t, err) {
						out.Head()
						assert.NoError(t, out.Write([]byte("data: a\n\n")))
						out.Finish(Cut)
					}
				})
				_, err := io.ReadAll(p.get(t, ts).Body)
				if open {
					require.True(t, p.cut(err), "%v", err)
				} else {
					require.NoError(t, err)
				}
			})
		}
	})
}

// Abort ends a Write to a peer that does not read. That one is certainly
// blocked: its first byte is there, and the rest fits in no buffer.
func TestResponseAbort(t *testing.T) {
	const much = 64 << 20
	eachProtocol(t, func(t *testing.T, p protocol) {
		outs := make(chan *Response, 1)
		failed := make(chan error, 2)
		ts := p.serve(t, func(w http.ResponseWriter, r *http.Request) {
			out, deadlines, err := NewResponse(w, r)
			if !assert.NoError(t, err) || !assert.True(t, deadlines) {
				return
			}
			out.Head()
			outs <- out
			failed <- out.Write(make([]byte, much))
			failed <- out.Write([]byte("more"))
			out.Finish(Cut)
		})
		resp := p.get(t, ts)
		_, err := io.ReadFull(resp.Body, make([]byte, 1))
		require.NoError(t, err)
		out := <-outs
		out.Abort()
		require.Error(t, <-failed)
		require.Error(t, <-failed, "and every later one fails")
		n, err := io.Copy(io.Discard, resp.Body)
		require.Less(t, n, int64(much-1))
		require.True(t, p.cut(err), "%v", err)
	})
}

// The same over HTTP/2 with a peer that grants no window at all: what is
// written lies in the server.
func TestResponseAbortWithoutWindow(t *testing.T) {
	outs := make(chan *Response, 1)
	failed := make(chan error, 1)
	ts := protocols[2].serve(t, func(w http.ResponseWriter, r *http.Request) {
		out, _, err := NewResponse(w, r)
		if !assert.NoError(t, err) {
			return
		}
		out.Head()
		outs <- out
		failed <- out.Write([]byte("data: no room\n\n"))
		out.Finish(Cut)
	})
	conn, err := tls.Dial("tcp", ts.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	require.NoError(t, err)
	defer conn.Close()
	frame := func(kind, flags, stream byte, payload string) string {
		n := len(payload)
		return string([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags, 0, 0, 0, stream}) + payload
	}
	const settings, headers, rst, ack = 4, 1, 3, 1
	_, err = io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+
		frame(settings, 0, 0, "\x00\x04\x00\x00\x00\x00")+ // INITIAL_WINDOW_SIZE 0
		// END_STREAM, END_HEADERS; GET, https, /, authority x (RFC 7541, static table)
		frame(headers, 0x5, 1, "\x82\x87\x84\x41\x01x"))
	require.NoError(t, err)
	r := bufio.NewReader(conn)
	aborted := false
	for {
		head := make([]byte, 9)
		_, err := io.ReadFull(r, head)
		require.NoError(t, err)
		body := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		_, err = io.ReadFull(r, body)
		require.NoError(t, err)
		switch kind := head[3]; {
		case kind == settings && head[4]&ack == 0:
			_, err = io.WriteString(conn, frame(settings, ack, 0, ""))
			require.NoError(t, err)
		case kind == headers: // the head is here, and no DATA can follow
			out := <-outs
			out.Abort()
			require.Error(t, <-failed)
			aborted = true
		case kind == 0:
			t.Fatal("DATA without a window")
		case kind == rst:
			require.True(t, aborted)
			return
		}
	}
}

// A hub cuts a peer that does not read, on every protocol, and its handler
// returns.
func TestResponseStalls(t *testing.T) {
	eachProtocol(t, func(t *testing.T, p protocol) {
		opt := settings()
		opt.WriteTimeout, opt.QueueBytes = 50*time.Millisecond, 1<<30
		h := startHub(t, opt)
		f := &Frame{body: make([]byte, 64<<20)} // fits in no buffer
		conns := make(chan *Conn, 1)
		ts := p.serve(t, stream(t, h, func(c *Conn) {
			assert.NoError(t, c.Send(f))
			conns <- c
		}))
		resp := p.get(t, ts)
		c := <-conns
		<-c.Done()
		require.ErrorIs(t, c.Err(), ErrStalled)
		_, err := io.Copy(io.Discard, resp.Body)
		require.True(t, p.cut(err), "%v", err)
	})
}
