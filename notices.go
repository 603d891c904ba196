package sse

import (
	"sync"
	"time"
)

// notices keeps what is worth a line from filling the log.
type notices struct {
	mu   sync.Mutex
	last map[string]time.Time // by subject, of which this package has a few
}

// due reports whether it is a minute since it last was, for this subject.
func (n *notices) due(subject string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	if last, ok := n.last[subject]; ok && now.Sub(last) < time.Minute {
		return false
	}
	if n.last == nil {
		n.last = make(map[string]time.Time)
	}
	n.last[subject] = now
	return true
}
