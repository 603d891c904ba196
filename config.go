package sse

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/lastevent/sse/persist"
)

// Config holds what a Server is told once. The zero value works: a Server of
// its own file, with ids that live for thirty days.
type Config struct {
	// DB is the path of the file for the ledger; the signing keys are beside it, in a file with ".keys" at the end of its name. Do not put it
	// where a file server finds it. Empty means $SSE_DB, else sse.db in
	// $STATE_DIRECTORY, else sse.db in a directory with the program's name in
	// the user's configuration directory.
	DB string

	// Store is used instead of a file, and closed by Server.Close. A store
	// that many machines share, unlike persist.Open and persist.NewMemory,
	// makes no keys, so Keys must be set. Nil means the file.
	Store persist.Store

	// Keys sign the ids: the first signs, all are accepted. Each has at least
	// 32 random bytes. Nil means $SSE_KEY (hex, newest first, separated by
	// commas or spaces), else the store's own, made when it is new.
	//
	// To rotate without losing a tab: first add the new key at the end, on
	// all servers; then move it to the front, on all servers; and take the
	// old one away when IDLifetime has passed since. One server with a file
	// needs no first step. An id whose key is gone is no id: its tab becomes a
	// new one, even if it had been closed.
	Keys [][]byte

	// IDLifetime is how long an id is good, from the moment it was made, and
	// how long the ledger keeps a closed one. A longer life costs ledger space
	// for each closed session; after a shorter one, tabs that stay open for
	// long come back as new ones. Where it is raised, what was closed before is
	// kept for the time that held then. Zero means 30 days.
	IDLifetime time.Duration

	// Owner names the principal that a request is of, such as the user who is
	// logged in, or "" for nobody. Ids are bound to it: under another owner
	// the tab is a new one. It is called for every request that opens a
	// stream or is given to From, so it should be quick. An error means
	// trouble that will pass: the browser is told to come back. Option Owner
	// goes before it. Nil means that all tabs are nobody's.
	Owner func(*http.Request) (string, error)

	// OwnerCookie is the name of a signed cookie by which each browser becomes
	// an owner, for programs without logins: an id that leaked is then of no
	// use in another browser. See Server.OwnerCookie. It is not used where
	// Owner or option Owner says who it is. Behind a proxy that ends TLS use a
	// name that begins with "__Host-", so that browsers send it over TLS only.
	// Browsers keep it from pages of other sites, also those of AllowedOrigins,
	// whose tabs are new ones at each connection then. Empty means none.
	OwnerCookie string

	// ID chooses the session's id for a request: 1 to 64 characters of
	// [A-Za-z0-9_-], or "" for a signed one as usual. It decides alone; what
	// the browser sends is not believed. Such an id has no age: once closed it
	// is refused for IDLifetime, and then good again. Where another owner's tab
	// has it, the request gets a signed one. An error means trouble that will
	// pass. Nil means signed ids.
	ID func(*http.Request) (string, error)

	// TrustClientIDs lets the client choose its id: any that ID might return
	// is accepted as the tab's identity at its word, so everyone who knows or
	// guesses it is that tab. Signed ids still work.
	TrustClientIDs bool

	// AllowedOrigins are the other sites whose pages may open streams here,
	// with their credentials, each as in "https://app.example". Pages of all
	// other sites, subdomains included, are answered 403.
	AllowedOrigins []string

	// Grace is how long a page that brings the id of a connected tab waits
	// for that connection to end, as it does when the page was reloaded. More
	// helps behind proxies that are slow to pass on that a browser left, and
	// delays the first event of duplicated tabs. Zero means one second.
	Grace time.Duration

	// Retry is the time after which a browser reconnects, varied by up to a
	// quarter for each connection. Less brings tabs back sooner, and all of
	// them sooner onto a server that has just come up. At least 100 ms; zero
	// means 2 seconds.
	Retry time.Duration

	// Spread is the time over which browsers come back after Shutdown. More
	// is gentler to the next server, less is a shorter gap. Zero means a
	// millisecond for each connection, at most 30 seconds; below zero means
	// none.
	Spread time.Duration

	// Heartbeat is the silence after which a comment is sent, so that proxies
	// do not take the stream for dead, nor browsers' clients (45 s). Less
	// costs a write for each idle tab that often. Zero means 15 seconds; below
	// zero means none.
	Heartbeat time.Duration

	// WriteTimeout is how long one write may take before its connection is
	// cut. It replaces that of http.Server, which would cut healthy streams.
	// Zero means 30 seconds.
	WriteTimeout time.Duration

	// SessionEvent is the name of the event that begins every connection, with
	// {"state": "new", "address": "…"} as its data. Without it a tab has no
	// id before the program's first event. Empty means "session"; "-" means
	// none.
	SessionEvent string

	// CloseEvent is the name of the last event of a session that is closed
	// for good; some clients do not take a 204 for an answer and must close by
	// themselves. Empty means "close"; "-" means none.
	CloseEvent string

	// Limits bound what one client, or one mistake, can cost.
	Limits Limits

	// Logger gets what the program cannot be told otherwise, and at debug
	// level every coming and going. Sessions appear by their addresses, ids
	// never. Nil means slog.Default().
	Logger *slog.Logger
}

// Limits are a Server's bounds. Zero means the default of each.
type Limits struct {
	// Connections at a time. Above it, browsers are told to come back later.
	// The default is 100,000: have descriptors for them.
	Connections int
	// OwnerConnections at a time of one owner, above which it is the same.
	// The default is 100.
	OwnerConnections int
	// Rooms that one session is in. The default is 1,000.
	Rooms int
	// NameBytes is the length of an event's name. The default is 256.
	NameBytes int
	// EventBytes is the size of one event. The default is 1 MiB.
	EventBytes int
	// QueueEvents wait for one connection; when they are exceeded its reader
	// has lagged too far behind, and is cut. The default is 4,096.
	QueueEvents int
	// QueueBytes is the same in bytes. Events to many are held once, not for
	// each of them. The default is 16 MiB.
	QueueBytes int
	// Takeovers of one session that follow each other within a minute, or four
	// times Retry, after which it is taken for two tabs. The default is 3.
	Takeovers int
	// Away is the number of sessions in rooms that are remembered, for a
	// minute, while they have no connection. The default is 10,000.
	Away int
}

const maxSpread = 30 * time.Second

func (c *Config) setDefaults() error {
	for name, d := range map[string]*duration{
		"IDLifetime":   {&c.IDLifetime, 30 * 24 * time.Hour, time.Second},
		"Grace":        {&c.Grace, time.Second, time.Millisecond},
		"Retry":        {&c.Retry, 2 * time.Second, 100 * time.Millisecond},
		"WriteTimeout": {&c.WriteTimeout, 30 * time.Second, time.Millisecond},
	} {
		if *d.value == 0 {
			*d.value = d.preset
		}
		if *d.value < d.least {
			return fmt.Errorf("%w: %s is %v; at least %v, or 0 for %v", ErrConfig, name, *d.value, d.least, d.preset)
		}
	}
	switch {
	case c.Heartbeat == 0:
		c.Heartbeat = 15 * time.Second
	case c.Heartbeat < 0:
		c.Heartbeat = 0
	case c.Heartbeat < 10*time.Millisecond:
		return fmt.Errorf("%w: Heartbeat is %v; at least 10ms, or below 0 for none", ErrConfig, c.Heartbeat)
	}
	for name, l := range map[string]*limit{
		"Connections":      {&c.Limits.Connections, 100_000},
		"OwnerConnections": {&c.Limits.OwnerConnections, 100},
		"Rooms":            {&c.Limits.Rooms, 1_000},
		"NameBytes":        {&c.Limits.NameBytes, 256},
		"EventBytes":       {&c.Limits.EventBytes, 1 << 20},
		"QueueEvents":      {&c.Limits.QueueEvents, 4_096},
		"QueueBytes":       {&c.Limits.QueueBytes, 16 << 20},
		"Takeovers":        {&c.Limits.Takeovers, 3},
		"Away":             {&c.Limits.Away, 10_000},
	} {
		if *l.value == 0 {
			*l.value = l.preset
		}
		if *l.value < 0 {
			return fmt.Errorf("%w: Limits.%s is %d; above 0, or 0 for %d", ErrConfig, name, *l.value, l.preset)
		}
	}
	if c.Limits.QueueBytes < c.Limits.EventBytes {
		return fmt.Errorf("%w: Limits.QueueBytes (%d) is less than EventBytes (%d), so that a largest event could never be sent",
			ErrConfig, c.Limits.QueueBytes, c.Limits.EventBytes)
	}
	if c.SessionEvent == "" {
		c.SessionEvent = "session"
	}
	if c.CloseEvent == "" {
		c.CloseEvent = "close"
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return nil
}

type duration struct {
	value         *time.Duration
	preset, least time.Duration
}

type limit struct {
	value  *int
	preset int
}
