package persist

import (
	"context"
	"fmt"
	"time"
)

const (
	maxWaiting    = 1024    // writes in the queue; a caller beyond that waits for a place, or for its context
	maxBatch      = 1024    // writes in one transaction
	maxBatchBytes = 4 << 20 // bytes after which a transaction takes no further write
	sweepEvery    = time.Minute
)

type opKind uint8

const (
	opPut opKind = iota
	opAdd
	opDelete
)

// An op is one write on its way. Its bytes are its own: a caller whose context ended has gone, and took his with him.
type op struct {
	kind    opKind
	key     []byte
	record  []byte
	expires instant

	err  error         // set before done is closed
	done chan struct{} // closed when the outcome is known
}

// A committer makes writes durable, in the order in which they came: one goroutine, which joins what is waiting into one
// transaction and never waits for more. A lone caller pays for one transaction; a thousand callers share one.
type committer struct {
	ops      chan *op
	quit     chan struct{} // closed by Bolt.Close
	finished chan struct{} // closed by run

	// commit applies the batch in one transaction. It sets the err of those that fail alone, or returns the error that
	// all of them get.
	commit func(batch []*op) error

	// sweep removes some of what has expired, and reports whether it is worth calling again soon.
	sweep func() (more bool)
}

func newCommitter(commit func([]*op) error, sweep func() bool) *committer {
	return &committer{
		ops:      make(chan *op, maxWaiting),
		quit:     make(chan struct{}),
		finished: make(chan struct{}),
		commit:   commit,
		sweep:    sweep,
	}
}

// do submits o and waits for its outcome. Any goroutine may call it.
func (c *committer) do(ctx context.Context, o *op) error {
	if c.closing() {
		return ErrClosed
	}
	o.done = make(chan struct{})
	select {
	case c.ops <- o:
	case <-ctx.Done():
		return ctx.Err()
	case <-c.quit:
		return ErrClosed
	}

	var otherwise error
	select {
	case <-o.done:
		return o.err
	case <-ctx.Done():
		otherwise = fmt.Errorf("sse: the write was under way and may or may not have happened: %w", ctx.Err())
	case <-c.finished:
		otherwise = ErrClosed // it came too late: nobody will take it out of the queue
	}
	select {
	case <-o.done: // an outcome that is known is the better answer
		return o.err
	default:
		return otherwise
	}
}

func (c *committer) closing() bool {
	select {
	case <-c.quit:
		return true
	default:
		return false
	}
}

// run is the goroutine of a Bolt. Open starts it; it ends when quit is closed and the queue is empty; Close waits for
// it.
func (c *committer) run() {
	defer close(c.finished)
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()

	batch := make([]*op, 0, maxBatch)
	sweeping := true // at first for what expired while no program was running
	for {
		var first *op
		if sweeping {
			// Expired keys are removed in small transactions, between those that somebody waits for.
			select {
			case first = <-c.ops:
			default:
			}
		} else {
			select {
			case first = <-c.ops:
			case <-ticker.C:
				sweeping = true
			case <-c.quit:
			}
		}
		if first != nil {
			c.settle(c.join(batch, first))
		} else if c.closing() {
			// The queue was seen empty after quit was closed, or is about to be: what is still in it now was accepted
			// before, and nothing is accepted any more.
			c.drain(batch)
			return
		}
		if sweeping {
			sweeping = c.sweep()
		}
	}
}

// drain commits what is in the queue.
func (c *committer) drain(batch []*op) {
	for {
		select {
		case first := <-c.ops:
			c.settle(c.join(batch, first))
		default:
			return
		}
	}
}

// join returns first and what is waiting behind it, as far as one transaction takes it.
func (c *committer) join(batch []*op, first *op) []*op {
	batch = append(batch[:0], first)
	size := len(first.record)
	for len(batch) < maxBatch && size < maxBatchBytes {
		select {
		case o := <-c.ops:
			batch = append(batch, o)
			size += len(o.record)
		default:
			return batch
		}
	}
	return batch
}

// settle commits the batch and tells its callers. When a transaction fails none of its writes has happened, and what one
// of them had found out on the way (that a key exists) may have been a write of the same transaction: so all get its
// error.
func (c *committer) settle(batch []*op) {
	err := c.commit(batch)
	for i, o := range batch {
		if err != nil {
			o.err = err
		}
		close(o.done)
		batch[i] = nil
	}
}
