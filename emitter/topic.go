package emitter

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

var (
	// ErrAbsent is returned for a session that has no connection.
	ErrAbsent = errors.New("sse: the tab is not connected")
	// ErrRoom is returned for a room's name that is empty, longer than
	// MaxRoom, not UTF-8 or has control characters, and for one room more than
	// a session may be in.
	ErrRoom = errors.New("sse: unusable room")
)

// MaxRoom is the greatest length of a room's name, in bytes.
const MaxRoom = 256

// A Topic is what an event is addressed to.
type Topic struct {
	kind kind
	name string
}

type kind uint8

const (
	all kind = iota
	tab
	owner
	room
)

// All is the topic of everybody.
func All() Topic { return Topic{kind: all} }

// Tab is the topic of the session with this address.
func Tab(address string) Topic { return Topic{tab, address} }

// Owner is the topic of the owner's sessions.
func Owner(name string) Topic { return Topic{owner, name} }

// Room is the topic of the sessions in a room.
func Room(name string) Topic { return Topic{room, name} }

// each calls fn for the members that the topic reaches, connected or not.
// The caller holds h.mu.
func (h *Hub) each(t Topic, fn func(*member)) {
	var reached set
	switch t.kind {
	case tab:
		if m := h.members[t.name]; m != nil {
			fn(m)
		}
		return
	case owner:
		reached = h.owners[t.name]
	case room:
		reached = h.rooms[t.name]
	case all:
		for _, m := range h.members {
			fn(m)
		}
		return
	}
	for m := range reached {
		fn(m)
	}
}

// Publish sends a frame to all connections of a topic and returns how many
// have accepted it; err is the reason of one that has not. It does not wait for
// any of them.
func (h *Hub) Publish(t Topic, f *Frame) (n int, err error) {
	var full []*Conn
	h.mu.Lock()
	h.each(t, func(m *member) {
		if m.conn == nil {
			return
		}
		refused, overflow := m.conn.push(f)
		if overflow {
			full = append(full, m.conn)
		}
		if refused != nil {
			err = refused
			return
		}
		n++
	})
	h.mu.Unlock()
	h.events.Add(1)
	for _, c := range full {
		c.lag()
	}
	return n, err
}

// Conns returns the connections of a topic.
func (h *Hub) Conns(t Topic) []*Conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.conns(t)
}

func (h *Hub) conns(t Topic) []*Conn {
	var conns []*Conn
	h.each(t, func(m *member) {
		if m.conn != nil {
			conns = append(conns, m.conn)
		}
	})
	return conns
}

// Addresses returns the addresses of a topic's connected sessions, sorted.
func (h *Hub) Addresses(t Topic) []string {
	h.mu.Lock()
	addresses := []string{}
	h.each(t, func(m *member) {
		if m.conn != nil {
			addresses = append(addresses, m.address)
		}
	})
	h.mu.Unlock()
	slices.Sort(addresses)
	return addresses
}

// Count returns how many sessions of a topic are connected.
func (h *Hub) Count(t Topic) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t.kind == all {
		return h.live
	}
	h.each(t, func(m *member) {
		if m.conn != nil {
			n++
		}
	})
	return n
}

// Known returns the addresses of a topic's sessions, connected or away.
func (h *Hub) Known(t Topic) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forget(time.Now())
	var addresses []string
	h.each(t, func(m *member) { addresses = append(addresses, m.address) })
	return addresses
}

// Join puts the sessions of a topic into rooms: all of them, or with ErrRoom
// none into any.
func (h *Hub) Join(t Topic, rooms ...string) error {
	rooms = slices.Compact(slices.Sorted(slices.Values(rooms)))
	if err := h.checkRooms(rooms); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	var joining []*member
	var err error
	h.each(t, func(m *member) {
		joining = append(joining, m)
		more := 0
		for _, name := range rooms {
			if _, in := m.rooms[name]; !in {
				more++
			}
		}
		if len(m.rooms)+more > h.opt.RoomsPerTab {
			err = fmt.Errorf("%w: a session may be in %d", ErrRoom, h.opt.RoomsPerTab)
		}
	})
	if err != nil {
		return err
	}
	if t.kind == tab && len(joining) == 0 {
		return ErrAbsent
	}
	for _, m := range joining {
		for _, name := range rooms {
			h.join(m, name)
		}
	}
	return nil
}

// Leave takes the sessions of a topic out of rooms.
func (h *Hub) Leave(t Topic, rooms ...string) error {
	if err := checkNames(rooms); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	var leaving []*member
	h.each(t, func(m *member) { leaving = append(leaving, m) })
	if t.kind == tab && len(leaving) == 0 {
		return ErrAbsent
	}
	for _, m := range leaving {
		for _, name := range rooms {
			delete(m.rooms, name)
			remove(h.rooms, name, m)
		}
	}
	return nil
}

// Rooms returns the rooms that a session is in, sorted.
func (h *Hub) Rooms(address string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	rooms := []string{}
	if m := h.members[address]; m != nil {
		for name := range m.rooms {
			rooms = append(rooms, name)
		}
	}
	slices.Sort(rooms)
	return rooms
}

// InRoom reports whether a session is in a room.
func (h *Hub) InRoom(address, room string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.members[address]
	if m == nil {
		return false
	}
	_, in := m.rooms[room]
	return in
}

func (h *Hub) join(m *member, name string) {
	if m.rooms == nil {
		m.rooms = make(map[string]struct{})
	}
	m.rooms[name] = struct{}{}
	add(h.rooms, name, m)
}

func (h *Hub) leaveAll(m *member) {
	for name := range m.rooms {
		remove(h.rooms, name, m)
	}
	m.rooms = nil
}

func (h *Hub) checkRooms(rooms []string) error {
	if len(rooms) > h.opt.RoomsPerTab {
		return fmt.Errorf("%w: %d at once, a session may be in %d", ErrRoom, len(rooms), h.opt.RoomsPerTab)
	}
	return checkNames(rooms)
}

func checkNames(rooms []string) error {
	for _, name := range rooms {
		if err := CheckRoom(name); err != nil {
			return err
		}
	}
	return nil
}

// CheckRoom returns ErrRoom for a name that no room can have.
func CheckRoom(name string) error {
	control := func(r rune) bool { return r < ' ' || r == 0x7f }
	if name == "" || len(name) > MaxRoom || !utf8.ValidString(name) || strings.ContainsFunc(name, control) {
		return fmt.Errorf("%w: a name is 1 to %d bytes of UTF-8 without control characters, not %.40q", ErrRoom, MaxRoom, name)
	}
	return nil
}
