package closing

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/lastevent/sse/persist"
)

// ledgerPrefix keeps the ledger's keys apart from whatever else lives in the store.
const ledgerPrefix = "closed/"

// Ledger holds the addresses of the sessions that were closed for good. It keeps nothing in memory: what it says is what
// the store says, so several ledgers on one store are one ledger. All methods may be called from any goroutine.
type Ledger struct {
	store    persist.Store
	lifetime time.Duration
}

// NewLedger returns the ledger that lives in store. An entry lives for lifetime from the last close; it must be positive,
// and not shorter than the life of an id, or a closed session could come back while its id is still good. It goes by the
// clock: one that jumps far ahead takes entries with it. The caller goes on owning the store and closes it.
func NewLedger(store persist.Store, lifetime time.Duration) *Ledger {
	return &Ledger{store: store, lifetime: lifetime}
}

// Close enters address. It returns nil only after the entry is durable, and it waits for that: for a disk, or a network.
// Closing what is closed returns nil, too, and begins the entry's lifetime anew.
//
// An error is the store's or the context's. Then the address may have been entered or not, and Close may be repeated.
func (l *Ledger) Close(ctx context.Context, address string) error {
	at := time.Now()
	// The value is for people who look into the store; nothing here reads it.
	value := strconv.AppendInt(nil, at.Unix(), 10)
	return l.store.Put(ctx, ledgerPrefix+address, value, at.Add(l.lifetime))
}

// Closed reports whether address is in the ledger. An error is the store's or the context's, and means that it is not
// known: a caller that must not let a closed session in treats it as temporary trouble, neither as yes nor as no.
func (l *Ledger) Closed(ctx context.Context, address string) (bool, error) {
	_, err := l.store.Get(ctx, ledgerPrefix+address)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, persist.ErrNotFound):
		return false, nil
	default:
		return false, err
	}
}
