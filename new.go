package sse

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/lastevent/sse/closing"
	"github.com/lastevent/sse/emitter"
	"github.com/lastevent/sse/session"
)

// New makes the response w an event stream and returns the session of the tab
// that asks for it: the one that the request proves to be, or a new one. With
// it the stream's head has been sent, and the event that tells the tab its id.
// The handler ends with s.Wait, s.Close or a deferred s.Disconnect; it must not
// return before one of them has, nor write to w.
//
// With an error the request has been answered, and the handler returns.
//
//   - ErrClosed, 204: this tab was closed for good.
//   - ErrCrossSite, 403: the page is of a site that is not in AllowedOrigins.
//   - ErrMethod, 405: neither GET nor POST (which clients with bodies use). A
//     HEAD is answered with the head.
//   - ErrRoom, 400: option Rooms names one that cannot be.
//   - ErrFlush, 500: nothing can be sent through w before the handler returns.
//   - ErrUnavailable, ErrTooMany, ErrShutdown, ErrUntil: this will pass, so it
//     is a 200 that ends at once with a time to come back: after any other
//     status a browser would give up for good.
//   - ErrLeft: the request's context ended before it was served.
//
// A request that names a session which is connected takes its place if it is
// the browser's own reconnect. If it is a page that was loaded anew, New waits
// up to Config.Grace for the old connection to end; where that one lives on,
// the page is a duplicate of the tab, and gets an id of its own (StateForked).
//
// New blocks for the store, for that grace, and for the first write.
func (s *Server) New(w http.ResponseWriter, r *http.Request, opts ...Option) (*Session, error) {
	a := &arrival{srv: s, w: w, r: r}
	for _, o := range opts {
		o(&a.opt)
	}
	sess, err := a.serve()
	if err != nil {
		a.answer(err)
		return nil, err
	}
	return sess, nil
}

// An arrival is a request on its way to become a session's connection.
type arrival struct {
	srv   *Server
	w     http.ResponseWriter
	r     *http.Request
	opt   options
	owner string
	home  *home
	out   *emitter.Response
	cors  string
}

func (a *arrival) serve() (*Session, error) {
	var ok bool
	if a.cors, ok = a.srv.origins.Admit(a.r); !ok {
		return nil, ErrCrossSite
	}
	if m := a.r.Method; m != http.MethodGet && m != http.MethodPost {
		return nil, fmt.Errorf("%w: %s", ErrMethod, m)
	}
	out, deadlines, err := emitter.NewResponse(a.w, a.r)
	if err != nil {
		return nil, err
	}
	a.out = out
	if !deadlines && a.srv.notices.due("deadlines") {
		a.srv.log.Warn("sse: the ResponseWriter hides its deadlines, so streams end at the http.Server's WriteTimeout and cannot be cut; the middleware that wraps it needs an Unwrap method",
			"type", fmt.Sprintf("%T", a.w))
	}
	if a.home = a.srv.homes.of(a.srv, a.r); a.srv.stopping.Load() || a.home.stopping() {
		return nil, ErrShutdown
	}
	if !a.opt.until.IsZero() && !time.Now().Before(a.opt.until) {
		return nil, ErrUntil
	}
	if a.owner, err = a.principal(); err != nil {
		return nil, err
	}
	sess, err := a.settle()
	if err != nil {
		return nil, err
	}
	opened := false
	defer func() {
		if !opened { // a wrapper's WriteHeader, or the Logger, has panicked
			sess.conn.Discard(&closing.Error{Reason: ErrLeft})
		}
	}()
	sess.prepare(a)
	opened = true
	sess.open()
	return sess, nil
}

func (a *arrival) principal() (string, error) {
	switch {
	case a.opt.hasOwner:
		return a.opt.owner, nil
	case a.srv.cfg.Owner == nil && a.srv.browsers != nil:
		return a.srv.browsers.Ensure(a.w, a.r)
	}
	return a.srv.owner(a.r)
}

// recognise finds the first claim that is good for this request. known is
// false when there is none.
func (a *arrival) recognise() (id session.ID, claim session.Claim, known bool, err error) {
	claims := session.Claims(a.r)
	id, chosen, err := a.srv.chosen(a.r)
	if err != nil {
		return id, claim, false, err
	}
	if chosen {
		claim = session.Claim{ID: id.String(), Reload: true}
		for _, c := range claims { // they only tell whether it reconnects
			if c.ID == claim.ID {
				claim = c
				break
			}
		}
		return id, claim, true, a.refuseClosed(id)
	}
	for _, claim := range claims {
		id, err := a.srv.parse(claim.ID, a.srv.cfg.TrustClientIDs)
		if err != nil {
			continue
		}
		// The ledger comes before the owner and the age: a closed tab stays
		// closed, whoever is logged in by now.
		if err := a.refuseClosed(id); err != nil {
			return id, claim, false, err
		}
		if a.srv.ids.OwnedBy(id, a.owner) && !a.srv.ids.Expired(id) {
			return id, claim, true, nil
		}
	}
	return id, claim, false, nil
}

// refuseClosed returns ErrClosed for an id that is in the ledger.
func (a *arrival) refuseClosed(id session.ID) error {
	closed, err := a.srv.closed(a.r.Context(), id)
	switch {
	case err != nil && a.r.Context().Err() != nil:
		return fmt.Errorf("%w: %w", ErrLeft, err)
	case err == nil && closed:
		return ErrClosed
	}
	return err
}

// settle decides which session this is and attaches it.
func (a *arrival) settle() (*Session, error) {
	id, claim, known, err := a.recognise()
	if err != nil {
		return nil, err
	}
	if !known {
		return a.fresh(StateNew)
	}
	place := emitter.Place{Address: id.Address(), TakeOver: !claim.Reload}
	// Each round waits for another connection to end, so there are few.
	for range 3 {
		// Without a log there is no telling what the tab has missed.
		s := a.session(id, claim.App, StateGap)
		busy, err := a.attach(s, place)
		switch {
		case err == nil:
			if err := a.refuseClosed(id); err != nil {
				// It was closed after the first look and before it had this
				// place, so that nobody was there to be ended.
				s.conn.Discard(err)
				return nil, err
			}
			a.srv.counts.returned.Add(1)
			return s, nil
		case errors.Is(err, emitter.ErrForeign):
			return a.fresh(StateNew) // an id that is not signed, and another owner has it
		case !errors.Is(err, emitter.ErrBusy):
			return nil, err
		}
		vanished, ended, err := a.await(busy)
		switch {
		case err != nil:
			return nil, err
		case vanished:
			place.Corpse = busy
		case !ended:
			return a.fresh(StateForked)
		}
	}
	return a.fresh(StateForked)
}

// fresh gives the tab an id of its own.
func (a *arrival) fresh(state State) (*Session, error) {
	id, err := a.srv.ids.New(a.owner)
	if err != nil {
		return nil, err
	}
	sess := a.session(id, "", state)
	if _, err := a.attach(sess, emitter.Place{Address: id.Address()}); err != nil {
		return nil, err
	}
	a.srv.counts.new.Add(1)
	if state == StateForked {
		a.srv.counts.forked.Add(1)
	}
	return sess, nil
}

func (a *arrival) session(id session.ID, app string, state State) *Session {
	if !emitter.ValidAppID(app) {
		app = ""
	}
	s := &Session{srv: a.srv, id: id, app: app, state: state, home: a.home, out: a.out}
	s.ctx, s.cancel = context.WithCancelCause(context.WithoutCancel(a.r.Context()))
	s.conn = a.srv.hub.NewConn(a.out, id.String(), app, s.done)
	return s
}

func (a *arrival) attach(s *Session, p emitter.Place) (busy *emitter.Conn, err error) {
	p.Owner, p.Rooms = a.owner, a.opt.rooms
	busy, err = a.srv.hub.Attach(s.conn, p)
	if errors.Is(err, emitter.ErrHubClosed) {
		err = ErrShutdown
	}
	return busy, err
}

// await pokes the connection that the session has and gives it the grace time
// to end. vanished means that its peer does not answer: it is a corpse that
// nobody had noticed.
func (a *arrival) await(old *emitter.Conn) (vanished, ended bool, err error) {
	silent := old.Poke()
	grace := time.NewTimer(a.srv.cfg.Grace)
	defer grace.Stop()
	select {
	case <-old.Done():
		return false, true, nil
	case <-a.r.Context().Done():
		return false, false, ErrLeft
	case <-grace.C:
		return silent(), false, nil
	}
}
