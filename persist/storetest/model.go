package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/lastevent/sse/persist"
)

// A plainEntry of the model: what an obviously right store would hold.
type plainEntry struct {
	value   []byte
	expired bool
}

// runModel does random operations on a store and on a plain map, and compares every answer. Expiries are an hour away
// on either side, so that the clock plays no part. Now and then, if reopen is given, the store is replaced by what it
// returns. SEED in the environment repeats a run.
func runModel(t *testing.T, s persist.Store, reopen func() persist.Store) {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("SEED: %v", err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("to repeat: SEED=%d", seed)
		}
	})
	var (
		ctx   = t.Context()
		rnd   = rand.New(rand.NewPCG(seed, 0))
		model = map[string]plainEntry{}
		steps = 1500
	)
	if testing.Short() {
		steps = 300
	}
	for step := range steps {
		key := fmt.Sprintf("key/%d", rnd.IntN(40))
		value := make([]byte, rnd.IntN(200))
		if rnd.IntN(20) == 0 {
			value = make([]byte, rnd.IntN(20_000)) // more than a page of most engines
		}
		for i := range value {
			value[i] = byte(rnd.Uint32())
		}
		var end time.Time
		switch rnd.IntN(3) {
		case 0:
			end = time.Now().Add(-time.Hour)
		case 1:
			end = time.Now().Add(time.Hour)
		}
		there, ok := model[key]
		ok = ok && !there.expired
		entry := plainEntry{value, !end.IsZero() && end.Before(time.Now())}

		var what string
		var err, want error
		switch what = []string{"Get", "Get", "Put", "Add", "Delete", "reopen"}[rnd.IntN(6)]; what {
		case "Get":
			var got []byte
			got, err = s.Get(ctx, key)
			if !ok {
				want = persist.ErrNotFound
			} else if err == nil && !bytes.Equal(got, there.value) {
				t.Fatalf("step %d: Get %s: %x, want %x", step, key, got, there.value)
			}
		case "Put":
			err = s.Put(ctx, key, value, end)
			model[key] = entry
		case "Add":
			err = s.Add(ctx, key, value, end)
			if ok {
				want = persist.ErrExists
			} else {
				model[key] = entry
			}
		case "Delete":
			err = s.Delete(ctx, key)
			delete(model, key)
		case "reopen":
			if reopen != nil && rnd.IntN(10) == 0 {
				s = reopen()
			}
		}
		if !errors.Is(err, want) {
			t.Fatalf("step %d: %s %s: %v, want %v", step, what, key, err, want)
		}
	}
	for key, entry := range model {
		if entry.expired {
			wantAbsent(t, s, key)
		} else {
			wantValue(t, s, key, string(entry.value))
		}
	}
}
