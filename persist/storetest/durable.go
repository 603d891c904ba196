package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/lastevent/sse/persist"
)

// RunDurable checks the rules for a store that outlives its process. open opens the store that lives in dir, and makes
// it when there is none; it is called again with the same dir after Close.
func RunDurable(t *testing.T, open func(t *testing.T, dir string) persist.Store) {
	for _, c := range []struct {
		rule string
		test func(t *testing.T, s persist.Store, reopen func() persist.Store)
	}{
		{"01 what was written is there after reopening", survives},
		{"01 expiry is there after reopening", expirySurvives},
		{"15 what was acknowledged among Close is there after reopening", closeRaceSurvives},
		{"all random operations agree with a plain map across reopening", runModel},
		{"Keyring keys are the same after reopening", keysSurvive},
	} {
		t.Run(c.rule, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			t.Cleanup(func() { must(t, "Close at the end", s.Close()) })
			c.test(t, s, func() persist.Store {
				must(t, "Close", s.Close())
				s = open(t, dir)
				return s
			})
		})
	}
}

func survives(t *testing.T, s persist.Store, reopen func() persist.Store) {
	ctx := t.Context()
	for i := range 200 {
		must(t, "Put", s.Put(ctx, fmt.Sprintf("put/%d", i), fmt.Append(nil, i), time.Time{}))
	}
	must(t, "Add", s.Add(ctx, "add", []byte("v"), time.Now().Add(time.Hour)))
	for i := range 100 {
		must(t, "Delete", s.Delete(ctx, fmt.Sprintf("put/%d", i)))
	}
	for range 3 {
		s = reopen()
		for i := range 200 {
			if i < 100 {
				wantAbsent(t, s, fmt.Sprintf("put/%d", i))
			} else {
				wantValue(t, s, fmt.Sprintf("put/%d", i), fmt.Sprint(i))
			}
		}
		wantValue(t, s, "add", "v")
		wantError(t, "Add", s.Add(ctx, "add", nil, time.Time{}), persist.ErrExists)
	}
}

func expirySurvives(t *testing.T, s persist.Store, reopen func() persist.Store) {
	ctx := t.Context()
	soon := time.Now().Add(200 * time.Millisecond)
	must(t, "Put", s.Put(ctx, "soon", []byte("v"), soon))
	must(t, "Put", s.Put(ctx, "later", []byte("v"), soon.Add(time.Hour)))
	must(t, "Put", s.Put(ctx, "never", []byte("v"), time.Time{}))
	s = reopen()
	if _, err := s.Get(ctx, "soon"); err != nil && time.Now().Before(soon) {
		t.Errorf("Get before the expiry: %v", err)
	}
	time.Sleep(time.Until(soon) + 2*slack)
	wantAbsent(t, s, "soon")
	s = reopen()
	wantAbsent(t, s, "soon")
	wantValue(t, s, "later", "v")
	wantValue(t, s, "never", "v")
}

func closeRaceSurvives(t *testing.T, s persist.Store, reopen func() persist.Store) {
	acknowledged := writesUntilClosed(t, s)
	s = reopen()
	for _, key := range acknowledged {
		wantValue(t, s, key, key)
	}
}

func keysSurvive(t *testing.T, s persist.Store, reopen func() persist.Store) {
	ring, ok := s.(persist.Keyring)
	if !ok {
		t.Skip("the store keeps no keys")
	}
	keys, err := ring.Keys()
	must(t, "Keys", err)
	if len(keys) == 0 {
		t.Fatal("Keys returned none")
	}
	before := fmt.Sprint(keys)
	for i, key := range keys {
		if len(key) < 32 {
			t.Errorf("key %d has %d bytes", i, len(key))
		}
		clear(key) // it is the caller's
	}
	for range 2 {
		again, err := ring.Keys()
		must(t, "Keys", err)
		if fmt.Sprint(again) != before {
			t.Error("Keys returned other keys the next time")
		}
		ring = reopen().(persist.Keyring)
	}
}
