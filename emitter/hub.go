package emitter

import (
	"container/list"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Returned by Hub.Attach.
var (
	// ErrTooMany is returned when a limit on connections is reached.
	ErrTooMany = errors.New("sse: too many connections")
	// ErrBusy is returned when the session's place is taken.
	ErrBusy = errors.New("sse: the session has a connection")
	// ErrForeign is returned when the session is another owner's.
	ErrForeign = errors.New("sse: the session belongs to another owner")
	// ErrHubClosed is returned when the hub takes no more connections.
	ErrHubClosed = errors.New("sse: server is shut down")
	// ErrTakenOver is the end of a connection whose session has another now.
	ErrTakenOver = errors.New("sse: the session has a newer connection")
)

// Options are a Hub's settings. All are needed; Heartbeat may be 0 for none.
type Options struct {
	Heartbeat    time.Duration // of silence before a comment is sent
	WriteTimeout time.Duration // for one write
	Linger       time.Duration // for writing what waits when a connection ends
	QueueEvents  int           // that wait for one connection
	QueueBytes   int           // that wait for one connection
	Conns        int           // at a time
	OwnerConns   int           // of one owner at a time
	Takeovers    int           // of one session, each within TakeoverSpan of the last
	TakeoverSpan time.Duration
	RoomsPerTab  int           // that one session is in
	Away         int           // sessions kept without a connection
	AwayTime     time.Duration // that a session keeps its rooms without one
}

// A Hub knows which sessions are connected, what each listens to, and hands
// events to their connections. All receivers get what is published to several
// in one order.
type Hub struct {
	opt   Options
	watch *watch

	mu      sync.Mutex
	closed  bool
	live    int
	members map[string]*member
	owners  map[string]set
	rooms   map[string]set
	away    list.List          // of *member, the longest away first
	leaving map[*Conn]struct{} // those that have ended and still write

	events  atomic.Uint64
	writes  atomic.Uint64
	bytes   atomic.Uint64
	lagged  atomic.Uint64
	stalled atomic.Uint64
}

type set map[*member]struct{}

// A member is what the hub knows of one session. It stays for a while when the
// connection ends, if it is in rooms.
type member struct {
	address   string
	owner     string
	rooms     map[string]struct{}
	conn      *Conn
	takeovers int
	taken     time.Time // when it was last taken over
	left      time.Time
	place     *list.Element // in Hub.away
}

// NewHub returns a hub without members. It has one goroutine, which Close
// ends.
func NewHub(opt Options) *Hub {
	return &Hub{
		opt:     opt,
		watch:   startWatch(),
		members: make(map[string]*member),
		owners:  make(map[string]set),
		rooms:   make(map[string]set),
		leaving: make(map[*Conn]struct{}),
	}
}

// A Place is where a connection is to be attached.
type Place struct {
	Address string
	Owner   string
	// TakeOver ends the connection that the session has; else that one is
	// ErrBusy.
	TakeOver bool
	// Corpse is a connection that is known to be dead: it is taken over in any
	// case, and that is no contest between two tabs.
	Corpse *Conn
	// Rooms, unless nil, are the session's rooms from now on.
	Rooms []string
}

// Attach makes c the connection of a session. From then on what is published
// to the session, its owner, its rooms and all is sent to c.
//
// The error is ErrForeign, ErrTooMany, ErrHubClosed, ErrRoom, or ErrBusy, with
// the connection that the session has: without TakeOver because of that one,
// and with it because the session was taken over too often of late.
func (h *Hub) Attach(c *Conn, p Place) (busy *Conn, err error) {
	if err := h.checkRooms(p.Rooms); err != nil {
		return nil, err
	}
	old, err := h.attach(c, p)
	if err == ErrBusy {
		return old, err
	}
	if old != nil {
		old.End(Ending{Err: ErrTakenOver, How: Cut})
	}
	return nil, err
}

func (h *Hub) attach(c *Conn, p Place) (old *Conn, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	h.forget(now)
	m := h.members[p.Address]
	switch {
	case h.closed:
		return nil, ErrHubClosed
	case m != nil && m.owner != p.Owner:
		return nil, ErrForeign
	case m != nil && m.conn != nil:
		old = m.conn
		if old != p.Corpse && (!p.TakeOver || !m.mayTakeOver(now, &h.opt)) {
			return old, ErrBusy
		}
		old.member = nil
		h.leaving[old] = struct{}{}
	case h.live >= h.opt.Conns || p.Owner != "" && h.liveOf(p.Owner) >= h.opt.OwnerConns:
		return nil, ErrTooMany
	default:
		h.live++
	}
	if m == nil {
		m = &member{address: p.Address, owner: p.Owner}
		h.members[p.Address] = m
		if p.Owner != "" {
			add(h.owners, p.Owner, m)
		}
	}
	if m.place != nil {
		h.away.Remove(m.place)
		m.place = nil
	}
	m.conn, c.member = c, m
	if p.Rooms != nil {
		h.leaveAll(m)
		for _, room := range p.Rooms {
			h.join(m, room)
		}
	}
	return old, nil
}

// mayTakeOver counts take-overs that follow each other closely. A browser
// reconnects now and then; two tabs with one id throw each other out as fast
// as they can.
func (m *member) mayTakeOver(now time.Time, opt *Options) bool {
	if now.Sub(m.taken) >= opt.TakeoverSpan {
		m.takeovers = 0
	}
	if m.takeovers >= opt.Takeovers {
		return false
	}
	m.takeovers++
	m.taken = now
	return true
}

func (h *Hub) liveOf(owner string) int {
	n := 0
	for m := range h.owners[owner] {
		if m.conn != nil {
			n++
		}
	}
	return n
}

// detach takes c out, and only c: its session may be on another connection by
// now.
func (h *Hub) detach(c *Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !c.left {
		h.leaving[c] = struct{}{}
	}
	m := c.member
	if m == nil {
		return
	}
	c.member, m.conn = nil, nil
	h.live--
	m.left = time.Now()
	if len(m.rooms) > 0 {
		m.place = h.away.PushBack(m)
	} else {
		h.drop(m)
	}
	h.forget(m.left)
}

// finished is called when c does not write any more.
func (h *Hub) finished(c *Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c.left = true
	delete(h.leaving, c)
}

// forget drops the members that are away for too long, and the longest away of
// too many. It is called whenever one comes or goes.
func (h *Hub) forget(now time.Time) {
	for e := h.away.Front(); e != nil; e = h.away.Front() {
		m := e.Value.(*member)
		if h.away.Len() <= h.opt.Away && now.Sub(m.left) < h.opt.AwayTime {
			return
		}
		h.drop(m)
	}
}

func (h *Hub) drop(m *member) {
	if m.place != nil {
		h.away.Remove(m.place)
		m.place = nil
	}
	h.leaveAll(m)
	if m.owner != "" {
		remove(h.owners, m.owner, m)
	}
	delete(h.members, m.address)
}

// Forget drops what is kept of a session that has no connection.
func (h *Hub) Forget(address string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m := h.members[address]; m != nil && m.conn == nil {
		h.drop(m)
	}
}

// Close lets nobody in any more and returns the connections that there are,
// which the caller ends; those that have ended and still write are among them.
func (h *Hub) Close() []*Conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	conns := h.conns(All())
	for c := range h.leaving {
		conns = append(conns, c)
	}
	return conns
}

// Stop ends the hub's goroutine and waits for it. The connections have ended
// before, or they lose their heartbeats and time limits.
func (h *Hub) Stop() { h.watch.close() }

// Stats are counts since the hub was made, but for the first two.
type Stats struct {
	Connections int
	Away        int
	Events      uint64 // published
	Writes      uint64 // to all connections
	Bytes       uint64 // in them
	Lagged      uint64 // connections cut with ErrLagged
	Stalled     uint64 // connections cut with ErrStalled
}

// Stats returns the counts as they are.
func (h *Hub) Stats() Stats {
	h.mu.Lock()
	live, away := h.live, h.away.Len()
	h.mu.Unlock()
	return Stats{
		Connections: live,
		Away:        away,
		Events:      h.events.Load(),
		Writes:      h.writes.Load(),
		Bytes:       h.bytes.Load(),
		Lagged:      h.lagged.Load(),
		Stalled:     h.stalled.Load(),
	}
}

func (h *Hub) wrote(n int) {
	h.writes.Add(1)
	h.bytes.Add(uint64(n))
}

func add(sets map[string]set, name string, m *member) {
	s := sets[name]
	if s == nil {
		s = make(set)
		sets[name] = s
	}
	s[m] = struct{}{}
}

func remove(sets map[string]set, name string, m *member) {
	delete(sets[name], m)
	if len(sets[name]) == 0 {
		delete(sets, name)
	}
}
