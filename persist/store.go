// Package persist keeps what has to survive: the addresses that were closed for good, and the keys that sign ids.
//
//	package main
//
//	import (
//		"context"
//		"fmt"
//		"log"
//		"time"
//
//		"github.com/lastevent/sse/persist"
//	)
//
//	func main() {
//		store, err := persist.Open("/var/lib/shop/sse.db")
//		if err != nil {
//			log.Fatal(err) // says who has the file, or what is wrong with it, and what to do
//		}
//		defer store.Close()
//
//		ctx := context.Background()
//		if err := store.Put(ctx, "greeting", []byte("hello"), time.Now().Add(time.Hour)); err != nil {
//			log.Fatal(err)
//		}
//		value, err := store.Get(ctx, "greeting") // also after a crash, for an hour
//		fmt.Println(string(value), err)
//	}
//
// [Store] is the contract. [Open] gives the embedded one, a bbolt file that belongs to one process at a time;
// [NewMemory] gives one that lasts as long as the process, for tests and for programs that accept that. Stores of other
// packages are proved against the same rules by the package storetest.
package persist

import (
	"context"
	"time"
)

// The limits of every store. They are far above what this module needs and far below what any engine minds.
const (
	MaxKey   = 512       // bytes in a key; an empty key is refused too
	MaxValue = 64 * 1024 // bytes in a value; an empty value is fine
)

// Store is a small key-value store with expiry. The rules are cases of the conformance suite in storetest, but for those
// that only a failing engine would show (12 and 13); rule 8 is RunReclaim.
//
//  1. A write (Put, Add, Delete) that returned nil is durable: it survives the end of the process however it comes, and
//     the loss of power. A store in memory promises this for as long as the process lives, and says so.
//  2. A write that returned nil is seen by every Get that begins afterwards, from any goroutine.
//  3. Get returns ErrNotFound for a key that is absent, deleted or expired; for nothing else.
//  4. Put replaces both the value and the expiry of what was there.
//  5. Add writes only if the key is absent or expired; else it returns ErrExists and changes nothing. Of any number of
//     concurrent Adds of one key, exactly one returns nil.
//  6. Deleting what is absent is no error.
//  7. A key expires at its time, give or take the millisecond that an engine may round to: from then on Get does not
//     return it, whether or not its space has been reclaimed. The zero time never expires.
//  8. The space of expired keys is reclaimed, in time or by later writes, without anybody asking for it.
//  9. What a caller passes in is copied before the call returns, whatever the call returns; what Get returns belongs to
//     the caller. A nil value is the empty value.
//  10. A key that is empty or longer than MaxKey is ErrKey; a value longer than MaxValue is ErrValue. Keys and values are
//     any bytes, and keys that differ in one bit are different keys.
//  11. A context that is already done makes a call return the context's error and do nothing.
//  12. A write that returned an error has changed nothing. There are two exceptions, both told by the error's text: the
//     context ended while a write that had been accepted was under way, or the engine failed in the very moment of
//     making it durable. Then the outcome is not known, and the caller may repeat the write or ask with Get.
//  13. ErrUnavailable is for trouble that passes: the caller may try again, and what was stored is still there.
//     ErrCorrupt is for trouble that does not pass.
//  14. All methods may be called from any goroutine.
//  15. Close waits for the writes that were accepted before, and releases everything. It may be called twice and from
//     several goroutines; each call returns when the store is closed. Other calls that begin later return ErrClosed.
//
// Get does not wait for writes under way. Writes wait until they are durable, or until their context is done.
type Store interface {
	// Get returns the value of key. The caller owns the slice.
	Get(ctx context.Context, key string) ([]byte, error)

	// Put sets the value of key until expires, or for good when expires is the zero time.
	Put(ctx context.Context, key string, value []byte, expires time.Time) error

	// Add is Put for a key that is not there; for one that is, it returns ErrExists.
	Add(ctx context.Context, key string, value []byte, expires time.Time) error

	// Delete removes key.
	Delete(ctx context.Context, key string) error

	// Close ends the use of the store.
	Close() error
}

// Keyring is implemented by a store that belongs to one machine and can keep that machine's signing keys.
//
// A store that several machines share does not implement it: whoever can read such a store could sign ids, and machines
// that started at the same time would have to agree. There the keys come from the program (see ParseKeys).
type Keyring interface {
	// Keys returns the keys, the newest first: at least one, each of 32 bytes or more, made at random on first use and
	// the same ever after, as long as the store lives. The caller owns what is returned. Any goroutine may call it; it
	// may read and write a file. It returns ErrKeyFile when the keys cannot be used and ErrClosed after Close.
	Keys() ([][]byte, error)
}

// checkKey enforces rule 10 for keys.
func checkKey(key string) error {
	if len(key) == 0 || len(key) > MaxKey {
		return keyError(len(key))
	}
	return nil
}

// checkValue enforces rule 10 for values.
func checkValue(value []byte) error {
	if len(value) > MaxValue {
		return valueError(len(value))
	}
	return nil
}
