package sse_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/securecookie"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lastevent/sse"
	"github.com/lastevent/sse/persist"
	"github.com/lastevent/sse/session"
)

func byUser(r *http.Request) (string, error) { return r.Header.Get("User"), nil }

// A page of another site that knows an id can do nothing with it: neither
// open the stream, nor have the browser navigate to it, nor find out by the
// answer whether the id was closed.
func TestCrossSite(t *testing.T) {
	srv := open(t, sse.Config{AllowedOrigins: []string{"https://app.example"}})
	handler, sessions := waiter(srv)
	url := serve(t, handler)
	tab := get(t, http.DefaultClient, url)
	tab.greeted(t)
	id := take(t, sessions).ID()
	closed, err := http.Get(url)
	require.NoError(t, err)
	defer closed.Body.Close()
	closedID := take(t, sessions)
	require.NoError(t, closedID.Close())

	for name, fields := range map[string][]string{
		"cross-site stream":         {"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: cors", "Origin: https://evil.example"},
		"cross-site image":          {"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"},
		"cross-site link":           {"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"},
		"somebody else's subdomain": {"Sec-Fetch-Site: same-site", "Origin: https://other.app.example"},
		"browser of old":            {"Origin: https://evil.example"},
		"sandboxed frame":           {"Origin: null"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, id := range []string{id, closedID.ID()} {
				got := get(t, http.DefaultClient, url+"?id="+id, append(fields, "Last-Event-ID: "+id)...)
				assert.Equal(t, http.StatusForbidden, got.resp.StatusCode)
				assert.Empty(t, got.resp.Header.Get("Access-Control-Allow-Origin"))
			}
		})
	}
	t.Run("a link of this site opens a new session", func(t *testing.T) {
		got := get(t, http.DefaultClient, url+"?id="+id, "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate")
		assert.Equal(t, "new", got.greeted(t))
		assert.NotEqual(t, id, got.LastEventID)
		take(t, sessions)
	})
	t.Run("an allowed origin is welcome", func(t *testing.T) {
		got := get(t, http.DefaultClient, url, "Last-Event-ID: "+id, "Sec-Fetch-Site: cross-site", "Origin: https://app.example")
		assert.Equal(t, "gap", got.greeted(t))
		assert.Equal(t, "https://app.example", got.resp.Header.Get("Access-Control-Allow-Origin"))
		assert.Equal(t, "true", got.resp.Header.Get("Access-Control-Allow-Credentials"))
		assert.Equal(t, "Origin", got.resp.Header.Get("Vary"))
		take(t, sessions)
	})
	_, err = sse.Open(sse.Config{AllowedOrigins: []string{"*"}, Store: persist.NewMemory()})
	assert.ErrorIs(t, err, sse.ErrConfig)
}

// An id is of use to the owner only that it was made for; and a closed tab
// stays closed, whoever is logged in.
func TestOwners(t *testing.T) {
	srv := open(t, sse.Config{Owner: byUser})
	handler, sessions := waiter(srv)
	url := serve(t, handler)
	as := func(user, id string) (*stream, *sse.Session) {
		tab := get(t, http.DefaultClient, url, "User: "+user, "Last-Event-ID: "+id)
		if tab.resp.StatusCode != http.StatusOK {
			return tab, nil
		}
		tab.greeted(t)
		return tab, take(t, sessions)
	}
	_, anns := as("ann", "")
	require.NoError(t, anns.Join("ann's room"))
	_, anon := as("", "")

	t.Run("an id copied to another owner is none", func(t *testing.T) {
		_, s := as("bob", anns.ID())
		assert.Equal(t, sse.StateNew, s.State())
		assert.NotEqual(t, anns.ID(), s.ID())
		assert.Empty(t, s.Rooms(), "rooms do not cross owners")
		assert.False(t, anns.IsClosed(), "nor does anybody throw another out")
		_, s = as("", anns.ID())
		assert.Equal(t, sse.StateNew, s.State())
	})
	t.Run("an id of nobody cannot be planted on somebody who logs in", func(t *testing.T) {
		_, s := as("ann", anon.ID())
		assert.Equal(t, sse.StateNew, s.State())
	})
	t.Run("logout and login in the same tab", func(t *testing.T) {
		_, out := as("", anns.ID())
		assert.NotEqual(t, anns.ID(), out.ID())
		_, in := as("ann", out.ID())
		assert.NotEqual(t, out.ID(), in.ID())
		_, back := as("ann", anns.ID())
		assert.Equal(t, anns.ID(), back.ID())
		assert.Equal(t, []string{"ann's room"}, back.Rooms())
	})
	t.Run("From is for the owner's tabs only", func(t *testing.T) {
		r := httptest.NewRequest("POST", "/leave?id="+anns.ID(), nil)
		assert.ErrorIs(t, srv.From(r).Close(), sse.ErrOwner)
		r.Header.Set("User", "ann")
		assert.NoError(t, srv.From(r).Send("x"))
	})
	t.Run("a closed id is closed under every owner", func(t *testing.T) {
		require.NoError(t, srv.To(anns.ID()).Close())
		for _, user := range []string{"ann", "bob", ""} {
			tab, _ := as(user, anns.ID())
			assert.Equal(t, http.StatusNoContent, tab.resp.StatusCode, user)
		}
	})
	t.Run("option Owner goes before Config.Owner", func(t *testing.T) {
		handler, sessions := waiter(srv, sse.Owner("carl"))
		get(t, http.DefaultClient, serve(t, handler), "User: ann").greeted(t)
		take(t, sessions)
		assert.Equal(t, 1, srv.Of("carl").Count())
	})
}

// A Config.Owner that fails is trouble that will pass: the browser shall come
// back with the id it has.
func TestOwnerTrouble(t *testing.T) {
	var down atomic.Bool
	srv := open(t, sse.Config{Owner: func(*http.Request) (string, error) {
		if down.Load() {
			return "", errors.New("user database is down")
		}
		return "ann", nil
	}})
	errs := make(chan error, 1)
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := srv.New(w, r)
		errs <- err
		if err == nil {
			s.Disconnect()
		}
	}))
	tab := get(t, http.DefaultClient, url)
	tab.greeted(t)
	require.NoError(t, <-errs)

	down.Store(true)
	again := get(t, http.DefaultClient, url, "Last-Event-ID: "+tab.LastEventID)
	assert.Equal(t, http.StatusOK, again.resp.StatusCode)
	events, clean := again.ends(t)
	assert.Empty(t, events)
	assert.False(t, clean)
	assert.Positive(t, again.Retry)
	err := <-errs
	assert.ErrorIs(t, err, sse.ErrUnavailable)
	assert.ErrorContains(t, err, "user database is down")

	down.Store(false)
	again = get(t, http.DefaultClient, url, "Last-Event-ID: "+tab.LastEventID)
	assert.Equal(t, "gap", again.greeted(t))
	assert.Equal(t, tab.LastEventID, again.LastEventID)
	<-errs
}

func TestOwnerCookie(t *testing.T) {
	srv := open(t, sse.Config{OwnerCookie: "browser"})
	handler, sessions := waiter(srv)
	mux := http.NewServeMux()
	mux.Handle("/events", handler)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		_, err := srv.OwnerCookie(w, r)
		require.NoError(t, err)
	})
	url := serve(t, mux)
	browser := func() *http.Client {
		jar, err := cookiejar.New(nil)
		require.NoError(t, err)
		return &http.Client{Jar: jar}
	}
	one, two := browser(), browser()
	resp, err := one.Get(url) // the page
	require.NoError(t, err)
	resp.Body.Close()
	require.Len(t, resp.Cookies(), 1)
	assert.True(t, resp.Cookies()[0].HttpOnly)
	assert.Equal(t, http.SameSiteLaxMode, resp.Cookies()[0].SameSite)

	tab := get(t, one, url+"/events")
	tab.greeted(t)
	assert.Empty(t, tab.resp.Cookies(), "it has one")
	id := take(t, sessions).ID()
	stolen := get(t, two, url+"/events?id="+id)
	assert.Equal(t, "new", stolen.greeted(t))
	assert.NotEmpty(t, stolen.resp.Cookies())
	take(t, sessions)
	back := get(t, one, url+"/events", "Last-Event-ID: "+id)
	assert.Equal(t, "gap", back.greeted(t))
	take(t, sessions)
}

// Whatever is no id of ours makes a new session; nothing of it comes back.
func TestWhatIsNoID(t *testing.T) {
	srv := open(t, sse.Config{})
	handler, sessions := waiter(srv)
	url := serve(t, handler)
	tab := get(t, http.DefaultClient, url)
	tab.greeted(t)
	s := take(t, sessions)
	id := s.ID()

	foreign := open(t, sse.Config{Keys: [][]byte{bytes.Repeat([]byte("k"), 32)}})
	foreignHandler, foreignSessions := waiter(foreign)
	get(t, http.DefaultClient, serve(t, foreignHandler)).greeted(t)
	flipped := []byte(id)
	flipped[40] ^= 1

	for name, text := range map[string]string{
		"address":     s.Address(),
		"forged":      string(flipped),
		"foreign":     take(t, foreignSessions).ID(),
		"cut short":   id[:len(id)-4],
		"padded":      id + "=",
		"null":        "null",
		"undefined":   "undefined",
		"over-long":   strings.Repeat("A", 4000),
		"other words": "42",
		"UTF-8":       "é" + id,
	} {
		t.Run(name, func(t *testing.T) {
			got := get(t, http.DefaultClient, url, "Last-Event-ID: "+text)
			assert.Equal(t, "new", got.greeted(t))
			assert.NotContains(t, got.LastEventID, text)
			take(t, sessions)
			got = get(t, http.DefaultClient, url+"?id="+text)
			assert.Equal(t, "new", got.greeted(t))
			take(t, sessions)
		})
	}
	// securecookie takes an id with line breaks inside for the same id. Had it
	// been written back it would have ended the id line.
	t.Run("line break inside", func(t *testing.T) {
		got := get(t, http.DefaultClient, url+"?id="+id[:40]+"%0A"+id[40:])
		assert.Equal(t, "new", got.greeted(t))
		take(t, sessions)
	})
	t.Run("repeated", func(t *testing.T) {
		got := get(t, http.DefaultClient, url, "Last-Event-ID: "+id, "Last-Event-ID: "+id)
		assert.Equal(t, "new", got.greeted(t))
		take(t, sessions)
		got = get(t, http.DefaultClient, url+"?id="+id+"&id="+id)
		assert.Equal(t, "new", got.greeted(t))
		take(t, sessions)
	})
	assert.False(t, s.IsClosed(), "none of them was the tab")

	for _, param := range []string{"lastEventId", "last_event_id", "lastEventID", "evs_last_event_id"} {
		t.Run("polyfill "+param, func(t *testing.T) {
			got := get(t, http.DefaultClient, url+"?"+param+"="+id)
			assert.Equal(t, "gap", got.greeted(t))
			assert.Equal(t, id, take(t, sessions).ID())
		})
	}
}

// Three replicas with three key sets make every tab a new one on each change
// of replica: the log must say so, without the id, and without a flood.
func TestForeignKeysAreLogged(t *testing.T) {
	var log bytes.Buffer
	srv := open(t, sse.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	other := open(t, sse.Config{})
	handler, sessions := waiter(other)
	get(t, http.DefaultClient, serve(t, handler)).greeted(t)
	id := take(t, sessions).ID()
	for range 10 {
		assert.ErrorIs(t, srv.To(id).Send("x"), sse.ErrID)
	}
	assert.Equal(t, 1, strings.Count(log.String(), "signed by none of this server's keys"))
	assert.NotContains(t, log.String(), id)
}

// The steps of a rotation as Config.Keys has them.
func TestKeyRotation(t *testing.T) {
	db := filepath.Join(t.TempDir(), "sse.db")
	older, newer := make([]byte, 32), make([]byte, 32)
	rand.Read(older)
	rand.Read(newer)
	var first, second string
	visit := func(id string, keys ...[]byte) string {
		srv := open(t, sse.Config{DB: db, Keys: keys, Owner: byUser})
		handler, sessions := waiter(srv)
		tab := get(t, http.DefaultClient, serve(t, handler), "User: ann", "Last-Event-ID: "+id)
		defer srv.Close()
		if tab.resp.StatusCode == http.StatusNoContent {
			return "204"
		}
		tab.greeted(t)
		return take(t, sessions).ID()
	}
	first = visit("", older)
	assert.Equal(t, first, visit(first, older, newer), "the new key is added")
	assert.Equal(t, first, visit(first, newer, older), "and signs")
	second = visit("", newer, older)
	assert.Equal(t, second, visit(second, older, newer), "on a server that is one step behind, too")

	assert.Equal(t, second, visit(second, newer), "and then the old key is gone")
	assert.NotEqual(t, first, visit(first, newer), "with the ids that it had signed")

	_, err := sse.Open(sse.Config{DB: db, Keys: [][]byte{[]byte("short")}})
	assert.ErrorIs(t, err, sse.ErrConfig)
	assert.ErrorContains(t, err, "32")
}

// An id is good for its lifetime, and a closed one is refused for a lifetime
// from the close, so it is never good again.
func TestLifetimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const life = 24 * time.Hour
		srv, err := sse.Open(sse.Config{Store: persist.NewMemory(), IDLifetime: life, Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		defer srv.Close()
		visit := func(id string) (status int, got string) {
			ctx, leave := context.WithCancel(t.Context())
			w := httptest.NewRecorder()
			r := httptest.NewRequestWithContext(ctx, "GET", "/?id="+id, nil)
			s, err := srv.New(w, r)
			if err == nil {
				got = s.ID()
				leave()
				s.Wait()
			}
			leave()
			return w.Code, got
		}
		_, id := visit("")
		_, closed := visit("")
		time.Sleep(life)
		_, again := visit(id)
		assert.Equal(t, id, again, "good to the last second")
		require.NoError(t, srv.To(closed).Close())
		time.Sleep(time.Second)
		_, again = visit(id)
		assert.NotEqual(t, id, again, "and no longer")
		assert.ErrorIs(t, srv.To(id).Send("x"), sse.ErrExpired)

		time.Sleep(life - 2*time.Second)
		status, _ := visit(closed)
		assert.Equal(t, http.StatusNoContent, status, "expired, and still known as closed")
		time.Sleep(2*time.Second + session.Skew)
		status, again = visit(closed)
		assert.Equal(t, http.StatusOK, status, "the ledger has forgotten it")
		assert.NotEqual(t, closed, again, "and it is too old to be an id")
	})
}

// Option Until cuts when a login expires.
func TestUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := sse.Open(sse.Config{Store: persist.NewMemory(), Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		defer srv.Close()
		start := time.Now()
		s, err := srv.New(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), sse.Until(start.Add(time.Hour)))
		require.NoError(t, err)
		s.Wait()
		assert.Equal(t, time.Hour, time.Since(start))
		assert.ErrorIs(t, s.Err(), sse.ErrUntil)

		w := httptest.NewRecorder()
		_, err = srv.New(w, httptest.NewRequest("GET", "/", nil), sse.Until(start))
		assert.ErrorIs(t, err, sse.ErrUntil)
		assert.Equal(t, http.StatusOK, w.Code, "the browser shall ask again")
		assert.Contains(t, w.Body.String(), "retry: ")
	})
}

func TestChosenIDs(t *testing.T) {
	t.Run("by the program", func(t *testing.T) {
		srv := open(t, sse.Config{ID: func(r *http.Request) (string, error) { return r.Header.Get("Device"), nil }})
		handler, sessions := waiter(srv)
		url := serve(t, handler)
		tab := get(t, http.DefaultClient, url, "Device: kiosk-7")
		assert.Equal(t, "gap", tab.greeted(t))
		s := take(t, sessions)
		assert.Equal(t, "kiosk-7", s.ID())
		assert.Equal(t, "kiosk-7", tab.LastEventID)
		assert.NotContains(t, s.Address(), "kiosk")
		require.NoError(t, srv.To("kiosk-7").Send("x"))
		assert.Equal(t, "x", tab.next(t).Data)
		require.NoError(t, srv.To("kiosk-7").Close())
		assert.Equal(t, http.StatusNoContent, get(t, http.DefaultClient, url, "Device: kiosk-7").resp.StatusCode)
		tab = get(t, http.DefaultClient, url)
		assert.Equal(t, "new", tab.greeted(t))
		take(t, sessions)
	})
	t.Run("by the client", func(t *testing.T) {
		srv := open(t, sse.Config{TrustClientIDs: true, Owner: byUser})
		handler, sessions := waiter(srv)
		url := serve(t, handler)
		tab := get(t, http.DefaultClient, url+"?id=mine", "User: ann")
		tab.greeted(t)
		assert.Equal(t, "mine", take(t, sessions).ID())
		tab = get(t, http.DefaultClient, url, "Last-Event-ID: mine", "User: bob")
		assert.Equal(t, "new", tab.greeted(t), "ann has it")
		assert.NotEqual(t, "mine", take(t, sessions).ID())
		tab = get(t, http.DefaultClient, url+"?id=with%0Abreak")
		tab.greeted(t)
		assert.NotContains(t, take(t, sessions).ID(), "break")
	})
	t.Run("not unless asked for", func(t *testing.T) {
		srv := open(t, sse.Config{})
		assert.ErrorIs(t, srv.To("mine").Send("x"), sse.ErrID)
	})
}

// securecookie alone would accept what TestWhatIsNoID must not; this holds the
// reason for the alphabet check to be there.
func TestSecurecookieTakesLineBreaks(t *testing.T) {
	sc := securecookie.New(bytes.Repeat([]byte("k"), 32), nil).SetSerializer(securecookie.NopEncoder{})
	text, err := sc.Encode("id", []byte("twelve bytes"))
	require.NoError(t, err)
	var got []byte
	assert.NoError(t, sc.Decode("id", text[:40]+"\n"+text[40:], &got))
}
