package persist

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// The buckets of the file. The index holds, for every record that expires, its time and key, and no value.
var (
	recordsBucket = []byte("sse.records")
	expiryBucket  = []byte("sse.expiry")
)

// Bolt is a Store and a Keyring in a bbolt file, which one process has open at a time.
//
// A write is durable when it returns, one fsync for all that waited together. The file does not shrink; the space of
// what was deleted or has expired is used again. Until then its bytes can be read from the file.
//
// When the file turns out to be damaged, the call that notices it, and every one after it until Close, returns
// ErrCorrupt. After a write whose last fsync failed there are no more writes, only ErrUnavailable, until the store has
// been closed and opened again; reads go on.
type Bolt struct {
	path      string // absolute
	db        *bolt.DB
	file      *os.File
	broken    atomic.Pointer[error] // once it is set, bbolt is left alone: it may hold locks
	committer *committer
	unsure    error // of the committer's goroutine: see update

	keysMu sync.Mutex // held while the key file is read or made

	closeOnce sync.Once
	closeErr  error
}

var (
	_ Store   = (*Bolt)(nil)
	_ Keyring = (*Bolt)(nil)
)

// Open opens the database at path, and makes it if there is none or the file is empty: the file with mode 0600, missing
// directories with 0700.
//
// Another process that has the file is waited for, up to one second; then the error is ErrLocked and says, on Linux,
// who it is. A file that is not a bbolt database, was cut short, or is another program's, is ErrCorrupt and left as it
// is. A path that cannot be opened is ErrUnavailable, with the operating system's error behind it.
//
// The caller owes a Close.
func Open(path string) (*Bolt, error) {
	if path == "" {
		return nil, fmt.Errorf("%w: the path is empty; give that of a file", ErrUnavailable)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, pathError("finding", path, err)
	}
	db, file, err := openFile(path)
	if err != nil {
		return nil, err
	}
	b := &Bolt{path: path, db: db, file: file}
	if err := b.update(b.makeBuckets); err != nil {
		b.release()
		return nil, err
	}
	b.committer = newCommitter(b.commit, b.sweep)
	go b.committer.run() // until Close, which waits for it
	return b, nil
}

// view runs f in a read transaction. Errors of f are returned as they are. Any goroutine may call it.
func (b *Bolt) view(f func(*bolt.Tx) error) error {
	if broken := b.broken.Load(); broken != nil {
		return *broken
	}
	return b.named("reading", guard(func() error { return b.db.View(f) }))
}

// update runs f in a write transaction and commits, if f says that it has changed something. Only one goroutine may be
// in it: at first Open's, then the committer's.
func (b *Bolt) update(f func(*bolt.Tx) (changed bool, err error)) error {
	if broken := b.broken.Load(); broken != nil {
		return *broken
	}
	if b.unsure != nil {
		return b.unsure
	}
	id := 0
	err := guard(func() error {
		tx, err := b.db.Begin(true)
		if err != nil {
			return err
		}
		defer tx.Rollback() // after a commit it does nothing
		id = tx.ID()
		if changed, err := f(tx); err != nil || !changed {
			return err
		}
		return commitTx(tx)
	})
	if err != nil && id > 0 && b.current() >= id {
		// The last step failed: the new meta page was written but not made durable, and bbolt goes by what is written.
		// Readers see this transaction now, and the disk may have it or not. Another one on top would reuse pages that
		// the disk still needs if it does not. So there is no other: opening the file again reads what the disk has.
		b.unsure = fmt.Errorf("%w: writing %s: %w; the last write may or may not have happened, and there are no more "+
			"until the store has been closed and opened again", ErrUnavailable, b.path, err)
		return b.unsure
	}
	return b.named("writing", err)
}

// commitTx is a variable for the tests that make a commit fail.
var commitTx = (*bolt.Tx).Commit

// current is the number of the transaction that readers see.
func (b *Bolt) current() (id int) {
	b.view(func(tx *bolt.Tx) error { // an error leaves 0: then nobody sees anything
		id = tx.ID()
		return nil
	})
	return id
}

// named is what a transaction's error means to the caller.
func (b *Bolt) named(what string, err error) error {
	var caught *panicError
	switch {
	case err == nil, errors.Is(err, ErrNotFound), errors.Is(err, ErrCorrupt):
		return err
	case errors.As(err, &caught):
		broken := corruptError(b.path, err)
		b.broken.CompareAndSwap(nil, &broken)
		return broken
	case errors.Is(err, bolterrors.ErrDatabaseNotOpen):
		return ErrClosed
	}
	return fmt.Errorf("%w: %s %s: %w; nothing was changed, try again when the cause is gone", ErrUnavailable, what, b.path, err)
}

// makeBuckets makes what is missing, in a database that is ours or nobody's.
func (b *Bolt) makeBuckets(tx *bolt.Tx) (changed bool, err error) {
	if tx.Bucket(recordsBucket) == nil {
		if name, _ := tx.Cursor().First(); name != nil {
			return false, fmt.Errorf("%w: %s is the bbolt database of another program, with a bucket %.40q; give the path of "+
				"another file", ErrCorrupt, b.path, name)
		}
	}
	for _, name := range [][]byte{recordsBucket, expiryBucket} {
		if tx.Bucket(name) != nil {
			continue
		}
		if _, err := tx.CreateBucket(name); err != nil {
			return false, err
		}
		changed = true
	}
	return changed, nil
}

// Get implements Store.
func (b *Bolt) Get(ctx context.Context, key string) ([]byte, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if b.committer.closing() {
		return nil, ErrClosed
	}
	var value []byte
	err := b.view(func(tx *bolt.Tx) error {
		rec := tx.Bucket(recordsBucket).Get([]byte(key))
		if rec == nil {
			return ErrNotFound
		}
		v, expires := decodeRecord(rec)
		if expires.passed(now()) {
			return ErrNotFound
		}
		value = append([]byte{}, v...) // v lies in the mapping
		return nil
	})
	return value, err
}

// Put implements Store.
func (b *Bolt) Put(ctx context.Context, key string, value []byte, expires time.Time) error {
	return b.write(ctx, opPut, key, value, expires)
}

// Add implements Store.
func (b *Bolt) Add(ctx context.Context, key string, value []byte, expires time.Time) error {
	return b.write(ctx, opAdd, key, value, expires)
}

// Delete implements Store.
func (b *Bolt) Delete(ctx context.Context, key string) error {
	return b.write(ctx, opDelete, key, nil, time.Time{})
}

func (b *Bolt) write(ctx context.Context, kind opKind, key string, value []byte, expires time.Time) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if err := checkValue(value); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	o := &op{kind: kind, key: []byte(key), expires: instantOf(expires)}
	if kind != opDelete {
		o.record = encodeRecord(value, o.expires)
	}
	return b.committer.do(ctx, o)
}

// Close implements Store. It waits for the writes that were accepted and for the reads under way, not for a sweep to
// reach its end.
func (b *Bolt) Close() error {
	b.closeOnce.Do(func() {
		close(b.committer.quit)
		<-b.committer.finished
		b.keysMu.Lock() // so that nobody is making the key file without the lock on this one
		defer b.keysMu.Unlock()
		b.closeErr = b.release()
	})
	return b.closeErr
}

// release gives up the file.
func (b *Bolt) release() error {
	if b.broken.Load() != nil {
		abandon(b.file)
		return nil
	}
	if err := b.db.Close(); err != nil {
		return fmt.Errorf("%w: closing %s: %w", ErrUnavailable, b.path, err)
	}
	return nil
}

// commit applies a batch of writes in one transaction. Only the committer's goroutine calls it.
func (b *Bolt) commit(batch []*op) error {
	return b.update(func(tx *bolt.Tx) (changed bool, err error) {
		records, expiry := tx.Bucket(recordsBucket), tx.Bucket(expiryBucket)
		at := now()
		var scratch []byte
		for _, o := range batch {
			old := records.Get(o.key)
			var oldExpires instant
			if old != nil {
				_, expires := decodeRecord(old)
				if o.kind == opAdd && !expires.passed(at) {
					o.err = ErrExists
					continue
				}
				oldExpires = expires
			} else if o.kind == opDelete {
				continue
			}

			changed = true
			if oldExpires != never && oldExpires != o.expires {
				scratch = appendExpiryKey(scratch[:0], oldExpires, o.key)
				if err := expiry.Delete(scratch); err != nil {
					return false, err
				}
			}
			if o.kind == opDelete {
				if err := records.Delete(o.key); err != nil {
					return false, err
				}
				continue
			}
			if err := records.Put(o.key, o.record); err != nil {
				return false, err
			}
			if o.expires != never && o.expires != oldExpires {
				scratch = appendExpiryKey(scratch[:0], o.expires, o.key)
				if err := expiry.Put(bytes.Clone(scratch), nil); err != nil {
					return false, err
				}
			}
		}
		return changed, nil
	})
}
