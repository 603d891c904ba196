package sse

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/lastevent/sse/emitter"
	"github.com/lastevent/sse/session"
)

// A Target is somebody to send to: one tab, by To, At or From, or all tabs of
// an owner, by Of. It is found anew at each call, so it may be kept; methods
// may be called by any goroutine. They do not wait for browsers. Where a tab is
// not connected the store is asked whether it was closed.
//
// Calls on a target that could not be made, as for a forged id, return why:
// ErrID, ErrExpired, ErrOwner, ErrCrossSite, ErrUnavailable. Sending to a tab that is not
// there is ErrNotConnected, or ErrClosed if it was closed for good; sending to
// an owner without tabs is no error.
type Target struct {
	group
	address string // empty for an owner
	known   bool   // an id, which may be closed without being here
}

// A Channel is many tabs: a room, by In, or everyone, by All. It is like a
// Target, but cannot be closed.
type Channel struct{ group }

// group is what Target and Channel have in common.
type group struct {
	srv   *Server
	topic emitter.Topic
	err   error
}

// To is the tab with this id, or with the lastEventId of any of its events. A
// text that this server has not signed gives a Target whose calls return
// ErrID.
func (s *Server) To(id string) *Target {
	parsed, err := s.parse(session.ParseClaim(id).ID, s.cfg.TrustClientIDs || s.cfg.ID != nil)
	if err == nil && s.ids.Expired(parsed) {
		err = ErrExpired
	}
	return s.tab(parsed, err)
}

func (s *Server) tab(id session.ID, err error) *Target {
	return &Target{group{s, emitter.Tab(id.Address()), err}, id.Address(), true}
}

// At is the tab with this address. An address proves nothing, so this is for
// addresses that come from the program itself.
func (s *Server) At(address string) *Target {
	var err error
	if !session.IsAddress(address) {
		// Not quoted: it may be an id, which belongs into no log.
		err = fmt.Errorf("%w: an address has %d characters of [A-Za-z0-9_-], not %d", ErrID, session.AddressLen, len(address))
	}
	return &Target{group{s, emitter.Tab(address), err}, address, false}
}

// From is the tab that the request proves to be, by the Last-Event-ID header,
// the query, or the field id of a form in its body, of which it reads up to a
// mebibyte. If Config says whose a request is, the tab must be that owner's;
// with Config.ID the tab is the one that this says. A request from a page of
// another site gives a Target whose calls return ErrCrossSite.
func (s *Server) From(r *http.Request) *Target {
	if _, ok := s.origins.Admit(r); !ok {
		return s.tab(session.ID{}, ErrCrossSite)
	}
	owner, err := s.owner(r)
	if err != nil {
		return s.tab(session.ID{}, err)
	}
	if id, chosen, err := s.chosen(r); chosen || err != nil {
		return s.tab(id, err)
	}
	err = fmt.Errorf("%w: the request has none", ErrID)
	for _, claim := range session.FormClaims(r) {
		var id session.ID
		if id, err = s.parse(claim.ID, s.cfg.TrustClientIDs); err != nil {
			continue
		}
		switch {
		case (s.cfg.Owner != nil || s.browsers != nil) && !s.ids.OwnedBy(id, owner):
			err = ErrOwner
		case s.ids.Expired(id):
			err = ErrExpired
		default:
			return s.tab(id, nil)
		}
	}
	return s.tab(session.ID{}, err)
}

// Of is all tabs of an owner. Its Disconnect belongs in a logout: the tabs come
// back, and are asked who they are.
func (s *Server) Of(owner string) *Target {
	return &Target{group: group{srv: s, topic: emitter.Owner(owner)}}
}

// In is all tabs in a room. A name that no room can have gives a Channel whose
// calls return ErrRoom.
func (s *Server) In(room string) *Channel {
	return &Channel{group{s, emitter.Room(room), emitter.CheckRoom(room)}}
}

// All is every tab.
func (s *Server) All() *Channel {
	return &Channel{group{srv: s, topic: emitter.All()}}
}

// Emit sends a named event; see Session.Emit.
func (t *Target) Emit(event string, data ...any) error {
	return t.publish(t.named(event, data))
}

// Send sends an event without a name; see Session.Send.
func (t *Target) Send(data any) error { return t.publish(t.encode(Event{Data: data})) }

// Publish sends an event; see Session.Publish.
func (t *Target) Publish(e Event) error { return t.publish(t.encode(e)) }

func (t *Target) publish(f *emitter.Frame, err error) error {
	if err != nil {
		return err
	}
	n, err := t.srv.hub.Publish(t.topic, f)
	switch {
	case t.address == "" || n > 0:
		return nil
	case err != nil:
		return ended(err)
	}
	return t.absent()
}

// absent says what became of a tab that is not connected.
func (t *Target) absent() error {
	closed, err := t.srv.addressClosed(context.Background(), t.address)
	switch {
	case err != nil:
		return err
	case closed:
		return ErrClosed
	}
	return ErrNotConnected
}

// Address is the tab's address; empty for an owner, and where the Target could
// not be made.
func (t *Target) Address() string {
	if t.err != nil {
		return ""
	}
	return t.address
}

// Join puts the tab, or those of the owner that are there now, into rooms.
func (t *Target) Join(rooms ...string) error { return t.member(t.join(rooms)) }

// Leave takes the tab, or those of the owner, out of rooms.
func (t *Target) Leave(rooms ...string) error { return t.member(t.leave(rooms)) }

func (t *Target) member(err error) error {
	if errors.Is(err, ErrNotConnected) {
		return t.absent()
	}
	return err
}

// Disconnect ends the connection, not the session; see Session.Disconnect. It
// does not wait for the end. A tab that is not connected is ErrNotConnected or
// ErrClosed.
func (t *Target) Disconnect() error {
	n, err := t.disconnect()
	if err == nil && n == 0 && t.address != "" {
		return t.absent()
	}
	return err
}

// Close closes the session for good: when it returns nil, that is on disk; see
// Session.Close. It does not wait for the connection's end. To and From close
// a session that is not connected as well; At one that is connected or away,
// else it is ErrNotConnected; Of those of the owner that are connected or
// away, stopping at the first that fails. Closing twice is fine.
func (t *Target) Close() error {
	switch {
	case t.err != nil:
		return t.err
	case t.known:
		return t.srv.closeForGood(t.address)
	}
	addresses := t.srv.hub.Known(t.topic)
	if len(addresses) == 0 && t.address != "" {
		if err := t.absent(); err != ErrClosed {
			return err
		}
	}
	for _, address := range addresses {
		if err := t.srv.closeForGood(address); err != nil {
			return err
		}
	}
	return nil
}

// Closed reports whether the tab was closed for good. For an owner it is
// false.
func (t *Target) Closed() (bool, error) {
	if t.err != nil || t.address == "" {
		return false, t.err
	}
	return t.srv.addressClosed(context.Background(), t.address)
}

// Emit sends a named event; see Session.Emit.
func (c *Channel) Emit(event string, data ...any) error {
	return c.publish(c.named(event, data))
}

// Send sends an event without a name; see Session.Send.
func (c *Channel) Send(data any) error { return c.publish(c.encode(Event{Data: data})) }

// Publish sends an event; see Session.Publish. That nobody is there is no
// error.
func (c *Channel) Publish(e Event) error { return c.publish(c.encode(e)) }

func (c *Channel) publish(f *emitter.Frame, err error) error {
	if err == nil {
		c.srv.hub.Publish(c.topic, f)
	}
	return err
}

// Join puts the channel's tabs that are there now into rooms.
func (c *Channel) Join(rooms ...string) error { return c.join(rooms) }

// Leave takes the channel's tabs out of rooms.
func (c *Channel) Leave(rooms ...string) error { return c.leave(rooms) }

// Disconnect ends the connections of the channel's tabs, which come back. It
// does not wait for the end.
func (c *Channel) Disconnect() error {
	_, err := c.disconnect()
	return err
}

// Addresses lists the addresses of the tabs that are connected, sorted.
func (g *group) Addresses() []string {
	if g.err != nil {
		return []string{}
	}
	return g.srv.hub.Addresses(g.topic)
}

// Count is how many tabs are connected.
func (g *group) Count() int {
	if g.err != nil {
		return 0
	}
	return g.srv.hub.Count(g.topic)
}

func (g *group) named(event string, data []any) (*emitter.Frame, error) {
	if g.err != nil {
		return nil, g.err
	}
	return g.srv.named(event, data)
}

func (g *group) encode(e Event) (*emitter.Frame, error) {
	if g.err != nil {
		return nil, g.err
	}
	return g.srv.encode(e)
}

func (g *group) join(rooms []string) error {
	if g.err != nil {
		return g.err
	}
	return g.srv.hub.Join(g.topic, rooms...)
}

func (g *group) leave(rooms []string) error {
	if g.err != nil {
		return g.err
	}
	return g.srv.hub.Leave(g.topic, rooms...)
}

func (g *group) disconnect() (n int, err error) {
	if g.err != nil {
		return 0, g.err
	}
	conns := g.srv.hub.Conns(g.topic)
	for _, c := range conns {
		c.End(disconnected)
	}
	return len(conns), nil
}

func (s *Server) encode(e Event) (*emitter.Frame, error) { return s.events.Encode(e) }

// named encodes the event of an Emit.
func (s *Server) named(name string, data []any) (*emitter.Frame, error) {
	switch len(data) {
	case 0:
		return s.encode(Event{Name: name, Data: ""})
	case 1:
		return s.encode(Event{Name: name, Data: data[0]})
	}
	return nil, fmt.Errorf("%w: %d values for one event; put them in a struct or a slice", ErrData, len(data))
}
