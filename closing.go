package sse

import (
	"context"
	"errors"
	"fmt"

	"github.com/lastevent/sse/closing"
	"github.com/lastevent/sse/emitter"
	"github.com/lastevent/sse/persist"
	"github.com/lastevent/sse/session"
)

// closeForGood enters the address in the ledger, and then ends the session's
// connection. In this order a browser that comes back in between is turned
// away: New looks into the ledger when it has taken its place.
func (s *Server) closeForGood(address string) error {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	if err := s.ledger.Close(ctx, address); err != nil {
		if s.notices.due("ledger") {
			s.log.Error("sse: sessions cannot be closed for good", "error", err)
		}
		return fmt.Errorf("sse: session %s could not be closed for good: %w", address, timely(err))
	}
	s.counts.closed.Add(1)
	s.log.Debug("sse: closed for good", "address", address)
	for _, c := range s.hub.Conns(emitter.Tab(address)) {
		c.End(s.goodbye)
	}
	s.hub.Forget(address)
	return nil
}

// ownEvents encodes what the library itself sends, so that a setting which
// makes that impossible is known at once.
func (s *Server) ownEvents() (err error) {
	if _, err = s.greeting(StateForked, "0123456789abcdef"); err != nil {
		return fmt.Errorf("%w: SessionEvent: %w", ErrConfig, err)
	}
	// The end that tells the browser not to come back: an event that says so,
	// for clients that a 204 does not stop, and a clean end.
	s.goodbye = emitter.Ending{Err: &closing.Error{Reason: ErrClosed}, How: emitter.Clean, Drain: true}
	if name := s.cfg.CloseEvent; name != "-" {
		if s.goodbye.Last, err = s.encode(Event{Name: name}); err != nil {
			return fmt.Errorf("%w: CloseEvent: %w", ErrConfig, err)
		}
	}
	return nil
}

// greeting is the event that begins a connection; nil if it is turned off.
func (s *Server) greeting(state State, address string) (*emitter.Frame, error) {
	if s.cfg.SessionEvent == "-" {
		return nil, nil
	}
	return s.encode(Event{Name: s.cfg.SessionEvent, Data: fmt.Sprintf(`{"state":%q,"address":%q}`, state, address)})
}

// closed looks the id up in the ledger, under all its addresses.
func (s *Server) closed(ctx context.Context, id session.ID) (bool, error) {
	closed, err := s.addressClosed(ctx, id.Address())
	for _, address := range id.Former() {
		if closed || err != nil {
			break
		}
		closed, err = s.addressClosed(ctx, address)
	}
	return closed, err
}

func (s *Server) addressClosed(ctx context.Context, address string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	closed, err := s.ledger.Closed(ctx, address)
	return closed, timely(err)
}

// timely names what the store returns when it has not answered in time, or
// has been closed with its server.
func timely(err error) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: no answer within %v: %w", ErrUnavailable, storeTimeout, err)
	case errors.Is(err, persist.ErrClosed):
		return fmt.Errorf("%w: %w", ErrShutdown, err)
	}
	return err
}
