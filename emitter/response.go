package emitter

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"reflect"
	"time"
)

// A Response is the Transport of the ordinary path: a http.ResponseWriter
// whose handler waits. It serves HTTP/1.0, HTTP/1.1 and HTTP/2, and writers
// that wrap others, as far as http.ResponseController gets through.
//
// In HTTP/1.0 the end of the connection is the end of the body, so that only a
// reset is a cut; nginx speaks it to its upstream by default. To be able to
// reset, a Response takes such a connection from net/http once the head is
// sent.
type Response struct {
	w     http.ResponseWriter
	rc    *http.ResponseController
	major int
	old   bool          // HTTP/1.0
	conn  net.Conn      // HTTP/1.0: the connection, once it is ours
	read  chan struct{} // HTTP/1.0: closed when nobody reads from conn any more
	body  bool          // HTTP/1: the request has one, which may not be read yet
	local netip.AddrPort
	peer  netip.AddrPort
}

// lastFlush bounds the time that net/http may take to write what ends a
// response.
const lastFlush = 5 * time.Second

// NewResponse prepares w for a stream that has no end in sight: it and Head
// lift the deadlines that http.Server.WriteTimeout and ReadTimeout have set.
// Writes are watched by the Hub instead.
//
// The error is ErrFlush, or nil. deadlines is false when a wrapper hides them:
// the stream then is cut at the server's WriteTimeout, a peer that stopped
// reading holds its handler for as long as TCP does, and what should be cut
// ends cleanly.
func NewResponse(w http.ResponseWriter, r *http.Request) (resp *Response, deadlines bool, err error) {
	if !canFlush(w) {
		return nil, false, ErrFlush
	}
	p := &Response{
		w:     w,
		rc:    http.NewResponseController(w),
		major: r.ProtoMajor,
		old:   !r.ProtoAtLeast(1, 1),
		body:  r.ProtoMajor == 1 && r.Body != nil && r.Body != http.NoBody,
	}
	if addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		p.local, _ = netip.ParseAddrPort(addr.String())
	}
	p.peer, _ = netip.ParseAddrPort(r.RemoteAddr)
	return p, p.rc.SetWriteDeadline(time.Time{}) == nil, nil
}

// canFlush looks for what http.ResponseController.Flush would call, which
// cannot be tried without writing the head.
func canFlush(w http.ResponseWriter) bool {
	for {
		switch t := w.(type) {
		case interface{ FlushError() error }, http.Flusher:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return false
		}
	}
}

// Head writes the response's head: what browsers and proxies ask of a stream,
// over what the program has set before.
func (p *Response) Head() {
	h := p.w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	setDefault(h, "Cache-Control", "private, no-store, no-transform")
	setDefault(h, "X-Accel-Buffering", "no") // nginx: never opens for the page without
	h.Del("Content-Length")
	if p.body {
		// net/http reads what is left of the request's body before it writes
		// the head, and the peer may never send it.
		p.rc.SetReadDeadline(time.Now().Add(lastFlush))
		p.w.WriteHeader(http.StatusOK)
		p.rc.Flush()
	} else {
		p.w.WriteHeader(http.StatusOK)
	}
	p.rc.SetReadDeadline(time.Time{})
	if p.old && direct(p.w) {
		p.takeOver()
	}
}

func setDefault(h http.Header, name, value string) {
	if h.Get(name) == "" {
		h.Set(name, value)
	}
}

// OnLeave calls fn in a goroutine of its own when the peer leaves or ctx, the
// request's context, is done, whichever is first. It is called after Head, and
// stop before the handler returns.
func (p *Response) OnLeave(ctx context.Context, fn func()) (stop func() bool) {
	if p.conn != nil {
		p.read = make(chan struct{})
		go func() { // ends with the connection; Finish waits for it
			defer close(p.read)
			io.Copy(io.Discard, p.conn)
			fn()
		}()
	}
	return context.AfterFunc(ctx, fn)
}

func (p *Response) Write(b []byte) (err error) {
	defer p.outlived(&err)
	if p.conn != nil {
		_, err := p.conn.Write(b)
		return err
	}
	if _, err := p.w.Write(b); err != nil {
		return err
	}
	return p.rc.Flush()
}

// Hurry gives what is answered instead of a stream a few seconds.
func (p *Response) Hurry() { p.rc.SetWriteDeadline(time.Now().Add(lastFlush)) }

// Last writes b as all that there will be, and cuts. It blocks for a few
// seconds at most.
func (p *Response) Last(b []byte) {
	p.Hurry()
	p.Write(b)
	p.Finish(Cut)
}

// Abort cuts by deadlines in the past: HTTP/2 resets the stream at once,
// HTTP/1.1 fails every write from here on, that of the last chunk included,
// and the reading of a body that comes before the first.
func (p *Response) Abort() {
	var err error
	defer p.outlived(&err)
	if p.conn != nil {
		reset(p.conn)
		return
	}
	if p.body {
		p.rc.SetReadDeadline(aLongTimeAgo)
	}
	p.rc.SetWriteDeadline(aLongTimeAgo)
}

// Finish decides what the peer sees when the handler returns; in HTTP/1.0 it
// sees it now.
func (p *Response) Finish(how How) {
	var err error
	defer p.outlived(&err)
	if p.old && how == Cut && (p.conn != nil || p.takeOver()) {
		p.awaitAcks()
		reset(p.conn)
	}
	switch {
	case p.conn != nil:
		p.conn.Close()
	case how == Cut:
		p.Abort()
	case how == Clean && p.major == 1:
		// net/http takes it off again before the next request.
		p.rc.SetWriteDeadline(time.Now().Add(lastFlush))
	}
	if p.read != nil {
		<-p.read
	}
}

// outlived turns net/http's panic over a handler that has returned too early
// into an error: the mistake shall not cost more than its own stream. It
// cannot be prevented, because nothing tells in time; on HTTP/1 such a write
// may even land in another response.
func (p *Response) outlived(err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("the handler has returned without Wait, Close or Disconnect: %v", v)
	}
}

// takeOver takes an HTTP/1.0 connection from net/http.
func (p *Response) takeOver() bool {
	if p.rc.Flush() != nil {
		return false
	}
	conn, _, err := p.rc.Hijack()
	if err == nil {
		p.conn = conn
	}
	return err == nil
}

// direct reports whether w is net/http's own. What wraps it may do something
// to the body, and is written to until the end; only then is its connection
// taken, if that must be cut.
func direct(w http.ResponseWriter) bool {
	return reflect.TypeOf(w).String() == "*http.response"
}

// reset ends a connection so that the peer does not take it for an end.
func reset(conn net.Conn) {
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok { // TLS
		conn = t.NetConn()
	}
	if t, ok := conn.(interface{ SetLinger(int) error }); ok {
		t.SetLinger(0)
	}
	conn.Close()
}

// awaitAcks gives the peer a moment to take what was written, because a reset
// may overtake it.
func (p *Response) awaitAcks() {
	const step, steps = 5 * time.Millisecond, 100
	for range steps {
		if a := p.Acks(); !a.Known || a.Waiting == 0 {
			return
		}
		time.Sleep(step)
	}
}

// Acks asks the system about the connection with these two ends. On HTTP/2
// that is the connection of all the streams.
func (p *Response) Acks() Acks {
	if !p.local.IsValid() || !p.peer.IsValid() {
		return Acks{}
	}
	return acks(p.local, p.peer)
}
