package emitter

import (
	"errors"
	"time"
)

// ErrFlush is returned for a http.ResponseWriter through which nothing can be
// sent before the handler returns: some wrapper of it has neither a Flush
// method nor Unwrap.
var ErrFlush = errors.New("sse: the ResponseWriter cannot flush; the middleware that wraps it needs an Unwrap or a Flush method")

// A Transport is what a Conn writes to. Write and Finish are called by one
// goroutine at a time, Abort by any until Finish has returned; after that
// nothing but Acks, which any may call at any time.
type Transport interface {
	// Write sends all of p to the peer, or fails. It may block until Abort.
	Write(p []byte) error
	// Abort makes the Write in progress, if any, and every later one fail.
	Abort()
	// Finish ends the response in the given manner.
	Finish(How)
	// Acks is what the peer's system has acknowledged.
	Acks() Acks
}

// How says how a response ends, to the peer.
type How uint8

const (
	// Clean is an end that the peer takes for one.
	Clean How = iota
	// Cut leaves the response unfinished: a client that can tell the two
	// apart shall come back.
	Cut
	// Gone is for a peer that is not there to see anything.
	Gone
)

// Acks is how far the peer's system, not its program, has followed a
// connection.
type Acks struct {
	Known   bool
	Waiting int    // bytes that were written and are not acknowledged
	Total   uint64 // bytes acknowledged; 0 where it cannot be found out
}

// aLongTimeAgo as a deadline ends what is in progress.
var aLongTimeAgo = time.Unix(1, 0)
