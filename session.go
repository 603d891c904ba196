package sse

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lastevent/sse/closing"
	"github.com/lastevent/sse/emitter"
	"github.com/lastevent/sse/session"
)

// An Event is what Publish sends: see emitter.Event.
type Event = emitter.Event

// A State says how a connection began.
type State = session.State

const (
	// StateNew: the tab was not known before.
	StateNew = session.New
	// StateResumed: the tab is known and has missed nothing.
	StateResumed = session.Resumed
	// StateGap: the tab is known and may have missed events; take a snapshot.
	StateGap = session.Gap
	// StateForked: the tab brought the id of a tab that is still connected,
	// and got one of its own.
	StateForked = session.Forked
)

// A Session is a tab, on the connection that New has made of a request. All
// methods may be called by any goroutine, and after the end.
//
// The sending ones return at once: they queue, and the tab sees events in the
// order in which they were accepted. After the end they return its reason.
type Session struct {
	srv    *Server
	id     session.ID
	app    string
	state  State
	conn   *emitter.Conn
	home   *home
	out    *emitter.Response
	ctx    context.Context
	cancel context.CancelCauseFunc

	left  func() bool // stops waiting for the browser to leave
	until *time.Timer
}

// prepare sends the head and makes all ready for open.
func (s *Session) prepare(a *arrival) {
	a.head()
	s.srv.log.Debug("sse: connected", "address", s.Address(), "state", s.state.String())
	s.out.Head()
	s.home.add(s)
	ctx := a.r.Context()
	s.left = s.out.OnLeave(ctx, func() {
		e := emitter.Ending{Err: &closing.Error{Reason: ErrLeft}, How: emitter.Gone}
		if errors.Is(ctx.Err(), context.DeadlineExceeded) { // it is still there
			e = emitter.Ending{Err: &closing.Error{Reason: ErrDisconnected, Err: context.Cause(ctx)}, How: emitter.Cut}
		}
		s.conn.End(e)
	})
	if t := a.opt.until; !t.IsZero() {
		s.until = time.AfterFunc(time.Until(t), func() {
			s.conn.End(emitter.Ending{Err: &closing.Error{Reason: ErrUntil}, How: emitter.Cut, Drain: true})
		})
	}
}

// open sends the greeting. It is the last step of New.
func (s *Session) open() {
	greeting, _ := s.srv.greeting(s.state, s.Address()) // checked by Open
	s.conn.Open(closing.Jitter(s.srv.cfg.Retry), greeting)
}

// done is called once, when the connection is not written to any more.
func (s *Session) done() {
	if s.left != nil {
		s.left()
	}
	if s.until != nil {
		s.until.Stop()
	}
	s.home.remove(s)
	err := s.Err()
	s.cancel(err)
	s.srv.log.Debug("sse: connection ended", "address", s.Address(), "reason", err)
}

// ID is the session's id, which the tab sees as lastEventId. It proves to be
// the tab: show it to nobody else.
func (s *Session) ID() string { return s.id.String() }

// Address is the part of the id that may be shown to anybody.
func (s *Session) Address() string { return s.id.Address() }

// State says how this connection began.
func (s *Session) State() State { return s.state }

// IsNew reports whether the session got its id by this connection: the state
// is StateNew or StateForked.
func (s *Session) IsNew() bool { return s.state == StateNew || s.state == StateForked }

// IsClosed reports whether the connection has ended, or is about to. It is
// true for a nil Session, which New returns with an error.
func (s *Session) IsClosed() bool { return s == nil || s.conn.Err() != nil }

// LastEventID is the last Event.ID that the browser says it has got, or "".
func (s *Session) LastEventID() string { return s.app }

// Emit sends a named event; without data it is empty, and of data there is at
// most one. How data becomes text is said at Event.Data.
//
// The error is ErrEventName, ErrData or ErrTooLarge for an event that cannot
// be sent, of which nothing is, or the *closing.Error that has ended the
// connection, which for ErrLagged this very call may have done.
func (s *Session) Emit(event string, data ...any) error {
	return s.publish(s.srv.named(event, data))
}

// Send sends an event without a name, which the page gets as "message".
func (s *Session) Send(data any) error {
	return s.publish(s.srv.encode(Event{Data: data}))
}

// Publish sends an event. Its errors are those of Emit, ErrEventID and
// ErrRetry.
func (s *Session) Publish(e Event) error { return s.publish(s.srv.encode(e)) }

// Comment sends a comment, which the page does not see.
func (s *Session) Comment(text string) error {
	if text == "" {
		text = " "
	}
	return s.publish(s.srv.encode(Event{Comment: text}))
}

// Retry sets the time after which the browser reconnects, in whole
// milliseconds. Less than one is ErrRetry.
func (s *Session) Retry(d time.Duration) error {
	if d < time.Millisecond {
		return fmt.Errorf("%w: %v", ErrRetry, d)
	}
	return s.publish(s.srv.encode(Event{Retry: d}))
}

func (s *Session) publish(f *emitter.Frame, err error) error {
	if err != nil {
		return err
	}
	return ended(s.conn.Send(f))
}

// Join puts the session into rooms; being there already is fine. The rooms
// are the session's: it keeps them over reconnects, for a minute. The error is
// ErrRoom, or the end of the connection.
func (s *Session) Join(rooms ...string) error { return s.member(s.srv.hub.Join, rooms) }

// Leave takes the session out of rooms; not being there is fine.
func (s *Session) Leave(rooms ...string) error { return s.member(s.srv.hub.Leave, rooms) }

func (s *Session) member(do func(emitter.Topic, ...string) error, rooms []string) error {
	err := do(emitter.Tab(s.Address()), rooms...)
	if end := s.Err(); err == ErrNotConnected && end != nil {
		return end
	}
	return err
}

// InRoom reports whether the session is in the room.
func (s *Session) InRoom(room string) bool { return s.srv.hub.InRoom(s.Address(), room) }

// Rooms lists the rooms that the session is in, sorted.
func (s *Session) Rooms() []string { return s.srv.hub.Rooms(s.Address()) }

// Done is closed when the connection has ended and is not written to any more.
func (s *Session) Done() <-chan struct{} { return s.conn.Done() }

// Err says why the connection has ended or is ending, as a *closing.Error; it
// is nil before.
func (s *Session) Err() error { return ended(s.conn.Err()) }

// Context has the values of the request's context and ends with the
// connection; context.Cause gives the *closing.Error.
func (s *Session) Context() context.Context { return s.ctx }

// Wait blocks until the connection has ended, because the browser left or the
// server ended it. When it has returned, the handler may.
func (s *Session) Wait() { <-s.conn.Done() }

// Close closes the session for good. First it is entered in the ledger, on
// disk; then the tab gets a last event ("close") and the stream ends cleanly.
// Every later request with the id is answered 204, which an EventSource obeys.
//
// Close blocks until the ledger has it and the connection has ended, so the
// handler may return then; a browser that does not read is given 5 seconds. It
// may be called again. With an error the session is not closed, or not
// certainly: the store's word is in it (persist.ErrUnavailable on a full
// disk). The connection has ended then too, cut so that the browser comes
// back, and Close can be tried again.
func (s *Session) Close() error {
	err := s.srv.closeForGood(s.Address())
	if err != nil {
		s.conn.End(disconnected)
	}
	s.Wait()
	return err
}

// Disconnect ends this connection and not the session: what was sent before
// still goes out, for up to 5 seconds, and then the stream is cut, so that the
// browser comes back as the same session. It blocks until the connection has
// ended, so the handler may return then. The error is nil.
func (s *Session) Disconnect() error {
	s.conn.End(disconnected)
	s.Wait()
	return nil
}

var disconnected = emitter.Ending{Err: &closing.Error{Reason: ErrDisconnected}, How: emitter.Cut, Drain: true}
