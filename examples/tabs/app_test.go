package main

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lastevent/sse"
	"github.com/lastevent/sse/persist"
)

func TestAnswers(t *testing.T) {
	s := newSite(t, sse.Config{})
	live, away, gone := s.open(""), s.open(""), s.open("")
	away.leave()
	away.rest()
	status, _ := s.do("POST", "/close?id="+gone.id, "")
	require.Equal(t, http.StatusOK, status)
	gone.rest()
	live.until(live.address)

	forged := "A" + live.id[1:]
	known := strings.NewReplacer(
		"{live}", live.id, "{live address}", live.address,
		"{away}", away.id, "{away address}", away.address,
		"{closed}", gone.id, "{closed address}", gone.address,
		"{forged}", forged, "{unknown address}", "AAAAAAAAAAAAAAAA",
		"{long}", strings.Repeat("x", 300))
	large := strings.Repeat("x", maxBody+1)

	for _, c := range []struct {
		method, path, body string
		status             int
		text               string // in the answer
	}{
		{"GET", "/", "", 200, "<title>Tabs</title>"},
		{"GET", "/page.css", "", 200, "body {"},
		{"GET", "/page.js", "", 200, "EventSource"},
		{"GET", "/page.svg", "", 200, "<svg"},
		{"GET", "/nothing", "", 404, ""},
		{"GET", "/send?id={live}", "", 405, ""},

		{"GET", "/sessions", "", 200, `["{live address}"]`},
		{"GET", "/sessions?id={live}", "", 200, `{"address":"{live address}","live":true}`},
		{"GET", "/sessions?id={live}.17~mine", "", 200, `{"address":"{live address}","live":true}`},
		{"GET", "/sessions?id={live address}", "", 200, `{"address":"{live address}","live":true}`},
		{"GET", "/sessions?id={away}", "", 200, `{"address":"{away address}","live":false}`},
		{"GET", "/sessions?id={away address}", "", 404, "not connected"},
		{"GET", "/sessions?id={unknown address}", "", 404, "not connected"},
		{"GET", "/sessions?id={forged}", "", 404, "no tab"},
		{"GET", "/sessions?id={closed}", "", 410, "closed for good"},
		{"GET", "/sessions?id={closed address}", "", 410, "closed for good"},
		{"GET", "/sessions?id=", "", 400, "id is missing"},
		{"GET", "/sessions?id=%zz", "", 400, "query"},

		{"POST", "/send?id={live}&event=greeting", "hello", 200, "sent"},
		{"POST", "/send?id={live}~mine", "hello", 200, "sent"},
		{"POST", "/send?id={live address}", "hello", 200, "sent"},
		{"POST", "/send?id={live}", "", 200, "sent"},
		{"POST", "/send?id={away}", "hello", 404, "not connected"},
		{"POST", "/send?id={unknown address}", "hello", 404, "not connected"},
		{"POST", "/send?id=????????????????", "hello", 404, "no tab"},
		{"POST", "/send?id={forged}", "hello", 404, "no tab"},
		{"POST", "/send?id=null", "hello", 404, "no tab"},
		{"POST", "/send?id={closed}", "hello", 410, "closed for good"},
		{"POST", "/send?id={closed address}", "hello", 410, "closed for good"},
		{"POST", "/send", "hello", 400, "id is missing"},
		{"POST", "/send?id={live}&event=a%0Ab", "hello", 400, "event's name"},
		{"POST", "/send?id={live}&event=%00", "hello", 400, "event's name"},
		{"POST", "/send?id={live}&event={long}", "hello", 400, "event's name"},
		{"POST", "/send?id={live}", large, 413, "too large"},
		{"POST", "/send?id={live}", large[1:], 200, "sent"},

		{"POST", "/broadcast", "hello", 200, "sent to all"},
		{"POST", "/broadcast?event=a%0Db", "hello", 400, "event's name"},
		{"POST", "/broadcast?event=%zz", "hello", 400, "query"},
		{"POST", "/broadcast", large, 413, "too large"},

		{"POST", "/join?id={live}&room=kitchen", "", 200, "joined"},
		{"POST", "/join?id={live address}&room=kitchen", "", 200, "joined"},
		{"POST", "/join?id={live}", "", 400, "room is missing"},
		{"POST", "/join?id={live}&room=a%0Ab", "", 400, "room's name"},
		{"POST", "/join?id={live}&room={long}", "", 400, "room's name"},
		{"POST", "/join?room=kitchen", "", 400, "id is missing"},
		{"POST", "/join?id={away}&room=kitchen", "", 404, "not connected"},
		{"POST", "/join?id={forged}&room=kitchen", "", 404, "no tab"},
		{"POST", "/join?id={closed}&room=kitchen", "", 410, "closed for good"},

		{"POST", "/room?room=kitchen", "hello", 200, "sent to the room"},
		{"POST", "/room?room=nobody's", "hello", 200, "sent to the room"},
		{"POST", "/room", "hello", 400, "room is missing"},
		{"POST", "/room?room=a%00b", "hello", 400, "room's name"},
		{"POST", "/room?room=kitchen&event=a%0Ab", "hello", 400, "event's name"},
		{"POST", "/room?room=kitchen", large, 413, "too large"},

		{"POST", "/leave?id={live}&room=kitchen", "", 200, "left"},
		{"POST", "/leave?id={live}&room=kitchen", "", 200, "left"},
		{"POST", "/leave?id={live}", "", 400, "room is missing"},
		{"POST", "/leave?id={live}&room=a%0Ab", "", 400, "room's name"},
		{"POST", "/leave?id={away}&room=kitchen", "", 404, "not connected"},
		{"POST", "/leave?id={closed}&room=kitchen", "", 410, "closed for good"},

		{"POST", "/drop", "", 400, "id is missing"},
		{"POST", "/drop?id={away}", "", 404, "not connected"},
		{"POST", "/drop?id={forged}", "", 404, "no tab"},
		{"POST", "/drop?id={closed address}", "", 410, "closed for good"},

		{"POST", "/close", "", 400, "id is missing"},
		{"POST", "/close?id={forged}", "", 404, "no tab"},
		{"POST", "/close?id={unknown address}", "", 404, "not connected"},
		{"POST", "/close?id={away address}", "", 404, "not connected"},
		{"POST", "/close?id={closed}", "", 410, "closed for good"},
		{"POST", "/close?id={closed address}", "", 410, "closed for good"},
		{"POST", "/close?id={away}", "", 200, "closed for good"},
		{"POST", "/close?id={away}", "", 410, "closed for good"},

		// At the end, because it is one.
		{"POST", "/drop?id={live}", "", 200, "dropped"},
		{"GET", "/sessions", "", 200, "[]\n"},
	} {
		path := known.Replace(c.path)
		status, text := s.do(c.method, path, c.body)
		assert.Equal(t, c.status, status, "%s %s: %s", c.method, c.path, text)
		assert.Contains(t, text, known.Replace(c.text), "%s %s", c.method, c.path)
	}
}

// until waits for the list of tabs to be just this.
func (b *tab) until(addresses ...string) {
	b.t.Helper()
	slices.Sort(addresses)
	want := `"tabs":["` + strings.Join(addresses, `","`) + `"]}`
	for !strings.HasSuffix(b.next("tabs").data, want) {
	}
}

func TestEventsReachWhomTheyAreFor(t *testing.T) {
	s := newSite(t, sse.Config{})
	a, b, c := s.open(""), s.open(""), s.open("")
	post := func(path, body string) {
		t.Helper()
		status, text := s.do("POST", path, body)
		require.Equal(t, http.StatusOK, status, text)
	}
	post("/join?id="+b.id+"&room=kitchen", "")
	post("/send?event=x&id="+a.id, "to a")
	post("/send?event=x&id="+b.address, "to b")
	post("/room?event=x&room=kitchen", "to the kitchen")
	post("/leave?id="+b.id+"&room=kitchen", "")
	post("/room?event=x&room=kitchen", "to nobody")
	post("/broadcast?event=x", "to all")
	post("/broadcast", "without a name")
	for tab, want := range map[*tab][]string{
		a: {"to a", "to all"},
		b: {"to b", "to the kitchen", "to all"},
		c: {"to all"},
	} {
		for _, data := range want {
			assert.Equal(t, event{tab.id, "x", data}, tab.next("x"))
		}
		assert.Equal(t, "without a name", tab.next("message").data)
	}
}

func TestDropComesBackCloseDoesNot(t *testing.T) {
	s := newSite(t, sse.Config{})
	a := s.open("")
	require.Equal(t, "new", a.state)
	s.do("POST", "/drop?id="+a.address, "")
	a.rest()
	again := s.open(a.id)
	require.Equal(t, a.id, again.id)
	require.Equal(t, "gap", again.state)

	s.do("POST", "/close?id="+a.address, "")
	last := again.rest()
	require.NotEmpty(t, last)
	require.Equal(t, "close", last[len(last)-1].name)
	for range 3 {
		status, _ := s.do("GET", "/events", "", "Last-Event-ID: "+a.id)
		require.Equal(t, http.StatusNoContent, status)
	}
}

// Who has a tab's id can be that tab. So whatever is done, no stream but the
// tab's own, no answer and no line of the log shows it.
func TestIDsAreShownToTheirTabsOnly(t *testing.T) {
	s := newSite(t, sse.Config{})
	a, b, c := s.open(""), s.open(""), s.open("")
	tabs := []*tab{a, b, c}
	a.until(a.address, b.address, c.address)
	for _, own := range tabs[:2] {
		for _, who := range []string{own.id, own.address, own.id + "~mine", "A" + own.id} {
			for _, path := range []string{
				"/send?id=", "/send?event=a%0Ab&id=", "/join?room=kitchen&id=", "/join?room=%00&id=", "/leave?room=kitchen&id=",
				"/drop?id=", "/send?id=", "/close?id=", "/close?id=", "/send?id=",
			} {
				s.do("POST", path+who, "hello")
			}
			s.do("GET", "/sessions?id="+who, "")
			s.do("GET", "/events?id="+a.id, "") // closed by the first round
		}
		s.do("POST", "/room?room=kitchen", "hello")
		s.do("POST", "/broadcast", "hello")
		s.do("GET", "/sessions", "")
	}
	c.until(c.address)
	for _, own := range tabs {
		assert.Contains(t, own.said.String(), own.id, "its own")
		assert.Contains(t, s.said.String(), own.address)
		assert.NotContains(t, s.said.String(), own.id)
		for _, other := range tabs {
			if other != own {
				assert.NotContains(t, own.said.String(), other.id)
			}
		}
	}
}

func TestTroubleWithTheStoreIs503(t *testing.T) {
	store := &failing{Store: persist.NewMemory()}
	s := newSite(t, sse.Config{Store: store, Keys: [][]byte{make([]byte, 32)}})
	tab := s.open("")
	store.down.Store(true)
	defer store.down.Store(false)
	for _, path := range []string{"/send?id=", "/drop?id=", "/close?id=", "/join?room=kitchen&id=", "/leave?room=kitchen&id="} {
		status, text := s.do("POST", path+tab.id, "hello")
		assert.Equal(t, http.StatusServiceUnavailable, status, path)
		assert.Contains(t, text, "store", path)
	}
	status, _ := s.do("GET", "/sessions?id="+tab.id, "")
	assert.Equal(t, http.StatusServiceUnavailable, status)
}

// A failing store does not answer while it is down.
type failing struct {
	persist.Store
	down atomic.Bool
}

func (f *failing) Get(ctx context.Context, key string) ([]byte, error) {
	if f.down.Load() {
		return nil, persist.ErrUnavailable
	}
	return f.Store.Get(ctx, key)
}
