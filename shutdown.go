package sse

import (
	"context"
	"net/http"
	"runtime"
	"sync"
	"time"
	"weak"

	"github.com/lastevent/sse/closing"
	"github.com/lastevent/sse/emitter"
)

// Shutdown lets all browsers go, to come back to this server's successor: each
// is told a time to come back, spread over Config.Spread, gets what was sent
// before, and is cut. It then closes the store. New turns away whoever comes
// meanwhile, in the same way. An http.Server whose handlers call New does the
// first part by itself for its own connections when it is shut down, so that
// its Shutdown does not wait for streams that never end; the first of its
// streams must have been opened before.
//
// Shutdown waits until no connection is written to. If ctx ends before, the
// rest is cut at once, and its error is returned. What the store returns on
// closing comes else.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopping.Store(true)
	err := s.sendAway(ctx, s.hub.Close())
	if cerr := s.Close(); err == nil {
		err = cerr
	}
	return err
}

// sendAway ends connections so that their browsers come back spread out.
func (s *Server) sendAway(ctx context.Context, conns []*emitter.Conn) error {
	spread := s.cfg.Spread
	if spread == 0 {
		spread = min(time.Duration(len(conns))*time.Millisecond, maxSpread)
	}
	for _, c := range conns {
		retry := closing.Spread(closing.Jitter(s.cfg.Retry), spread)
		last, _ := s.encode(Event{Retry: retry})
		c.End(emitter.Ending{Err: &closing.Error{Reason: ErrShutdown}, How: emitter.Cut, Drain: true, Last: last})
	}
	for _, c := range conns {
		select {
		case <-c.Done():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// homes are the http.Servers whose handlers call New. Each is told once to
// send its streams away when it is shut down, since it would wait for them for
// ever. They are held weakly: a program, or a test, may have many in turn.
type homes struct {
	mu sync.Mutex
	by map[weak.Pointer[http.Server]]*home
}

// A home is one http.Server.
type home struct {
	mu       sync.Mutex
	down     bool
	sessions map[*Session]struct{}
}

// of finds the home of the request; nil where no http.Server is in its
// context, as in tests with a recorder.
func (hs *homes) of(s *Server, r *http.Request) *home {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok {
		return nil
	}
	key := weak.Make(server)
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if h := hs.by[key]; h != nil {
		return h
	}
	if hs.by == nil {
		hs.by = make(map[weak.Pointer[http.Server]]*home)
	}
	h := &home{sessions: make(map[*Session]struct{})}
	hs.by[key] = h
	// Both hold the Server, neither is held by it.
	server.RegisterOnShutdown(func() { h.shutDown(s) })
	runtime.AddCleanup(server, hs.forget, key)
	return h
}

func (hs *homes) forget(key weak.Pointer[http.Server]) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	delete(hs.by, key)
}

// shutDown runs in a goroutine of http.Server.Shutdown, which waits for the
// handlers that it lets return.
func (h *home) shutDown(s *Server) {
	h.mu.Lock()
	h.down = true
	conns := make([]*emitter.Conn, 0, len(h.sessions))
	for sess := range h.sessions {
		conns = append(conns, sess.conn)
	}
	h.mu.Unlock()
	s.sendAway(context.Background(), conns)
}

func (h *home) stopping() bool {
	if h == nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.down
}

func (h *home) add(s *Session) {
	if h == nil {
		return
	}
	h.mu.Lock()
	down := h.down
	h.sessions[s] = struct{}{}
	h.mu.Unlock()
	if down { // it came to be while the session was on its way here
		s.conn.End(emitter.Ending{Err: &closing.Error{Reason: ErrShutdown}, How: emitter.Cut, Drain: true})
	}
}

func (h *home) remove(s *Session) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.sessions, s)
}
