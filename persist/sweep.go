package persist

import (
	bolt "go.etcd.io/bbolt"
)

// sweepKeys is how many expired keys one transaction removes at most: some milliseconds of work, which is what a write
// has to wait for that comes in the middle of it.
const sweepKeys = 500

// sweep removes some of what has expired and reports whether there is more. Only the committer's goroutine calls it.
//
// Nobody waits for its result, so an error (a full disk, say) is not reported: the entries stay expired for Get, and the
// next tick tries again.
func (b *Bolt) sweep() (more bool) {
	at := now()
	// Look first: a write transaction would cost an fsync even with nothing to do.
	due := false
	err := b.view(func(tx *bolt.Tx) error {
		k, _ := tx.Bucket(expiryBucket).Cursor().First()
		expires, _, ok := splitExpiryKey(k)
		due = ok && expires.passed(at)
		return nil
	})
	if err != nil || !due {
		return false
	}

	var expired [][]byte
	err = b.update(func(tx *bolt.Tx) (changed bool, err error) {
		records, expiry := tx.Bucket(recordsBucket), tx.Bucket(expiryBucket)
		cursor := expiry.Cursor()
		for k, _ := cursor.First(); k != nil && len(expired) < sweepKeys; k, _ = cursor.Next() {
			if expires, _, ok := splitExpiryKey(k); !ok || !expires.passed(at) {
				break
			}
			expired = append(expired, append([]byte{}, k...)) // deleting would move the cursor
		}
		for _, k := range expired {
			expires, key, _ := splitExpiryKey(k)
			if rec := records.Get(key); rec != nil {
				// Only the record that this entry of the index is about.
				if _, has := decodeRecord(rec); has == expires {
					if err := records.Delete(key); err != nil {
						return false, err
					}
				}
			}
			if err := expiry.Delete(k); err != nil {
				return false, err
			}
		}
		return len(expired) > 0, nil
	})
	return err == nil && len(expired) == sweepKeys
}
