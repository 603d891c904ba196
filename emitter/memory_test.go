package emitter

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/lastevent/sse/emitter/wiretest"
	"github.com/stretchr/testify/require"
)

var errPeer = errors.New("the peer is gone")

// A peer is a Transport in memory. It records what is written, and reports
// every use that the Transport interface forbids.
type peer struct {
	t testing.TB

	mu       sync.Mutex
	writing  bool
	gate     chan struct{} // Write waits for it, unless nil
	fail     error         // what Write returns, unless nil
	aborted  chan struct{}
	aborts   int
	finishes int
	cut      bool
	acks     Acks
	wire     []byte
	writes   []write
	yield    func() // within Write
}

type write struct {
	at time.Time
	b  string
}

func newPeer(t testing.TB) *peer { return &peer{t: t, aborted: make(chan struct{})} }

// enter reports a call after Finish. The caller holds p.mu.
func (p *peer) enter(method string) {
	if p.finishes > 0 {
		p.t.Errorf("%s is called after Finish", method)
	}
}

func (p *peer) Write(b []byte) error {
	p.mu.Lock()
	p.enter("Write")
	if p.writing {
		p.t.Error("two calls to Write at a time")
	}
	if len(b) == 0 {
		p.t.Error("Write of nothing")
	}
	p.writing = true
	gate, fail := p.gate, p.fail
	p.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-p.aborted:
		}
	}
	if p.yield != nil {
		p.yield()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writing = false
	if p.aborts > 0 {
		return errors.New("aborted")
	}
	if fail != nil {
		return fail
	}
	p.wire = append(p.wire, b...)
	p.writes = append(p.writes, write{time.Now(), string(b)})
	return nil
}

func (p *peer) Abort() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.enter("Abort")
	if p.aborts++; p.aborts == 1 {
		close(p.aborted)
	}
}

func (p *peer) Finish(how How) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.enter("Finish")
	if p.writing {
		p.t.Error("Finish is called during a Write")
	}
	p.finishes++
	p.cut = how == Cut
}

func (p *peer) Acks() Acks {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.acks
}

// block makes Write wait until the function that it returns is called.
func (p *peer) block() (unblock func()) {
	gate := make(chan struct{})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gate = gate
	return func() {
		p.mu.Lock()
		p.gate = nil
		p.mu.Unlock()
		close(gate)
	}
}

func (p *peer) breakDown() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = errPeer
}

// log returns what was written, one string a write.
func (p *peer) log() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var log []string
	for _, w := range p.writes {
		log = append(log, w.b)
	}
	return log
}

// times returns when the writes of b ended, since start.
func (p *peer) times(start time.Time, b string) []time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	var times []time.Duration
	for _, w := range p.writes {
		if w.b == b {
			times = append(times, w.at.Sub(start))
		}
	}
	return times
}

// read returns the events that a page would have got so far.
func (p *peer) read() []wiretest.Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	parser := wiretest.NewParser(bytes.NewReader(p.wire), "")
	var events []wiretest.Event
	for {
		e, err := parser.Next()
		if err != nil {
			require.Equal(p.t, io.EOF, err)
			return events
		}
		events = append(events, e)
	}
}

func (p *peer) data() []string {
	var data []string
	for _, e := range p.read() {
		data = append(data, e.Data)
	}
	return data
}

// ended checks the end that the peer saw.
func (p *peer) ended(cut bool) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	require.Equal(p.t, 1, p.finishes, "calls of Finish")
	require.Equal(p.t, cut, p.cut, "cut")
}

var limits = Limits{Name: 64, Event: 1 << 20}

func encode(t testing.TB, e Event) *Frame {
	t.Helper()
	f, err := limits.Encode(e)
	require.NoError(t, err)
	return f
}

func text(t testing.TB, data string) *Frame {
	t.Helper()
	return encode(t, Event{Data: data})
}

// settings are Options under which nothing is tight.
func settings() Options {
	return Options{
		Heartbeat:    15 * time.Second,
		WriteTimeout: 10 * time.Second,
		Linger:       5 * time.Second,
		QueueEvents:  1000,
		QueueBytes:   1 << 20,
		Conns:        1000,
		OwnerConns:   1000,
		Takeovers:    3,
		TakeoverSpan: time.Minute,
		RoomsPerTab:  4,
		Away:         1000,
		AwayTime:     time.Minute,
	}
}

func startHub(t testing.TB, opt Options) *Hub {
	h := NewHub(opt)
	t.Cleanup(h.Stop)
	return h
}

// manner is Cut or Clean.
func manner(cut bool) How {
	if cut {
		return Cut
	}
	return Clean
}

// place attaches a connection where it does not matter which one was there.
func place(h *Hub, c *Conn, p Place) error {
	_, err := h.Attach(c, p)
	return err
}

// publish returns how many have accepted the frame.
func publish(h *Hub, t Topic, f *Frame) int {
	n, _ := h.Publish(t, f)
	return n
}

// A line is a connection with a peer in memory.
type line struct {
	*Conn
	peer *peer
	done chan struct{} // closed by onDone
}

// dial makes a connection that is not attached.
func dial(t testing.TB, h *Hub, address string) *line {
	l := &line{peer: newPeer(t), done: make(chan struct{})}
	l.Conn = h.NewConn(l.peer, address, "", func() {
		l.peer.mu.Lock()
		defer l.peer.mu.Unlock()
		if len(l.peer.writes) > 0 && l.peer.finishes == 0 {
			t.Error("onDone is called before Finish")
		}
		select {
		case <-l.done:
			t.Error("onDone is called twice")
		case <-l.Done():
			t.Error("onDone is called after Done was closed")
		default:
			close(l.done)
		}
	})
	return l
}

// join makes a connection at p, opens it, and takes it away at the end of the
// test.
func join(t testing.TB, h *Hub, p Place) *line {
	t.Helper()
	l := dial(t, h, p.Address)
	require.NoError(t, place(h, l.Conn, p))
	l.Open(3*time.Second, nil)
	t.Cleanup(l.hangUp)
	return l
}

var errOver = errors.New("the test is over")

func (l *line) hangUp() {
	l.End(Ending{Err: errOver, How: Cut})
	<-l.Done()
	<-l.done // onDone came before
}

const opening = "\n:\nretry: 3000\n\n"
