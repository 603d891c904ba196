package main

import "time"

// A roster tells everybody who is there when that has changed: at once, and
// then at most once in a pause, however many come and go meanwhile. What it
// tells is as of then, so nothing is queued.
type roster struct {
	change chan struct{}
	quit   chan struct{}
	done   chan struct{}
}

// newRoster returns a roster that calls tell. Its goroutine ends with close.
func newRoster(pause time.Duration, tell func()) *roster {
	r := &roster{
		change: make(chan struct{}, 1),
		quit:   make(chan struct{}),
		done:   make(chan struct{}),
	}
	go r.run(pause, tell)
	return r
}

// changed says that somebody came or went. It does not wait.
func (r *roster) changed() {
	select {
	case r.change <- struct{}{}:
	default: // is to be told anyway
	}
}

// close waits until tell is not called any more. It is called once.
func (r *roster) close() {
	close(r.quit)
	<-r.done
}

func (r *roster) run(pause time.Duration, tell func()) {
	defer close(r.done)
	rest := time.NewTimer(0)
	defer rest.Stop()
	for {
		select {
		case <-rest.C:
		case <-r.quit:
			return
		}
		select {
		case <-r.change:
		case <-r.quit:
			return
		}
		tell()
		rest.Reset(pause)
	}
}
