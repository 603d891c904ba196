package closing

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/lastevent/sse/persist"
)

// BenchmarkClose closes sessions from 1, 32 and 1000 goroutines: through the ledger, and for comparison with bbolt's own
// two ways to make the same two entries (the record and its place in the expiry index). All three are durable.
func BenchmarkClose(b *testing.B) {
	for _, way := range []struct {
		name string
		open func(b *testing.B) (closeAddress func(address string) error)
	}{
		{"committer", openLedger},
		{"batch", func(b *testing.B) func(string) error { return openRaw(b, (*bolt.DB).Batch) }},
		{"update", func(b *testing.B) func(string) error { return openRaw(b, (*bolt.DB).Update) }},
	} {
		for _, callers := range []int{1, 32, 1000} {
			b.Run(fmt.Sprintf("%s/%d", way.name, callers), func(b *testing.B) {
				closeAddress := way.open(b)
				var next atomic.Int64
				var wait sync.WaitGroup
				b.ResetTimer()
				for range callers {
					wait.Go(func() {
						for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
							// Scattered over the tree, as random addresses are.
							address := strconv.FormatUint(uint64(i)*0x9E3779B97F4A7C15, 16)
							if err := closeAddress(address); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wait.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "closes/s")
			})
		}
	}
}

func openLedger(b *testing.B) func(string) error {
	store, err := persist.Open(filepath.Join(b.TempDir(), "sse.db"))
	require.NoError(b, err)
	b.Cleanup(func() { store.Close() })
	l := NewLedger(store, 24*time.Hour)
	return func(address string) error { return l.Close(context.Background(), address) }
}

func openRaw(b *testing.B, write func(*bolt.DB, func(*bolt.Tx) error) error) func(string) error {
	db, err := bolt.Open(filepath.Join(b.TempDir(), "raw.db"), 0o600, nil)
	require.NoError(b, err)
	b.Cleanup(func() { db.Close() })
	records, expiry := []byte("records"), []byte("expiry")
	require.NoError(b, db.Update(func(tx *bolt.Tx) error {
		if _, err := tx.CreateBucket(records); err != nil {
			return err
		}
		_, err := tx.CreateBucket(expiry)
		return err
	}))
	return func(address string) error {
		at := time.Now()
		key := []byte("closed/" + address)
		value := strconv.AppendInt(make([]byte, 12, 32), at.Unix(), 10)
		index := append(fmt.Appendf(nil, "%08d", at.UnixNano()%1e8), key...)
		return write(db, func(tx *bolt.Tx) error {
			bucket := tx.Bucket(records)
			if bucket.Get(key) != nil {
				return nil
			}
			if err := bucket.Put(key, value); err != nil {
				return err
			}
			return tx.Bucket(expiry).Put(index, nil)
		})
	}
}

// BenchmarkClosed is what every connection asks.
func BenchmarkClosed(b *testing.B) {
	store, err := persist.Open(filepath.Join(b.TempDir(), "sse.db"))
	require.NoError(b, err)
	defer store.Close()
	l := NewLedger(store, 24*time.Hour)
	var wait sync.WaitGroup
	for g := range 100 {
		wait.Go(func() {
			for i := range 100 {
				if err := l.Close(context.Background(), fmt.Sprintf("%08d", i*100+g)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wait.Wait()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if closed, err := l.Closed(context.Background(), fmt.Sprintf("%08d", i%20000)); err != nil || closed != (i%20000 < 10000) {
				b.Error(closed, err)
			}
		}
	})
}
