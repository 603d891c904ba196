package emitter

import (
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Why the emitter itself ends a connection.
var (
	// ErrLagged is the end of a connection whose reader fell so far behind
	// that its queue was full.
	ErrLagged = errors.New("sse: reader fell too far behind")
	// ErrStalled is the end of a connection whose peer took nothing for the
	// whole write timeout.
	ErrStalled = errors.New("sse: peer stopped reading")
	// ErrWrite is the end of a connection that could not be written to,
	// mostly because the peer was gone.
	ErrWrite = errors.New("sse: write failed")
)

// An Ending says how a connection ends.
type Ending struct {
	// Err is the reason, which Conn.Err and Conn.Send return from then on.
	Err error
	// How is what the peer sees of it.
	How How
	// Drain still writes what was accepted before, and Last after it, for at
	// most Options.Linger; else what waits is dropped.
	Drain bool
	Last  *Frame
}

// A Conn is the sending half of one connection: a bounded queue, and a
// goroutine that exists only while there is something to write. Its methods
// may be called by any goroutine; none but Open waits for the network.
type Conn struct {
	hub       *Hub
	transport Transport
	id        string
	onDone    func()
	done      chan struct{}

	mu     sync.Mutex
	state  state
	since  time.Time // when it came to be idle, or the write in progress began
	idLine []byte
	queue  []*Frame
	size   int // bytes in queue, without id lines
	ending *Ending
	linger time.Time // when a drain is given up

	member *member // guarded by hub.mu, like left
	left   bool    // not written to any more

	at    time.Time // guarded by hub.watch.mu, like index
	index int
}

// A state says who may use the transport.
type state uint8

const (
	idle     state = iota
	writing        // one goroutine, which ends the connection when that is due
	finished       // nobody any more
)

// NewConn returns a connection of the session with this id, whose last event
// had the program's cursor app. It accepts events from now on and writes from
// Open on. onDone is called once, after the last use of the transport.
func (h *Hub) NewConn(t Transport, id, app string, onDone func()) *Conn {
	c := &Conn{
		hub:       h,
		transport: t,
		id:        id,
		onDone:    onDone,
		done:      make(chan struct{}),
		state:     writing, // by Open
		since:     time.Now(),
		index:     -1,
	}
	c.setApp(app)
	return c
}

func (c *Conn) setApp(app string) {
	c.idLine = append(c.idLine[:0], "id: "...)
	c.idLine = append(c.idLine, c.id...)
	if app != "" {
		c.idLine = append(c.idLine, '~')
		c.idLine = append(c.idLine, app...)
	}
	c.idLine = append(c.idLine, '\n')
}

// Open writes the first bytes of the stream, and after them what was sent
// before it, and starts the heartbeat. It blocks until the first bytes are
// written, at most for the write timeout. It is called once.
//
// A blank line comes first, for clients that glue the rest of a broken stream
// to the next one (WebKit did); the comment opens Firefox, whose open event
// waits for a byte. Greeting stands in one block with the retry, because by
// the letter (WHATWG HTML 9.2.6) a blank line without an id before it resets
// the last event id.
func (c *Conn) Open(retry time.Duration, greeting *Frame) {
	first := append([]byte("\n:\nretry: "), millis(retry)...)
	first = append(first, '\n')
	c.mu.Lock()
	c.since = time.Now()
	if greeting != nil {
		first = append(first, c.idLine...)
		first = append(first, greeting.body...)
	} else {
		first = append(first, '\n')
	}
	dropped := c.ending != nil && !c.ending.Drain
	c.mu.Unlock()
	c.hub.watch.schedule(c, c.hub.opt.look(c.since))
	if !dropped {
		c.write(first)
	}
	c.mu.Lock()
	waits := len(c.queue) > 0
	c.mu.Unlock()
	if waits {
		go c.flush() // as in start
		return
	}
	c.flush()
}

// Discard ends a connection of which nothing was written yet, without touching
// the transport: the request will be answered in another way.
func (c *Conn) Discard(err error) {
	c.mu.Lock()
	if c.ending == nil {
		c.ending = &Ending{Err: err}
	}
	c.state = finished
	c.queue = nil
	c.mu.Unlock()
	c.over()
}

// Send queues a frame. The error is the reason for which the connection has
// ended, which ErrLagged becomes by this very call when the queue is full.
func (c *Conn) Send(f *Frame) error {
	err, full := c.push(f)
	if full {
		c.lag()
	}
	return err
}

// push is Send for callers that hold hub.mu, who call lag for a full
// connection when they no longer do.
func (c *Conn) push(f *Frame) (err error, full bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending != nil {
		return c.ending.Err, false
	}
	size := len(f.body)
	if len(c.queue) >= c.hub.opt.QueueEvents || c.size+size > c.hub.opt.QueueBytes {
		// From here on, so that nothing comes after what is missing.
		c.ending = &Ending{Err: ErrLagged, How: Cut}
		c.queue, c.size = nil, 0
		return ErrLagged, true
	}
	c.queue = append(c.queue, f)
	c.size += size
	c.start()
	return nil, false
}

func (c *Conn) lag() {
	c.hub.lagged.Add(1)
	c.End(Ending{Err: ErrLagged, How: Cut})
}

// start sees to it that somebody writes. The caller holds c.mu.
func (c *Conn) start() {
	if c.state == idle {
		c.state = writing
		c.since = time.Now()
		go c.flush() // ends when the queue is empty; Done waits for it
	}
}

// beat is the shortest thing that can be written.
var beat = &Frame{body: []byte(":\n\n"), bare: true}

// Poke writes a comment if nothing is being written. The function that it
// returns reports, a while later, whether the peer has vanished: whether its
// system has acknowledged nothing since, though there was something to. Where
// that cannot be found out it is false.
func (c *Conn) Poke() (gone func() bool) {
	before := c.transport.Acks()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending == nil && c.state == idle {
		c.queue = append(c.queue, beat)
		c.size += len(beat.body)
		c.start()
	}
	return func() bool {
		now := c.transport.Acks()
		return before.Known && now.Known && now.Waiting > 0 && now.Total == before.Total
	}
}

// maxWrite is about how much goes into one write.
const maxWrite = 64 << 10

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// flush writes what is queued, all that waits in one write, until nothing
// does. It owns the transport while the state is writing.
func (c *Conn) flush() {
	buf := buffers.Get().(*[]byte)
	for {
		c.mu.Lock()
		if len(c.queue) == 0 {
			break
		}
		b := c.take((*buf)[:0])
		c.since = time.Now()
		c.mu.Unlock()
		c.write(b)
		if cap(b) <= 2*maxWrite {
			*buf = b
		}
	}
	c.queue = nil // an idle connection keeps no room for one
	c.since = time.Now()
	c.state = idle
	if c.ending != nil {
		c.state = finished
	}
	ending := c.ending
	c.mu.Unlock()
	buffers.Put(buf)
	if ending != nil {
		c.finish(ending.How)
	}
}

// take moves frames from the queue to b. The caller holds c.mu.
func (c *Conn) take(b []byte) []byte {
	n := 0
	for n < len(c.queue) && (n == 0 || len(b) < maxWrite) {
		f := c.queue[n]
		if f.app != "" {
			c.setApp(f.app)
		}
		if !f.bare {
			b = append(b, c.idLine...)
		}
		b = append(b, f.body...)
		c.size -= len(f.body)
		n++
	}
	c.queue = slices.Delete(c.queue, 0, n)
	return b
}

func (c *Conn) write(b []byte) {
	if err := c.transport.Write(b); err != nil {
		c.End(Ending{Err: errors.Join(ErrWrite, err), How: Cut})
		return
	}
	c.hub.wrote(len(b))
}

// End ends the connection. The first Ending counts; a later one that does not
// drain drops what an earlier one was still writing. End does not wait: Done
// says when the transport is no longer used.
func (c *Conn) End(e Ending) {
	c.mu.Lock()
	first := c.ending == nil
	if first {
		c.ending = &e
	}
	switch {
	case !e.Drain:
		c.queue, c.size = nil, 0
		if c.state == writing {
			c.transport.Abort()
		}
	case first:
		if e.Last != nil {
			c.queue = append(c.queue, e.Last)
		}
		c.linger = time.Now().Add(c.hub.opt.Linger)
	}
	c.start()
	until := c.linger
	c.mu.Unlock()
	if first && e.Drain {
		c.hub.watch.schedule(c, until)
	}
	c.hub.detach(c)
}

// tick does what is due at now and returns when to look again; ok is false
// when there is nothing more to look after.
func (c *Conn) tick(now time.Time) (next time.Time, ok bool) {
	opt := &c.hub.opt
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.state == finished:
		return time.Time{}, false
	case c.ending != nil && now.Before(c.linger):
		return c.linger, true
	case c.ending != nil:
		c.queue, c.size = nil, 0
		c.transport.Abort()
		return time.Time{}, false
	case c.state == writing && now.Sub(c.since) >= opt.WriteTimeout:
		c.hub.stalled.Add(1)
		// In a goroutine of its own, because it takes locks that are above
		// this one; it waits for nothing else.
		go c.End(Ending{Err: ErrStalled, How: Cut})
		return time.Time{}, false
	case c.state == writing:
		// The write may be over soon, and a heartbeat due after it.
		return earlier(c.since.Add(opt.WriteTimeout), opt.look(now)), true
	case opt.Heartbeat > 0 && now.Sub(c.since) >= opt.Heartbeat:
		c.queue = append(c.queue, beat)
		c.size += len(beat.body)
		c.start()
		return opt.look(now), true
	case opt.Heartbeat > 0:
		return earlier(c.since.Add(opt.Heartbeat), opt.look(now)), true
	}
	return opt.look(now), true
}

// look is when to look at a connection again at the latest: a heartbeat may be
// due then, or a write that begins now take too long.
func (o *Options) look(now time.Time) time.Time {
	if o.Heartbeat > 0 {
		return now.Add(min(o.Heartbeat, o.WriteTimeout))
	}
	return now.Add(o.WriteTimeout)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// Done is closed when the transport is no longer used: the handler may return.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err is the reason for which the connection has ended or is ending, or nil.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending == nil {
		return nil
	}
	return c.ending.Err
}

func millis(d time.Duration) string {
	return strconv.FormatInt(max(1, d.Milliseconds()), 10)
}

func (c *Conn) finish(how How) {
	c.transport.Finish(how)
	c.hub.watch.remove(c)
	c.over()
}

// over tells everybody who waits for it.
func (c *Conn) over() {
	c.hub.detach(c) // End may not have come to it yet
	c.hub.finished(c)
	c.onDone()
	close(c.done)
}
