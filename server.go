package sse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lastevent/sse/closing"
	"github.com/lastevent/sse/emitter"
	"github.com/lastevent/sse/persist"
	"github.com/lastevent/sse/session"
)

// A Server keeps the sessions of one program. Its methods may be called by any
// goroutine.
type Server struct {
	cfg      Config
	log      *slog.Logger
	store    persist.Store
	ids      *session.Codec
	origins  session.Origins
	browsers *session.Browsers // nil without Config.OwnerCookie
	ledger   *closing.Ledger
	hub      *emitter.Hub
	events   emitter.Limits
	goodbye  emitter.Ending
	homes    homes
	notices  notices
	counts   counts

	stopping atomic.Bool
	close    func() error
}

const (
	// linger is how long a connection that ends may take to read what was
	// sent before.
	linger = 5 * time.Second
	// awayTime is how long a session keeps its rooms without a connection.
	awayTime = time.Minute
	// storeTimeout bounds what the store may take where the caller has set no
	// bound of his own.
	storeTimeout = 5 * time.Second
)

// Open makes a Server and opens its store. It blocks for a second at most
// where another process has the file.
//
// The error is ErrConfig for a setting that makes no sense, or one of package
// persist's: ErrLocked when another process has the file, ErrCorrupt,
// ErrKeyFile, or what the system says.
func Open(cfg Config) (*Server, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, log: cfg.Logger}
	var err error
	if s.origins, err = session.NewOrigins(cfg.AllowedOrigins); err != nil {
		return nil, fmt.Errorf("%w: AllowedOrigins: %w", ErrConfig, err)
	}
	s.events = emitter.Limits{Name: cfg.Limits.NameBytes, Event: cfg.Limits.EventBytes}
	if err := s.ownEvents(); err != nil {
		return nil, err
	}
	if s.store = cfg.Store; s.store == nil {
		path := cfg.DB
		if path == "" {
			if path, err = defaultPath(); err != nil {
				return nil, err
			}
		}
		if s.store, err = persist.Open(path); err != nil {
			return nil, err
		}
	}
	if err := s.useKeys(); err != nil {
		if cfg.Store == nil {
			s.store.Close()
		}
		return nil, err
	}
	// An id of a server whose clock is ahead lives that much longer.
	s.ledger = closing.NewLedger(s.store, cfg.IDLifetime+session.Skew)
	s.hub = emitter.NewHub(emitter.Options{
		Heartbeat:    cfg.Heartbeat,
		WriteTimeout: cfg.WriteTimeout,
		Linger:       linger,
		QueueEvents:  cfg.Limits.QueueEvents,
		QueueBytes:   cfg.Limits.QueueBytes,
		Conns:        cfg.Limits.Connections,
		OwnerConns:   cfg.Limits.OwnerConnections,
		Takeovers:    cfg.Limits.Takeovers,
		TakeoverSpan: max(time.Minute, 4*cfg.Retry),
		RoomsPerTab:  cfg.Limits.Rooms,
		Away:         cfg.Limits.Away,
		AwayTime:     awayTime,
	})
	s.close = sync.OnceValue(func() error {
		s.hub.Stop()
		return s.store.Close()
	})
	return s, nil
}

// defaultPath is outside of the working directory, which people serve.
func defaultPath() (string, error) {
	if path := os.Getenv("SSE_DB"); path != "" {
		return path, nil
	}
	if dirs := filepath.SplitList(os.Getenv("STATE_DIRECTORY")); len(dirs) > 0 && dirs[0] != "" {
		return filepath.Join(dirs[0], "sse.db"), nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("%w: there is no place for the store: %w (set Config.DB or $SSE_DB)", ErrConfig, err)
	}
	program, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("%w: the program has no name to keep its store under: %w (set Config.DB or $SSE_DB)", ErrConfig, err)
	}
	return filepath.Join(dir, filepath.Base(program), "sse.db"), nil
}

func (s *Server) useKeys() (err error) {
	keys := s.cfg.Keys
	from := "Keys"
	if keys == nil && os.Getenv("SSE_KEY") != "" {
		from = "$SSE_KEY"
		if keys, err = persist.ParseKeys(os.Getenv("SSE_KEY")); err != nil {
			return fmt.Errorf("%w: $SSE_KEY: %w", ErrConfig, err)
		}
		s.log.Info("sse: the keys are those of $SSE_KEY; what other keys have signed is void", "keys", len(keys))
	}
	if keys == nil {
		ring, ok := s.store.(persist.Keyring)
		if !ok {
			return fmt.Errorf("%w: Keys: a store that is shared makes none; give all its servers the same, in Config.Keys or $SSE_KEY", ErrConfig)
		}
		from = "the store's keys"
		if keys, err = ring.Keys(); err != nil {
			return err
		}
	}
	if s.ids, err = session.NewCodec(keys, s.cfg.IDLifetime); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrConfig, from, err)
	}
	if s.cfg.OwnerCookie != "" {
		if s.browsers, err = session.NewBrowsers(s.cfg.OwnerCookie, keys); err != nil {
			return fmt.Errorf("%w: OwnerCookie: %w", ErrConfig, err)
		}
	}
	return nil
}

// OwnerCookie returns the owner that Config.OwnerCookie makes of the request's
// browser, and sets the cookie on w when the browser has none. Call it where
// the page is served: a page that opens several streams at once, without a
// cookie before, would else get one with each of them, and keep the last.
// Without Config.OwnerCookie it is ErrConfig.
func (s *Server) OwnerCookie(w http.ResponseWriter, r *http.Request) (string, error) {
	if s.browsers == nil {
		return "", fmt.Errorf("%w: OwnerCookie is not set", ErrConfig)
	}
	return s.browsers.Ensure(w, r)
}

// Close ends all connections at once, cut so that the browsers come back, and
// closes the store. It waits until no connection is written to, which takes a
// moment, or 5 seconds where a wrapper keeps writes from being ended. It is
// idempotent. A program that goes down calls Shutdown first, of this or its
// http.Server.
func (s *Server) Close() error {
	s.stopping.Store(true)
	conns := s.hub.Close()
	for _, c := range conns {
		c.End(emitter.Ending{Err: &closing.Error{Reason: ErrShutdown}, How: emitter.Cut})
	}
	patience, cancel := context.WithTimeout(context.Background(), linger)
	defer cancel()
	for _, c := range conns {
		select {
		case <-c.Done():
		case <-patience.Done():
		}
	}
	return s.close()
}

// parse checks what stands for an id, by its text alone. An id that was chosen
// proves nothing, so it counts only where its bearer is trusted.
func (s *Server) parse(text string, trusted bool) (session.ID, error) {
	id, err := s.ids.Parse(text)
	if err == nil {
		return id, nil
	}
	if trusted {
		if given, err := s.ids.Given(text); err == nil {
			return given, nil
		}
	}
	if errors.Is(err, session.ErrForeignKey) && s.notices.due("foreign key") {
		s.log.Warn("sse: an id is signed by none of this server's keys: it is forged, or servers behind one address have different keys; its tab gets a new id")
	}
	return session.ID{}, err
}

// chosen is the id that Config.ID chooses for the request, if it does.
func (s *Server) chosen(r *http.Request) (id session.ID, ok bool, err error) {
	if s.cfg.ID == nil {
		return id, false, nil
	}
	text, err := s.cfg.ID(r)
	if err == nil && text != "" {
		id, err = s.ids.Given(text)
	}
	if err != nil {
		return id, false, fmt.Errorf("%w: Config.ID: %w", ErrUnavailable, err)
	}
	return id, text != "", nil
}

// owner is the principal of the request, for From and New. It does not set a
// cookie.
func (s *Server) owner(r *http.Request) (string, error) {
	switch {
	case s.cfg.Owner != nil:
		owner, err := s.cfg.Owner(r)
		if err != nil {
			return "", fmt.Errorf("%w: Config.Owner: %w", ErrUnavailable, err)
		}
		return owner, nil
	case s.browsers != nil:
		return s.browsers.Owner(r), nil
	}
	return "", nil
}
