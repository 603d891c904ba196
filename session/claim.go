package session

import (
	"net/http"
	"net/url"
	"strings"
)

// A Claim is what a request says of who it is. Nothing in it has been checked.
type Claim struct {
	// ID is the text that stands for an id, without what follows it.
	ID string
	// App is the program's own event id that came with it, after a tilde.
	App string
	// Reload is set when the claim came by ?id= alone: by a page that was
	// loaded anew or duplicated, not by a browser that reconnects.
	Reload bool
}

// The query parameters by which polyfills send what they cannot send as the
// Last-Event-ID header: event-source-polyfill, reconnecting-eventsource and
// their relatives. They change with every event, so they are as good as it.
var polyfills = [...]string{"lastEventId", "last_event_id", "lastEventID", "evs_last_event_id"}

// Claims lists what the request claims, the most telling first: the
// Last-Event-ID header (WHATWG HTML 9.2.3), a polyfill's parameter, the id
// parameter (9.2.7: a new EventSource has no header to send, and its URL is
// fixed for life, so the header is the newer of the two). Empty and repeated
// ones, "null" and "undefined" are no claims.
//
// A navigation claims nothing, whatever it carries: anybody can write a link,
// so nobody shall be able to make a browser open a stream under an id that he
// knows.
func Claims(r *http.Request) []Claim {
	if navigates(r) {
		return nil
	}
	return headClaims(r)
}

// headClaims are those outside of the body.
func headClaims(r *http.Request) []Claim {
	var claims []Claim
	if c, ok := parse(r.Header["Last-Event-Id"]); ok {
		claims = append(claims, c)
	}
	if r.URL.RawQuery == "" {
		return claims
	}
	return append(claims, queryClaims(r.URL.Query())...)
}

func queryClaims(query url.Values) []Claim {
	var claims []Claim
	for _, name := range polyfills {
		if c, ok := parse(query[name]); ok {
			claims = append(claims, c)
		}
	}
	if c, ok := parse(query["id"]); ok {
		c.Reload = true
		claims = append(claims, c)
	}
	return claims
}

// maxForm bounds the form that FormClaims reads.
const maxForm = 1 << 20

// FormClaims is Claims, and after them the id field of a form in the
// request's body. It reads the body if that is a form, up to a mebibyte, unless
// it has been read before. A navigation claims something here, if the browser
// says that it comes from this very site, as by a form on its page.
func FormClaims(r *http.Request) []Claim {
	if navigates(r) && r.Header.Get("Sec-Fetch-Site") != "same-origin" {
		return nil
	}
	claims := headClaims(r)
	if r.Body == nil || r.Body == http.NoBody {
		return claims
	}
	if media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); !strings.HasSuffix(media, "form-data") && !strings.HasSuffix(media, "form-urlencoded") {
		return claims
	}
	r.Body = http.MaxBytesReader(nil, r.Body, maxForm)
	r.ParseMultipartForm(maxForm) // parses the other kind, too
	fields := r.PostForm["id"]
	if len(fields) == 0 && r.MultipartForm != nil {
		fields = r.MultipartForm.Value["id"]
	}
	if c, ok := parse(fields); ok {
		c.Reload = true
		claims = append(claims, c)
	}
	return claims
}

// ParseClaim splits a lastEventId into the id and what follows it.
func ParseClaim(text string) Claim {
	var c Claim
	text, c.App, _ = strings.Cut(text, "~")
	c.ID, _, _ = strings.Cut(text, ".")
	return c
}

func parse(values []string) (Claim, bool) {
	if len(values) != 1 {
		return Claim{}, false
	}
	c := ParseClaim(values[0])
	// "/events?id=" + null is what a much copied snippet sends.
	return c, c.ID != "" && c.ID != "null" && c.ID != "undefined"
}

// navigates reports whether the request is for a page of its own. Browsers say
// so over TLS and on localhost only (W3C Fetch Metadata, 2.2); elsewhere it shows
// by what they accept.
func navigates(r *http.Request) bool {
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	return accepts(r, "text/html") && !IsEventSource(r)
}

// IsEventSource reports whether the request says that it wants an event
// stream: an Accept header that lists text/event-stream. Clients need not say
// so (WHATWG HTML 9.2.3 has it as a "may"), so it is a hint, not a gate.
func IsEventSource(r *http.Request) bool { return accepts(r, "text/event-stream") }

func accepts(r *http.Request, want string) bool {
	for _, line := range r.Header["Accept"] {
		for _, accepted := range strings.Split(line, ",") {
			media, params, _ := strings.Cut(accepted, ";")
			if strings.EqualFold(strings.TrimSpace(media), want) && !refused(params) {
				return true
			}
		}
	}
	return false
}

// refused reports a weight of zero, "not acceptable" (RFC 9110, 12.4.2).
func refused(params string) bool {
	for _, p := range strings.Split(params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(name, "q") && strings.Trim(value, "0.") == "" && value != "" {
			return true
		}
	}
	return false
}
