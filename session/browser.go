package session

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"

	"github.com/gorilla/securecookie"
)

// browserAge is the longest that browsers keep a cookie, in seconds: 400 days.
const browserAge = 400 * 24 * 60 * 60

// Browsers tells browsers apart by a signed cookie, for programs without
// logins: the owner of a tab is then the browser it is in.
type Browsers struct {
	name   string
	secure bool
	codes  []securecookie.Codec
}

// NewBrowsers keeps the cookie called name, signed with the first of keys; the
// others are accepted. The name must be one that net/http can set. The cookie
// is for TLS alone where it was first set over TLS, and always if the name
// begins with "__Host-" or "__Secure-": servers behind a proxy that ends TLS
// want that, and the former also keeps subdomains from setting it.
func NewBrowsers(name string, keys [][]byte) (*Browsers, error) {
	if err := (&http.Cookie{Name: name, Value: "x"}).Valid(); err != nil {
		return nil, fmt.Errorf("sse: cookie name %q: %w", name, err)
	}
	if err := checkKeys(keys); err != nil {
		return nil, err
	}
	b := &Browsers{
		name:   name,
		secure: strings.HasPrefix(name, "__Host-") || strings.HasPrefix(name, "__Secure-"),
	}
	for _, k := range keys {
		b.codes = append(b.codes, securecookie.New(derive(k, "browser"), nil).
			SetSerializer(securecookie.NopEncoder{}).
			MaxAge(0)) // the browser lets it expire
	}
	return b, nil
}

// Owner is the browser that the request's cookie proves, or the empty string.
func (b *Browsers) Owner(r *http.Request) string {
	// A subdomain may have set one of the same name, which comes first then.
	for _, c := range r.CookiesNamed(b.name) {
		var secret []byte
		if securecookie.DecodeMulti(b.name, c.Value, &secret, b.codes...) == nil && len(secret) == addressBytes {
			return ownerName(secret)
		}
	}
	return ""
}

func ownerName(secret []byte) string {
	return "browser " + base64.RawURLEncoding.EncodeToString(secret)
}

// Ensure is Owner, and for a browser without a cookie it sets one on w, which
// must not have been written to.
func (b *Browsers) Ensure(w http.ResponseWriter, r *http.Request) (string, error) {
	if owner := b.Owner(r); owner != "" {
		return owner, nil
	}
	secret := make([]byte, addressBytes)
	rand.Read(secret)
	value, err := b.codes[0].Encode(b.name, secret)
	if err != nil {
		return "", fmt.Errorf("sse: signing the cookie %s: %w", b.name, err)
	}
	http.SetCookie(w, &http.Cookie{
		Name:     b.name,
		Value:    value,
		Path:     "/",
		MaxAge:   browserAge,
		HttpOnly: true,
		Secure:   b.secure || r.TLS != nil,
		SameSite: http.SameSiteLaxMode,
	})
	return ownerName(secret), nil
}
