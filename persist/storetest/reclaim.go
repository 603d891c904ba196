package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/lastevent/sse/persist"
)

// RunReclaim checks rule 8 on one store, with two functions that know it: count says how many entries its engine holds,
// with those that have expired; wait lets the store do what it does in time. It starts no subtest, so that it can be
// called where time is not the real one (testing/synctest).
func RunReclaim(t *testing.T, s persist.Store, count func() int, wait func()) {
	ctx := t.Context()
	const expired, kept = 3000, 10
	for i := range kept {
		must(t, "Put", s.Put(ctx, fmt.Sprintf("kept/%d", i), []byte("v"), time.Time{}))
		must(t, "Put", s.Put(ctx, fmt.Sprintf("later/%d", i), []byte("v"), time.Now().Add(1000*time.Hour)))
		// What once had an expiry and has another one now must not go with the first.
		must(t, "Put", s.Put(ctx, fmt.Sprintf("moved/%d", i), []byte("v"), time.Now().Add(-time.Second)))
		must(t, "Put", s.Put(ctx, fmt.Sprintf("moved/%d", i), []byte("v"), time.Time{}))
	}
	end := time.Now().Add(50 * time.Millisecond)
	for i := range expired {
		must(t, "Put", s.Put(ctx, fmt.Sprintf("expired/%d", i), []byte("v"), end))
	}
	time.Sleep(time.Until(end) + slack)
	for i := 0; count() > 3*kept; i++ {
		if i == 10_000 {
			t.Fatalf("of %d expired entries there are still %d", expired, count()-3*kept)
		}
		wait()
	}
	for i := range kept {
		wantValue(t, s, fmt.Sprintf("kept/%d", i), "v")
		wantValue(t, s, fmt.Sprintf("later/%d", i), "v")
		wantValue(t, s, fmt.Sprintf("moved/%d", i), "v")
	}
	if n := count(); n != 3*kept {
		t.Errorf("%d entries of %d are left", n, 3*kept)
	}
}
