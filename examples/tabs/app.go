package main

import (
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/lastevent/sse"
)

const (
	maxBody   = 64 << 10               // bytes of one event's data
	maxListed = 1000                   // addresses in one "tabs" event
	pause     = 400 * time.Millisecond // between two of them
)

//go:embed page.html page.css page.js page.svg
var files embed.FS

// An app is the page and what it, or a script, can ask for.
type app struct {
	srv    *sse.Server
	roster *roster
}

// newApp returns an app on srv, which its close leaves open.
func newApp(srv *sse.Server) *app {
	a := &app{srv: srv}
	a.roster = newRoster(pause, a.tell)
	return a
}

func (a *app) close() { a.roster.close() }

func (a *app) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", file("page.html"))
	mux.HandleFunc("GET /page.css", file("page.css"))
	mux.HandleFunc("GET /page.js", file("page.js"))
	mux.HandleFunc("GET /page.svg", file("page.svg"))
	mux.HandleFunc("GET /events", a.events)
	mux.HandleFunc("GET /sessions", a.sessions)
	mux.HandleFunc("POST /send", says(a.tab(send)))
	mux.HandleFunc("POST /broadcast", says(a.broadcast))
	mux.HandleFunc("POST /room", says(a.room))
	mux.HandleFunc("POST /join", says(a.tab(join)))
	mux.HandleFunc("POST /leave", says(a.tab(leave)))
	mux.HandleFunc("POST /drop", says(a.tab(drop)))
	mux.HandleFunc("POST /close", says(a.tab(closeForGood)))
	return guarded(mux)
}

func file(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache") // the next build's may differ
		http.ServeFileFS(w, r, files, name)
	}
}

func (a *app) events(w http.ResponseWriter, r *http.Request) {
	s, err := a.srv.New(w, r)
	if err != nil {
		return
	}
	s.Emit("connect")
	a.roster.changed()
	s.Wait()
	a.roster.changed()
}

// A list is the data of the "tabs" event: addresses, since ids are nobody
// else's business.
type list struct {
	Total int      `json:"total"`
	Tabs  []string `json:"tabs"` // sorted, the first maxListed
}

func (a *app) tell() {
	tabs := a.srv.All().Addresses()
	a.srv.All().Emit("tabs", list{len(tabs), tabs[:min(len(tabs), maxListed)]})
}

// A tabState is what GET /sessions?id= tells.
type tabState struct {
	Address string `json:"address"`
	Live    bool   `json:"live"`
}

func (a *app) sessions(w http.ResponseWriter, r *http.Request) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		refuse(w, errQuery)
		return
	}
	if !query.Has("id") {
		reply(w, a.srv.All().Addresses())
		return
	}
	t, err := a.find(query)
	if err != nil {
		refuse(w, err)
		return
	}
	live := t.Count() > 0
	if !live && isAddress(query.Get("id")) {
		refuse(w, sse.ErrNotConnected) // nothing says that there ever was such a tab
		return
	}
	reply(w, tabState{t.Address(), live})
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	json.NewEncoder(w).Encode(v)
}

// A command does what a POST asks for and says so in a sentence.
type command func(query url.Values, body io.Reader) (done string, err error)

// says makes a handler of a command.
func says(do command) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			refuse(w, errQuery)
			return
		}
		done, err := do(query, http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			refuse(w, err)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		io.WriteString(w, done+"\n")
	}
}

func (a *app) broadcast(query url.Values, body io.Reader) (string, error) {
	return "sent to all", emit(a.srv.All(), query, body)
}

func (a *app) room(query url.Values, body io.Reader) (string, error) {
	room, err := roomName(query)
	if err != nil {
		return "", err
	}
	return "sent to the room", emit(a.srv.In(room), query, body)
}

// emit sends the body as the event that the query names.
func emit(to interface{ Emit(string, ...any) error }, query url.Values, body io.Reader) error {
	name := query.Get("event")
	if name == "" {
		name = "message"
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return fmt.Errorf("%w: %w", errBody, err)
	}
	return to.Emit(name, data)
}

// roomName is the query's room. Whether there can be one of that name the
// library says.
func roomName(query url.Values) (string, error) {
	room := query.Get("room")
	if room == "" {
		return "", errNoRoom
	}
	return room, nil
}
