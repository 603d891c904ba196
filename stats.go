package sse

import (
	"sync/atomic"
)

// Stats are a Server's counts: of now, and since it was opened.
type Stats struct {
	Connections int // now
	Away        int // sessions remembered without a connection, now

	New      uint64 // sessions that got an id
	Returned uint64 // connections of known ids
	Forked   uint64 // of the new sessions, those that brought an id in use
	Closed   uint64 // sessions closed for good, by calls that returned nil
	Refused  uint64 // requests of closed sessions, answered 204
	Rejected uint64 // requests answered 403, 405 or 500
	Deferred uint64 // requests told to come back
	Lagged   uint64 // connections cut because they lagged
	Stalled  uint64 // connections cut because their peer read nothing

	Events uint64 // sent to rooms, owners, everyone and tabs by Target
	Writes uint64 // to connections; each holds what waited
	Bytes  uint64 // in these writes
}

type counts struct {
	new, returned, forked, closed, refused, rejected, deferred atomic.Uint64
}

// Stats returns the counts. It does not block.
func (s *Server) Stats() Stats {
	h := s.hub.Stats()
	return Stats{
		Connections: h.Connections,
		Away:        h.Away,
		New:         s.counts.new.Load(),
		Returned:    s.counts.returned.Load(),
		Forked:      s.counts.forked.Load(),
		Closed:      s.counts.closed.Load(),
		Refused:     s.counts.refused.Load(),
		Rejected:    s.counts.rejected.Load(),
		Deferred:    s.counts.deferred.Load(),
		Lagged:      h.Lagged,
		Stalled:     h.Stalled,
		Events:      h.Events,
		Writes:      h.Writes,
		Bytes:       h.Bytes,
	}
}
