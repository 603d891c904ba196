// Package closing knows who may not come back, and how streams say goodbye.
//
// Its Ledger holds the sessions that were closed for good; NoContent is the
// answer that they get, and ComeBack the answer for everybody who cannot be
// served just now. An Error says why a connection ended.
package closing

import "errors"

// Why a connection ended, as far as it was decided above the connection itself.
// Each is what errors.Is finds in an *Error.
var (
	// ErrClosed: the session was closed for good. Its browser is answered
	// 204 No Content from now on and does not come back.
	ErrClosed = errors.New("sse: session is closed for good")
	// ErrDisconnected: the server ended this connection only. The browser
	// comes back as the same session.
	ErrDisconnected = errors.New("sse: disconnected by the server")
	// ErrLeft: the browser went away: a closed or reloaded page, a lost
	// network.
	ErrLeft = errors.New("sse: the browser left")
	// ErrUntil: the time that option Until set has come.
	ErrUntil = errors.New("sse: the time of this connection is over")
	// ErrShutdown: the server shuts down.
	ErrShutdown = errors.New("sse: server is shutting down")
)

// An Error is the end of a connection. Reason is one of the errors above, or of
// the connection's own; Err is what brought it about, if there is more to say.
// errors.Is and errors.As find both.
type Error struct {
	Reason error
	Err    error
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Reason.Error()
	}
	return e.Reason.Error() + ": " + e.Err.Error()
}

// Unwrap returns the reason and what brought it about.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Reason}
	}
	return []error{e.Reason, e.Err}
}
