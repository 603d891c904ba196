package session_test

import (
	"crypto/tls"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/securecookie"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lastevent/sse/session"
)

func browsers(t testing.TB, name, letters string) *session.Browsers {
	t.Helper()
	b, err := session.NewBrowsers(name, keys(letters))
	require.NoError(t, err)
	return b
}

// with is a request that carries these cookies, by name and value in turn.
func with(cookies ...string) *http.Request {
	r := httptest.NewRequest("GET", "/events", nil)
	for i := 0; i < len(cookies); i += 2 {
		r.AddCookie(&http.Cookie{Name: cookies[i], Value: cookies[i+1]})
	}
	return r
}

// meet is the first visit of a browser.
func meet(t testing.TB, b *session.Browsers, r *http.Request) (owner string, set *http.Cookie) {
	t.Helper()
	w := httptest.NewRecorder()
	owner, err := b.Ensure(w, r)
	require.NoError(t, err)
	require.Len(t, w.Result().Cookies(), 1)
	return owner, w.Result().Cookies()[0]
}

func TestBrowserCookie(t *testing.T) {
	b := browsers(t, "tab", "a")
	plainly := httptest.NewRequest("GET", "http://example.com/", nil)
	overTLS := httptest.NewRequest("GET", "http://example.com/", nil)
	overTLS.TLS = &tls.ConnectionState{}
	for _, r := range []*http.Request{plainly, overTLS} {
		owner, c := meet(t, b, r)
		assert.Equal(t, "tab", c.Name)
		assert.Equal(t, "/", c.Path)
		assert.Empty(t, c.Domain)
		assert.Equal(t, 400*24*60*60, c.MaxAge)
		assert.True(t, c.HttpOnly)
		assert.Equal(t, r.TLS != nil, c.Secure)
		assert.Equal(t, http.SameSiteLaxMode, c.SameSite)
		assert.NoError(t, c.Valid())
		assert.NotContains(t, c.Value, strings.TrimPrefix(owner, "browser "), "who knows the owner has not the cookie")
	}
}

func TestBrowserRoundTrip(t *testing.T) {
	b := browsers(t, "tab", "a")
	owner, c := meet(t, b, with())
	assert.Regexp(t, `^browser [A-Za-z0-9_-]{16}$`, owner)
	assert.Equal(t, owner, b.Owner(with("tab", c.Value)))
	assert.Equal(t, owner, b.Owner(with("other", "x", "tab", c.Value)))

	w := httptest.NewRecorder()
	again, err := b.Ensure(w, with("tab", c.Value))
	require.NoError(t, err)
	assert.Equal(t, owner, again)
	assert.Empty(t, w.Header(), "a browser that is known gets no other cookie")

	other, c2 := meet(t, b, with())
	assert.NotEqual(t, owner, other)
	assert.NotEqual(t, c.Value, c2.Value)
}

// The browser lets the cookie expire, and nobody else: securecookie's default
// would be 30 days.
func TestBrowserCookieStaysGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := browsers(t, "tab", "a")
		owner, c := meet(t, b, with())
		time.Sleep(10 * year)
		assert.Equal(t, owner, b.Owner(with("tab", c.Value)))
	})
}

func TestBrowserForged(t *testing.T) {
	b := browsers(t, "tab", "a")
	_, c := meet(t, b, with())
	good := c.Value
	require.Len(t, good, 80)
	signed := func(key []byte, name string, payload []byte) string {
		v, err := securecookie.New(key, nil).SetSerializer(securecookie.NopEncoder{}).Encode(name, payload)
		require.NoError(t, err)
		return v
	}
	_, foreign := meet(t, browsers(t, "tab", "b"), with())
	_, namesake := meet(t, browsers(t, "tab2", "a"), with())
	forged := []string{
		"", "null", good[:79], good[1:], good + "A", good + good, good + "=", strings.Repeat("A", 80), strings.Repeat("A", 5000),
		foreign.Value, namesake.Value,
		signed(key('a'), "tab", make([]byte, 12)),
		signed(subkey(t, key('a'), "id"), "tab", make([]byte, 12)),
		signed(subkey(t, key('a'), "browser"), "tab", make([]byte, 11)),
		signed(subkey(t, key('a'), "browser"), "tab", make([]byte, 13)),
		signed(subkey(t, key('a'), "browser"), "tab", nil),
	}
	for i := range good {
		for _, b := range []byte(alphabet) {
			if b != good[i] {
				forged = append(forged, good[:i]+string(b)+good[i+1:])
			}
		}
	}
	for _, value := range forged {
		require.Empty(t, b.Owner(with("tab", value)), "%q", value)
	}
	require.NotEmpty(t, b.Owner(with("tab", signed(subkey(t, key('a'), "browser"), "tab", make([]byte, 12)))))
	assert.Empty(t, b.Owner(with("tab2", good)))
	assert.Empty(t, b.Owner(with("Tab", good)))
	assert.Empty(t, b.Owner(with()))

	owner, fresh := meet(t, b, with("tab", foreign.Value))
	assert.Equal(t, owner, b.Owner(with("tab", fresh.Value)), "a cookie that is no good is replaced")
	assert.NotEqual(t, foreign.Value, fresh.Value)
}

func TestBrowserKeyRotation(t *testing.T) {
	owner, c := meet(t, browsers(t, "tab", "a"), with())
	for _, letters := range []string{"a", "ab", "ba", "cba"} {
		assert.Equal(t, owner, browsers(t, "tab", letters).Owner(with("tab", c.Value)), letters)
	}
	assert.Empty(t, browsers(t, "tab", "bc").Owner(with("tab", c.Value)))

	owner, c = meet(t, browsers(t, "tab", "ba"), with())
	assert.Equal(t, owner, browsers(t, "tab", "b").Owner(with("tab", c.Value)), "the first key signs")
	assert.Empty(t, browsers(t, "tab", "a").Owner(with("tab", c.Value)))
}

func TestBrowserCookieNames(t *testing.T) {
	for _, name := range []string{"tab", "id", "__Host-tab", "a.b", "a_b-c"} {
		b, err := session.NewBrowsers(name, keys("a"))
		require.NoError(t, err, name)
		owner, c := meet(t, b, with())
		assert.Equal(t, name, c.Name)
		assert.Equal(t, owner, b.Owner(with(name, c.Value)), name)
	}
	for _, name := range []string{"", " ", "a b", "a=b", "a;b", "a,b", "a\nb", "ä", "a\x00", `"a"`, "a/b", "a:b"} {
		b, err := session.NewBrowsers(name, keys("a"))
		assert.Error(t, err, "%q", name)
		assert.Nil(t, b, "%q", name)
	}
}

// A cookie and an id have one format, and under a cookie's name of "id" even
// the name that is signed is the same: only the keys keep them apart.
func TestCookieIsNoID(t *testing.T) {
	ids := codec(t, "a")
	for _, name := range []string{"id", "tab"} {
		b := browsers(t, name, "a")
		_, c := meet(t, b, with())
		_, err := ids.Parse(c.Value)
		assert.ErrorIs(t, err, session.ErrForeignKey, "the cookie %s as an id", name)
		for _, owner := range []string{"", "ann"} {
			assert.Empty(t, b.Owner(with(name, newID(t, ids, owner).String())), "an id as the cookie %s", name)
		}
	}
}

// A browser is an owner like any other.
func TestBrowserOwnsItsTabs(t *testing.T) {
	ids, b := codec(t, "a"), browsers(t, "tab", "a")
	one, _ := meet(t, b, with())
	two, _ := meet(t, b, with())
	id := newID(t, ids, one)
	assert.True(t, ids.OwnedBy(id, one))
	assert.False(t, ids.OwnedBy(id, two))
	assert.False(t, ids.OwnedBy(id, ""))
	secret, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(one, "browser "))
	require.NoError(t, err)
	raw, err := base64.RawURLEncoding.DecodeString(id.String())
	require.NoError(t, err)
	assert.NotContains(t, string(raw), string(secret))
}

func TestBrowsersWithoutKeys(t *testing.T) {
	_, err := session.NewBrowsers("tab", [][]byte{{}})
	assert.Error(t, err, "empty key")
	_, err = session.NewBrowsers("tab", nil)
	assert.Error(t, err, "no keys")
}

// A subdomain can set a cookie of the same name, and browsers may send it
// first; and behind a proxy that ends TLS the name says that TLS is used.
func TestBrowserCookieAmongOthers(t *testing.T) {
	b, err := session.NewBrowsers("__Host-tab", [][]byte{key('a')})
	require.NoError(t, err)
	w := httptest.NewRecorder()
	owner, err := b.Ensure(w, httptest.NewRequest("GET", "/", nil))
	require.NoError(t, err)
	own := w.Result().Cookies()[0]
	assert.True(t, own.Secure)
	r := httptest.NewRequest("GET", "/", nil)
	r.AddCookie(&http.Cookie{Name: "__Host-tab", Value: "planted"})
	r.AddCookie(own)
	assert.Equal(t, owner, b.Owner(r))
}
