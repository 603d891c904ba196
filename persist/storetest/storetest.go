// Package storetest proves that a store keeps the rules of persist.Store. A package with a store of its own calls it
// from a test:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) persist.Store { return mystore.Open(t.TempDir()) })
//		storetest.RunDurable(t, func(t *testing.T, dir string) persist.Store { return mystore.Open(dir) })
//	}
//
// Every rule is a subtest with the rule's number and its words. What cannot be asked through the interface is left to
// the store's own tests: that a write survives kill -9 and the loss of power (rule 1), what happens on a full disk and on
// a damaged one (12, 13). RunReclaim needs some help from the store (8).
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lastevent/sse/persist"
)

// slack is what rule 7 allows.
const slack = time.Millisecond

// Run checks the rules that hold within the life of one store. open returns a new and empty store each time and fails
// the test when it cannot; Run closes it. Each case has a store of its own, one at a time.
func Run(t *testing.T, open func(t *testing.T) persist.Store) {
	for _, c := range []struct {
		rule string
		test func(t *testing.T, s persist.Store)
	}{
		{"02 a write that returned nil is seen by every later Get", seen},
		{"03 Get of what is absent or deleted or expired is ErrNotFound", notFound},
		{"04 Put replaces value and expiry", putReplaces},
		{"05 Add writes only what is absent or expired", addOnlyNew},
		{"05 of concurrent Adds exactly one wins", addRace},
		{"06 deleting what is absent is no error", deleteAbsent},
		{"07 a key expires at its time", expires},
		{"07 far and odd times", oddTimes},
		{"09 values are copied in and out", copies},
		{"10 keys and values have limits", limits},
		{"10 keys and values are any bytes", anyBytes},
		{"11 a context that is done does nothing", doneContext},
		{"14 all methods from any goroutine", anyGoroutine},
		{"15 after Close there is only ErrClosed", closed},
		{"15 Close from several goroutines among writes", closeRace},
		{"all random operations agree with a plain map", func(t *testing.T, s persist.Store) {
			runModel(t, s, nil)
		}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("Close at the end: %v", err)
				}
			})
			c.test(t, s)
		})
	}
}

func seen(t *testing.T, s persist.Store) {
	// A chain: goroutine n reads what n-1 wrote before it was told to go on, overwrites it, and tells n+1.
	ctx := t.Context()
	const links = 50
	var wait sync.WaitGroup
	baton := make(chan int, 1)
	for range links {
		wait.Go(func() {
			n := <-baton
			if n > 0 {
				wantValue(t, s, "seen", fmt.Sprint(n-1))
			}
			if err := s.Put(ctx, "seen", []byte(fmt.Sprint(n)), time.Time{}); err != nil {
				t.Errorf("Put: %v", err)
			}
			baton <- n + 1
		})
	}
	baton <- 0
	wait.Wait()
	wantValue(t, s, "seen", fmt.Sprint(links-1))
	must(t, "Delete", s.Delete(ctx, "seen"))
	wantAbsent(t, s, "seen")
}

func notFound(t *testing.T, s persist.Store) {
	ctx := t.Context()
	wantAbsent(t, s, "absent")
	must(t, "Put", s.Put(ctx, "deleted", []byte("v"), time.Time{}))
	must(t, "Delete", s.Delete(ctx, "deleted"))
	wantAbsent(t, s, "deleted")
	must(t, "Put", s.Put(ctx, "expired", []byte("v"), time.Now().Add(-time.Hour)))
	wantAbsent(t, s, "expired")
	must(t, "Put", s.Put(ctx, "k", []byte("v"), time.Time{}))
	wantAbsent(t, s, "K")
	wantAbsent(t, s, "k\x00")
	wantAbsent(t, s, "kk")
}

func putReplaces(t *testing.T, s persist.Store) {
	ctx := t.Context()
	soon := time.Now().Add(60 * time.Millisecond)
	must(t, "Put", s.Put(ctx, "lengthened", []byte("1"), soon))
	must(t, "Put", s.Put(ctx, "lengthened", []byte("2"), soon.Add(time.Hour)))
	must(t, "Put", s.Put(ctx, "kept", []byte("1"), soon))
	must(t, "Put", s.Put(ctx, "kept", []byte("22"), time.Time{}))
	must(t, "Put", s.Put(ctx, "shortened", []byte("1"), time.Time{}))
	must(t, "Put", s.Put(ctx, "shortened", []byte(""), soon))
	must(t, "Put", s.Put(ctx, "ended", []byte("1"), time.Time{}))
	must(t, "Put", s.Put(ctx, "ended", []byte("2"), time.Now().Add(-time.Hour)))
	wantAbsent(t, s, "ended")
	time.Sleep(time.Until(soon) + 2*slack)
	wantValue(t, s, "lengthened", "2")
	wantValue(t, s, "kept", "22")
	wantAbsent(t, s, "shortened")
}

func addOnlyNew(t *testing.T, s persist.Store) {
	ctx := t.Context()
	must(t, "Add of an absent key", s.Add(ctx, "k", []byte("first"), time.Time{}))
	// A second Add changes nothing, neither the value nor the expiry.
	wantError(t, "Add of a key that is there", s.Add(ctx, "k", []byte("second"), time.Now().Add(-time.Hour)), persist.ErrExists)
	wantValue(t, s, "k", "first")

	must(t, "Delete", s.Delete(ctx, "k"))
	must(t, "Add of a deleted key", s.Add(ctx, "k", []byte("third"), time.Time{}))
	wantValue(t, s, "k", "third")

	soon := time.Now().Add(40 * time.Millisecond)
	must(t, "Put", s.Put(ctx, "e", []byte("old"), soon))
	if err := s.Add(ctx, "e", []byte("early"), time.Time{}); !errors.Is(err, persist.ErrExists) && time.Now().Before(soon.Add(-slack)) {
		t.Errorf("Add before the expiry: %v, want ErrExists", err)
	}
	must(t, "Delete", s.Delete(ctx, "e")) // the Add above may have come late, on a slow machine
	must(t, "Put", s.Put(ctx, "e", []byte("old"), soon))
	time.Sleep(time.Until(soon) + 2*slack)
	must(t, "Add of an expired key", s.Add(ctx, "e", []byte("new"), time.Time{}))
	wantValue(t, s, "e", "new")
}

func addRace(t *testing.T, s persist.Store) {
	ctx := t.Context()
	const rounds, callers = 20, 32
	for round := range rounds {
		key := fmt.Sprintf("race/%d", round)
		if round%2 == 1 { // an expired entry in the way must not let two win
			must(t, "Put", s.Put(ctx, key, []byte("old"), time.Now().Add(-time.Second)))
		}
		var (
			wait   sync.WaitGroup
			start  = make(chan struct{})
			winner atomic.Int64
			wins   atomic.Int64
		)
		for caller := range callers {
			wait.Go(func() {
				<-start
				switch err := s.Add(ctx, key, fmt.Append(nil, caller), time.Time{}); {
				case err == nil:
					wins.Add(1)
					winner.Store(int64(caller))
				case !errors.Is(err, persist.ErrExists):
					t.Errorf("Add: %v", err)
				}
			})
		}
		close(start)
		wait.Wait()
		if wins.Load() != 1 {
			t.Fatalf("round %d: %d of %d concurrent Adds returned nil", round, wins.Load(), callers)
		}
		wantValue(t, s, key, fmt.Sprint(winner.Load()))
	}
}

func deleteAbsent(t *testing.T, s persist.Store) {
	ctx := t.Context()
	must(t, "Delete of what never was", s.Delete(ctx, "k"))
	must(t, "Put", s.Put(ctx, "k", nil, time.Time{}))
	must(t, "Delete", s.Delete(ctx, "k"))
	must(t, "Delete again", s.Delete(ctx, "k"))
	must(t, "Put", s.Put(ctx, "k", nil, time.Now().Add(-time.Hour)))
	must(t, "Delete of what has expired", s.Delete(ctx, "k"))
}

func expires(t *testing.T, s persist.Store) {
	ctx := t.Context()
	for i, life := range []time.Duration{5 * time.Millisecond, 30 * time.Millisecond, 100 * time.Millisecond} {
		key := fmt.Sprint(i)
		end := time.Now().Add(life)
		must(t, "Put", s.Put(ctx, key, []byte("v"), end))
		for {
			// Only what the clock proves is judged, however slow the machine is.
			before := time.Now()
			_, err := s.Get(ctx, key)
			after := time.Now()
			switch {
			case err == nil && before.After(end.Add(slack)):
				t.Fatalf("it lived for %v, and was there %v too late", life, before.Sub(end))
			case errors.Is(err, persist.ErrNotFound) && after.Before(end.Add(-slack)):
				t.Fatalf("it lived for %v, and was gone %v too early", life, end.Sub(after))
			case err != nil && !errors.Is(err, persist.ErrNotFound):
				t.Fatalf("Get: %v", err)
			}
			if before.After(end.Add(10 * time.Millisecond)) {
				break
			}
			time.Sleep(100 * time.Microsecond)
		}
	}
}

func oddTimes(t *testing.T, s persist.Store) {
	ctx := t.Context()
	for name, at := range map[string]time.Time{
		"in a century":        time.Now().AddDate(100, 0, 0),
		"in the year 9999":    time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		"the zero time":       {},
		"the zero time local": time.Time{}.Local(),
		"another zone":        time.Now().Add(time.Hour).In(time.FixedZone("far", 14*3600)),
	} {
		must(t, "Put "+name, s.Put(ctx, name, []byte("v"), at))
		wantValue(t, s, name, "v")
	}
	for name, at := range map[string]time.Time{
		"the epoch":     time.Unix(0, 0),
		"before it":     time.Unix(-1, 0),
		"long before":   time.Date(1500, 1, 1, 0, 0, 0, 0, time.UTC),
		"almost zero":   time.Time{}.Add(1),
		"a moment past": time.Now().Add(-2 * slack),
	} {
		must(t, "Put "+name, s.Put(ctx, name, []byte("v"), at))
		wantAbsent(t, s, name)
	}
}

func copies(t *testing.T, s persist.Store) {
	ctx := t.Context()
	in := []byte("value")
	must(t, "Put", s.Put(ctx, "put", in, time.Time{}))
	must(t, "Add", s.Add(ctx, "add", in, time.Time{}))
	copy(in, "XXXXX")
	for _, key := range []string{"put", "add"} {
		wantValue(t, s, key, "value")
		out, err := s.Get(ctx, key)
		must(t, "Get", err)
		copy(out, "YYYYY")
		_ = append(out, "ZZZZZ"...)
		wantValue(t, s, key, "value")

		// What was read stays as it is, whatever happens to the entry.
		out, err = s.Get(ctx, key)
		must(t, "Get", err)
		must(t, "Put", s.Put(ctx, key, []byte("other"), time.Time{}))
		for i := range 20 {
			must(t, "Put", s.Put(ctx, fmt.Sprintf("filler/%d", i), bytes.Repeat([]byte("f"), 5000), time.Time{}))
		}
		must(t, "Delete", s.Delete(ctx, key))
		if string(out) != "value" {
			t.Errorf("a value that had been read changed to %q", out)
		}
	}

	// A caller who has gone may use his slice again, though his write is still under way.
	for i := range 50 {
		waiting, cancel := context.WithTimeout(ctx, time.Duration(i)*20*time.Microsecond)
		key, in := fmt.Sprintf("gone/%d", i), []byte("value")
		_ = s.Put(waiting, key, in, time.Time{})
		copy(in, "XXXXX")
		cancel()
		if out, err := s.Get(ctx, key); err == nil && string(out) != "value" {
			t.Fatalf("the store read the caller's slice after Put had returned: %q", out)
		}
	}
}

func limits(t *testing.T, s persist.Store) {
	ctx := t.Context()
	longest := strings.Repeat("k", persist.MaxKey)
	largest := bytes.Repeat([]byte("v"), persist.MaxValue)
	must(t, "Put of the longest key and the largest value", s.Put(ctx, longest, largest, time.Time{}))
	wantValue(t, s, longest, string(largest))
	must(t, "Add of the longest key minus one", s.Add(ctx, longest[1:], largest, time.Now().Add(time.Hour)))
	wantValue(t, s, longest[1:], string(largest))

	for _, key := range []string{"", longest + "k", strings.Repeat("k", 1<<16)} {
		_, err := s.Get(ctx, key)
		wantError(t, "Get", err, persist.ErrKey)
		wantError(t, "Put", s.Put(ctx, key, nil, time.Time{}), persist.ErrKey)
		wantError(t, "Add", s.Add(ctx, key, nil, time.Time{}), persist.ErrKey)
		wantError(t, "Delete", s.Delete(ctx, key), persist.ErrKey)
	}
	wantError(t, "Put", s.Put(ctx, "k", append(largest, 'v'), time.Time{}), persist.ErrValue)
	wantError(t, "Add", s.Add(ctx, "k", append(largest, 'v'), time.Time{}), persist.ErrValue)
	wantAbsent(t, s, "k")
}

func anyBytes(t *testing.T, s persist.Store) {
	ctx := t.Context()
	var all []byte
	for b := range 256 {
		all = append(all, byte(b))
	}
	keys := []string{"a", "a/b", "a:b", "a b", "a\nb", "a\r\nb", "*", "a*", "{a}", "\x00", "\x00\x00", "\xff", "ä", "a\u0308", string(all)}
	for i, key := range keys {
		must(t, "Put", s.Put(ctx, key, append([]byte{byte(i)}, all...), time.Now().Add(time.Hour)))
	}
	for i, key := range keys {
		wantValue(t, s, key, string(append([]byte{byte(i)}, all...)))
	}
	for name, empty := range map[string][]byte{"nil": nil, "empty": {}} {
		must(t, "Put", s.Put(ctx, name, empty, time.Time{}))
		wantValue(t, s, name, "")
	}
}

func doneContext(t *testing.T, s persist.Store) {
	ctx := t.Context()
	must(t, "Put", s.Put(ctx, "there", []byte("v"), time.Time{}))
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	late, cancel := context.WithDeadline(ctx, time.Now().Add(-time.Second))
	defer cancel()
	for _, c := range []struct {
		ctx  context.Context
		want error
	}{{canceled, context.Canceled}, {late, context.DeadlineExceeded}} {
		for range 20 { // by chance a select may take the wrong branch
			_, err := s.Get(c.ctx, "there")
			wantError(t, "Get", err, c.want)
			wantError(t, "Put", s.Put(c.ctx, "there", []byte("w"), time.Time{}), c.want)
			wantError(t, "Add", s.Add(c.ctx, "new", []byte("w"), time.Time{}), c.want)
			wantError(t, "Delete", s.Delete(c.ctx, "there"), c.want)
		}
	}
	must(t, "Put", s.Put(ctx, "last", nil, time.Time{})) // behind whatever was queued wrongly
	wantValue(t, s, "there", "v")
	wantAbsent(t, s, "new")
}

func anyGoroutine(t *testing.T, s persist.Store) {
	ctx := t.Context()
	const goroutines, rounds = 16, 25
	var wait sync.WaitGroup
	for g := range goroutines {
		wait.Go(func() {
			own := fmt.Sprintf("own/%d", g)
			for i := range rounds {
				value := fmt.Sprintf("%d/%d", g, i)
				must(t, "Put", s.Put(ctx, own, []byte(value), time.Now().Add(time.Hour)))
				wantValue(t, s, own, value)
				must(t, "Put", s.Put(ctx, "shared", []byte(value), time.Time{}))
				if _, err := s.Get(ctx, "shared"); err != nil {
					t.Errorf("Get of a key that is never deleted: %v", err)
				}
				must(t, "Delete", s.Delete(ctx, own))
				wantAbsent(t, s, own)
				must(t, "Add", s.Add(ctx, own, []byte(value), time.Time{}))
			}
		})
	}
	wait.Wait()
	for g := range goroutines {
		wantValue(t, s, fmt.Sprintf("own/%d", g), fmt.Sprintf("%d/%d", g, rounds-1))
	}
}

func closed(t *testing.T, s persist.Store) {
	ctx := t.Context()
	must(t, "Put", s.Put(ctx, "k", []byte("v"), time.Time{}))
	must(t, "Close", s.Close())
	must(t, "the second Close", s.Close())
	for range 20 {
		_, err := s.Get(ctx, "k")
		wantError(t, "Get", err, persist.ErrClosed)
		wantError(t, "Put", s.Put(ctx, "k", nil, time.Time{}), persist.ErrClosed)
		wantError(t, "Add", s.Add(ctx, "new", nil, time.Time{}), persist.ErrClosed)
		wantError(t, "Delete", s.Delete(ctx, "k"), persist.ErrClosed)
	}
	if ring, ok := s.(persist.Keyring); ok {
		_, err := ring.Keys()
		wantError(t, "Keys", err, persist.ErrClosed)
	}
}

func closeRace(t *testing.T, s persist.Store) {
	writesUntilClosed(t, s)
}

// writesUntilClosed closes s while goroutines write, and returns the keys of the writes that returned nil.
func writesUntilClosed(t *testing.T, s persist.Store) (acknowledged []string) {
	ctx := t.Context()
	const writers, closers = 16, 4
	var (
		wait sync.WaitGroup
		mu   sync.Mutex
		some = make(chan struct{}, 1)
	)
	for w := range writers {
		wait.Go(func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%d/%d", w, i)
				err := s.Put(ctx, key, []byte(key), time.Time{})
				if err != nil {
					wantError(t, "a write among Close", err, persist.ErrClosed)
					return
				}
				mu.Lock()
				acknowledged = append(acknowledged, key)
				mu.Unlock()
				if i == 3 {
					select {
					case some <- struct{}{}:
					default:
					}
				}
			}
		})
	}
	gone := make(chan struct{})
	go func() { // ends with the writers
		wait.Wait()
		close(gone)
	}()
	select {
	case <-some:
	case <-gone:
		t.Fatal("all writes failed")
	}
	var closing sync.WaitGroup
	for range closers {
		closing.Go(func() {
			must(t, "Close", s.Close())
			// However many are closing: when one of them returns, the store is closed.
			_, err := s.Get(ctx, "k")
			wantError(t, "Get after Close", err, persist.ErrClosed)
		})
	}
	closing.Wait()
	<-gone
	return acknowledged
}

func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func wantValue(t *testing.T, s persist.Store, key, want string) {
	t.Helper()
	got, err := s.Get(t.Context(), key)
	switch {
	case err != nil:
		t.Errorf("Get %.40q: %v, want %.40q", key, err, want)
	case string(got) != want:
		t.Errorf("Get %.40q: %.40q, want %.40q", key, got, want)
	case got == nil:
		t.Errorf("Get %.40q: a nil slice for a key that is there", key)
	}
}

func wantAbsent(t *testing.T, s persist.Store, key string) {
	t.Helper()
	if got, err := s.Get(t.Context(), key); !errors.Is(err, persist.ErrNotFound) {
		t.Errorf("Get %.40q: %.40q, %v, want ErrNotFound", key, got, err)
	}
}
