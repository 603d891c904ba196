package emitter

import (
	"container/heap"
	"sync"
	"time"
)

// A watch looks after all connections with one timer and one goroutine: it
// sends heartbeats to the quiet, and gives up those that take too long to
// write. It looks at each connection when something may be due there, and
// asks it; a write does not reset anything here.
type watch struct {
	wake chan struct{}
	stop chan struct{}
	done chan struct{}

	mu     sync.Mutex
	conns  agenda
	target time.Time // when the timer fires
}

// startWatch starts the goroutine, which ends with close.
func startWatch() *watch {
	w := &watch{
		wake: make(chan struct{}, 1),
		stop: make(chan struct{}),
		done: make(chan struct{}),
	}
	go w.run()
	return w
}

// close ends the goroutine and waits for it.
func (w *watch) close() {
	close(w.stop)
	<-w.done
}

// schedule has c looked at no later than at.
func (w *watch) schedule(c *Conn, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case c.index < 0:
		c.at = at
		heap.Push(&w.conns, c)
	case at.Before(c.at):
		c.at = at
		heap.Fix(&w.conns, c.index)
	}
	if w.target.IsZero() || at.Before(w.target) {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

func (w *watch) remove(c *Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.index >= 0 {
		heap.Remove(&w.conns, c.index)
	}
}

func (w *watch) run() {
	defer close(w.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-w.wake:
		case <-timer.C:
		}
		now := time.Now()
		for c := w.due(now); c != nil; c = w.due(now) {
			if next, ok := c.tick(now); ok {
				w.schedule(c, next)
			}
		}
		w.mu.Lock()
		w.target = time.Time{}
		if len(w.conns) > 0 {
			w.target = w.conns[0].at
			timer.Reset(time.Until(w.target))
		}
		w.mu.Unlock()
	}
}

// due takes a connection off the agenda that is to be looked at by now.
func (w *watch) due(now time.Time) *Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.conns) == 0 || w.conns[0].at.After(now) {
		return nil
	}
	return heap.Pop(&w.conns).(*Conn)
}

// An agenda is a heap of connections, the next one due first.
type agenda []*Conn

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].at.Before(a[j].at) }

func (a agenda) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].index, a[j].index = i, j
}

func (a *agenda) Push(x any) {
	c := x.(*Conn)
	c.index = len(*a)
	*a = append(*a, c)
}

func (a *agenda) Pop() any {
	last := len(*a) - 1
	c := (*a)[last]
	(*a)[last] = nil
	*a = (*a)[:last]
	c.index = -1
	return c
}
