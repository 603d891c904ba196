package sse

import (
	"net/http"
	"time"
)

// An Option says what is special about one call of New.
type Option func(*options)

type options struct {
	owner    string
	hasOwner bool
	rooms    []string
	until    time.Time
	header   http.Header
}

// Owner binds the session to a principal, such as the user who is logged in:
// an id is good for the owner only that it was made for. The empty owner is
// nobody. It goes before Config.Owner.
func Owner(name string) Option {
	return func(o *options) { o.owner, o.hasOwner = name, true }
}

// Rooms makes these the session's rooms before anything is sent to it, instead
// of those that it was in.
func Rooms(names ...string) Option {
	return func(o *options) { o.rooms = append([]string{}, names...) }
}

// Until cuts the connection at t, as when a login expires: the browser comes
// back and is asked again who it is. The zero time is never.
func Until(t time.Time) Option {
	return func(o *options) { o.until = t }
}

// Header sets a field of the response's head. All but Content-Type can be set,
// Cache-Control and X-Accel-Buffering included. What was set on the
// ResponseWriter before New is sent as well.
func Header(name, value string) Option {
	return func(o *options) {
		if o.header == nil {
			o.header = make(http.Header)
		}
		o.header.Set(name, value)
	}
}
