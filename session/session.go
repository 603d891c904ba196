// Package session knows who a request is: the signed ids that tabs carry, what
// a request claims, whether its page may claim anything at all, and how a
// connection begins.
//
// It decides from the request and the keys alone. Whether an id is closed for
// good is package closing's to say, and whether its tab is connected is
// package emitter's; package sse puts the three together.
package session

// A State says how a connection began.
type State uint8

const (
	// New is a tab that this server had not met, or whose id was no good.
	New State = iota
	// Resumed is a known tab that has missed nothing.
	Resumed
	// Gap is a known tab that has, or may have, missed events: what they said
	// must be read from the program's own state.
	Gap
	// Forked is a tab that brought the id of another tab which is still
	// there, as a duplicated tab does: it was given an id of its own.
	Forked
)

// String is the word that the browser is told in the first event.
func (s State) String() string {
	switch s {
	case New:
		return "new"
	case Resumed:
		return "resumed"
	case Gap:
		return "gap"
	case Forked:
		return "forked"
	}
	return "unknown"
}
