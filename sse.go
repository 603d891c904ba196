// Package sse serves Server-Sent Events to tabs that have an identity.
//
// Every connection gets a stable, signed id, which the page sees as
// lastEventId and which comes back on reconnect, on reload and after a restart
// of the server. A session that was closed stays closed: each later attempt is
// answered 204 No Content. Events go to one tab, to all tabs of a user, to a
// room or to everyone.
//
//	package main
//
//	import (
//		"log"
//		"net/http"
//
//		"github.com/lastevent/sse"
//	)
//
//	func main() {
//		http.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
//			s, err := sse.New(w, r) // 204, 4xx or the stream's head has been written
//			if err != nil {
//				return // errors.Is(err, sse.ErrClosed): this tab was closed for good
//			}
//			s.Emit("connect")
//			s.Wait() // until the tab leaves or the server closes it
//		})
//		http.HandleFunc("POST /leave", func(w http.ResponseWriter, r *http.Request) {
//			sse.From(r).Close() // the tab that this request proves to be
//		})
//		log.Fatal(http.ListenAndServe("localhost:8080", nil))
//	}
//
// The functions of the package use the server that Default returns. Open makes
// a Server of one's own, with the same methods.
//
// This package joins four others, which know one thing each: session who a
// request is, closing who may not come back, emitter how events go out, and
// persist what survives.
package sse

import (
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/lastevent/sse/closing"
	"github.com/lastevent/sse/emitter"
	"github.com/lastevent/sse/session"
)

var preset struct {
	mu     sync.Mutex
	server *Server
	err    error
	tried  time.Time
}

// reopen is how long a failure to open the default server is taken for
// granted.
const reopen = time.Second

// Default returns the server that the package's functions use, which is
// Open(Config{}) at the first use. Where that fails, which is logged, all
// functions return its error and browsers are told to come back; the next use
// after a second tries again, because the file may well belong to the process
// that this one replaces. Default blocks for about a second then.
func Default() (*Server, error) {
	preset.mu.Lock()
	defer preset.mu.Unlock()
	if preset.server != nil {
		return preset.server, nil
	}
	if preset.err == nil || time.Since(preset.tried) >= reopen {
		preset.server, preset.err = Open(Config{})
		preset.tried = time.Now()
		if preset.err != nil {
			slog.Error("sse: THE DEFAULT SERVER CANNOT BE OPENED; no stream is served", "error", preset.err)
		}
	}
	return preset.server, preset.err
}

// New is Server.New of the default server.
func New(w http.ResponseWriter, r *http.Request, opts ...Option) (*Session, error) {
	s, err := Default()
	if err == nil {
		return s.New(w, r, opts...)
	}
	out, _, ferr := emitter.NewResponse(w, r)
	if ferr != nil {
		closing.Refuse(w, http.StatusInternalServerError, "This server cannot stream.")
		return nil, ferr
	}
	comeBack(out, 2*time.Second)
	return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// Handler is Server.Handler of the default server.
func Handler(fn func(*Session, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := Default()
		if err != nil {
			New(w, r)
			return
		}
		s.Handler(fn).ServeHTTP(w, r)
	})
}

// To is Server.To of the default server.
func To(id string) *Target { return target(func(s *Server) *Target { return s.To(id) }) }

// At is Server.At of the default server.
func At(address string) *Target { return target(func(s *Server) *Target { return s.At(address) }) }

// Of is Server.Of of the default server.
func Of(owner string) *Target { return target(func(s *Server) *Target { return s.Of(owner) }) }

// From is Server.From of the default server.
func From(r *http.Request) *Target { return target(func(s *Server) *Target { return s.From(r) }) }

// In is Server.In of the default server.
func In(room string) *Channel { return channel(func(s *Server) *Channel { return s.In(room) }) }

// All is Server.All of the default server.
func All() *Channel { return channel((*Server).All) }

func target(find func(*Server) *Target) *Target {
	s, err := Default()
	if err != nil {
		return &Target{group: group{err: err}}
	}
	return find(s)
}

func channel(find func(*Server) *Channel) *Channel {
	s, err := Default()
	if err != nil {
		return &Channel{group{err: err}}
	}
	return find(s)
}

// IsEventSource reports whether the request says that it wants an event
// stream, by an Accept header with text/event-stream. Browsers say so, other
// clients need not.
func IsEventSource(r *http.Request) bool { return session.IsEventSource(r) }
