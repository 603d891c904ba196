package main

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lastevent/sse"
)

func TestRosterTellsABurstTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var told []time.Duration
		r := newRoster(time.Second, func() { told = append(told, time.Since(start)) })
		defer r.close()
		synctest.Wait()
		for range 1000 {
			r.changed()
		}
		synctest.Wait()
		for range 1000 {
			r.changed()
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		assert.Equal(t, []time.Duration{0, time.Second}, told)

		r.changed()
		synctest.Wait()
		assert.Equal(t, time.Hour, told[2], "after a rest it tells at once")
	})
}

func TestRosterPausesWhileTheyComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := 0
		r := newRoster(time.Second, func() { told++ })
		defer r.close()
		for range 10_000 {
			r.changed()
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		assert.InDelta(t, 10, told, 1)
	})
}

func TestTabsHearWhoIsThere(t *testing.T) {
	s := newSite(t, sse.Config{})
	a := s.open("")
	a.until(a.address)
	b := s.open("")
	a.until(a.address, b.address)
	b.until(a.address, b.address)
	b.leave()
	a.until(a.address)

	var got list
	c := s.open("")
	require.NoError(t, json.Unmarshal([]byte(c.next("tabs").data), &got))
	assert.Equal(t, 2, got.Total)
}
