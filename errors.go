package sse

import (
	"errors"

	"github.com/lastevent/sse/closing"
	"github.com/lastevent/sse/emitter"
	"github.com/lastevent/sse/persist"
	"github.com/lastevent/sse/session"
)

// Returned by New, which has answered the request then.
var (
	// ErrClosed: the session was closed for good; answered 204. It is also
	// what sending to such a session returns, and why its connection ended.
	ErrClosed = closing.ErrClosed
	// ErrCrossSite: the request comes from a page of another site, which
	// Config.AllowedOrigins does not list; answered 403.
	ErrCrossSite = errors.New("sse: request from a page of another site")
	// ErrMethod: the request's method is none that opens a stream; answered
	// 405, or to HEAD with the head.
	ErrMethod = errors.New("sse: method does not open a stream")
	// ErrFlush: some middleware's ResponseWriter holds everything back until
	// the handler returns; answered 500.
	ErrFlush = emitter.ErrFlush
	// ErrTooMany: a limit on connections is reached; the browser was told to
	// come back later.
	ErrTooMany = emitter.ErrTooMany
	// ErrShutdown: the server is shutting down; the browser was told to come
	// back, which is when its successor will be there. It is also why
	// connections end then.
	ErrShutdown = closing.ErrShutdown
	// ErrUnavailable: the store, or Config.Owner, could not answer; the
	// browser was told to come back.
	ErrUnavailable = persist.ErrUnavailable
)

// Returned when something is sent to a session, or a session is addressed.
var (
	// ErrID: the text is no id that this server has signed, no address, or
	// not there at all.
	ErrID = session.ErrID
	// ErrExpired: the id is older than Config.IDLifetime.
	ErrExpired = errors.New("sse: id has expired")
	// ErrOwner: the id is bound to another owner than the request's.
	ErrOwner = errors.New("sse: id belongs to another owner")
	// ErrNotConnected: the tab has no connection now, or is not known at all.
	ErrNotConnected = emitter.ErrAbsent
	// ErrEventName: an event's name has a line break or NUL in it, is not
	// UTF-8, or is too long.
	ErrEventName = emitter.ErrEventName
	// ErrEventID: Event.ID is too long or of another alphabet.
	ErrEventID = emitter.ErrEventID
	// ErrData: the data cannot be encoded as JSON, or is more than one value.
	ErrData = emitter.ErrData
	// ErrTooLarge: the event is larger than Limits.EventBytes.
	ErrTooLarge = emitter.ErrTooLarge
	// ErrRetry: the reconnection time is less than a millisecond.
	ErrRetry = emitter.ErrRetry
	// ErrRoom: a room's name cannot be used, or the session is in too many.
	ErrRoom = emitter.ErrRoom
)

// Why a connection ended, besides ErrClosed and ErrShutdown: what errors.Is
// finds in Session.Err, and in what sending to an ended session returns.
var (
	// ErrDisconnected: by Disconnect. The browser comes back.
	ErrDisconnected = closing.ErrDisconnected
	// ErrLeft: the browser went away.
	ErrLeft = closing.ErrLeft
	// ErrTakenOver: the browser came back on another connection.
	ErrTakenOver = emitter.ErrTakenOver
	// ErrUntil: the time that option Until set has come. The browser comes
	// back, and is asked again who it is.
	ErrUntil = closing.ErrUntil
	// ErrLagged: too much waited for a reader that was too slow. The browser
	// comes back.
	ErrLagged = emitter.ErrLagged
	// ErrStalled: the peer took nothing for Config.WriteTimeout.
	ErrStalled = emitter.ErrStalled
)

// ErrConfig is returned by Open for a setting that makes no sense; the text
// names it.
var ErrConfig = errors.New("sse: bad configuration")

// ended is the error that a connection's end is reported by.
func ended(err error) error {
	var e *closing.Error
	switch {
	case err == nil || errors.As(err, &e):
		return err
	case errors.Is(err, emitter.ErrWrite):
		return &closing.Error{Reason: ErrLeft, Err: err}
	}
	return &closing.Error{Reason: err}
}
