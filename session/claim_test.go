package session_test

import (
	"bufio"
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lastevent/sse/session"
)

// received is the request as net/http's server reads it off the wire.
func received(t testing.TB, head string, lines ...string) *http.Request {
	t.Helper()
	text := strings.Join(append([]string{head, "Host: example.com"}, lines...), "\r\n") + "\r\n\r\n"
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	require.NoError(t, err)
	return r
}

func TestClaims(t *testing.T) {
	type claims = []session.Claim
	for _, tt := range []struct {
		name   string
		target string
		lines  []string
		want   claims
	}{
		{"nothing", "/events", nil, nil},
		{"header", "/events", []string{"Last-Event-ID: X"}, claims{{ID: "X"}}},
		{"header of any case", "/events", []string{"last-event-id: X"}, claims{{ID: "X"}}},
		{"header with spaces around", "/events", []string{"Last-Event-ID:   X \t"}, claims{{ID: "X"}}},
		{"id", "/events?id=X", nil, claims{{ID: "X", Reload: true}}},
		{"lastEventId", "/events?lastEventId=X", nil, claims{{ID: "X"}}},
		{"last_event_id", "/events?last_event_id=X", nil, claims{{ID: "X"}}},
		{"lastEventID", "/events?lastEventID=X", nil, claims{{ID: "X"}}},
		{"evs_last_event_id", "/events?evs_last_event_id=X", nil, claims{{ID: "X"}}},
		{"names that are none", "/events?ID=X&Id=X&lasteventid=X&Last-Event-ID=X&last-event-id=X&_id=X&id[]=X", nil, nil},
		{
			"header, polyfill, id", "/events?id=C&lastEventId=B", []string{"Last-Event-ID: A"},
			claims{{ID: "A"}, {ID: "B"}, {ID: "C", Reload: true}},
		},
		{
			"all names, in their own order", "/events?id=F&evs_last_event_id=E&lastEventID=D&last_event_id=C&lastEventId=B",
			[]string{"Last-Event-ID: A"},
			claims{{ID: "A"}, {ID: "B"}, {ID: "C"}, {ID: "D"}, {ID: "E"}, {ID: "F", Reload: true}},
		},
		{"the same by header and id", "/events?id=A", []string{"Last-Event-ID: A"}, claims{{ID: "A"}, {ID: "A", Reload: true}}},

		{"repeated header", "/events?id=C", []string{"Last-Event-ID: A", "Last-Event-ID: B"}, claims{{ID: "C", Reload: true}}},
		{"repeated header, equal", "/events", []string{"Last-Event-ID: A", "Last-Event-ID: A"}, nil},
		{"repeated id", "/events?id=A&id=B", []string{"Last-Event-ID: C"}, claims{{ID: "C"}}},
		{"repeated id, one empty", "/events?id=A&id=", nil, nil},
		{"repeated polyfill name", "/events?lastEventId=A&lastEventId=B&last_event_id=C", nil, claims{{ID: "C"}}},

		{"empty header", "/events?id=C", []string{"Last-Event-ID:"}, claims{{ID: "C", Reload: true}}},
		{"null header", "/events?id=C", []string{"Last-Event-ID: null"}, claims{{ID: "C", Reload: true}}},
		{"undefined header", "/events", []string{"Last-Event-ID: undefined"}, nil},
		{"empty id", "/events?id=", nil, nil},
		{"id without value", "/events?id", nil, nil},
		{"null id", "/events?id=null", nil, nil},
		{"undefined id", "/events?id=undefined", nil, nil},
		{"empty, null and undefined by polyfills", "/events?lastEventId=&last_event_id=null&lastEventID=undefined&id=X", nil, claims{{ID: "X", Reload: true}}},
		{"null with a cursor", "/events?id=null.5-9", nil, nil},
		{"undefined with an app id", "/events?id=undefined~42", nil, nil},
		{"a cursor alone", "/events?id=.5-9", []string{"Last-Event-ID: .5-9"}, nil},
		{"an app id alone", "/events?id=~42", []string{"Last-Event-ID: ~42"}, nil},
		{"words that begin alike", "/events?id=nullX&lastEventId=undefined0", nil, claims{{ID: "undefined0"}, {ID: "nullX", Reload: true}}},
		{"Null", "/events?id=Null", nil, claims{{ID: "Null", Reload: true}}},

		{"header with cursor and app id", "/events", []string{"Last-Event-ID: X.5-9~42"}, claims{{ID: "X", App: "42"}}},
		{"id with cursor and app id", "/events?id=X.5-9~42", nil, claims{{ID: "X", App: "42", Reload: true}}},
		{"polyfill with cursor and app id", "/events?lastEventId=X.5-9%7E42", nil, claims{{ID: "X", App: "42"}}},

		{"malformed escape", "/events?id=%zz", nil, nil},
		{"malformed escape beside", "/events?a=%zz&id=X", nil, claims{{ID: "X", Reload: true}}},
		{"semicolon", "/events?a=1;id=X", nil, nil},
		{"empty query", "/events?", nil, nil},
		{"ampersands", "/events?&&=&id=X&", nil, claims{{ID: "X", Reload: true}}},
		{"escaped line break", "/events?id=X%0Aretry:0", nil, claims{{ID: "X\nretry:0", Reload: true}}},

		{"target //", "//", []string{"Last-Event-ID: X"}, claims{{ID: "X"}}},
		{"target //?id", "//?id=X", nil, claims{{ID: "X", Reload: true}}},
		{"target /?", "/?", nil, nil},
		{"target with a colon", "/a:b?id=X", nil, claims{{ID: "X", Reload: true}}},
		{"absolute target", "http://example.com/events?id=X", nil, claims{{ID: "X", Reload: true}}},
		{"two question marks", "/events??id=X&id=Y", nil, claims{{ID: "Y", Reload: true}}},

		{"EventSource", "/events?id=X", []string{"Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"}, claims{{ID: "X", Reload: true}}},
		{"same-origin fetch", "/events?id=X", []string{"Sec-Fetch-Mode: same-origin"}, claims{{ID: "X", Reload: true}}},
		{"beacon", "/events?id=X", []string{"Sec-Fetch-Mode: no-cors"}, claims{{ID: "X", Reload: true}}},
		{"navigation by id", "/events?id=X", []string{"Sec-Fetch-Mode: navigate"}, nil},
		{"navigation by polyfill", "/events?lastEventId=X", []string{"Sec-Fetch-Mode: navigate"}, nil},
		{"navigation by header", "/events", []string{"Sec-Fetch-Mode: navigate", "Last-Event-ID: X"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := received(t, "GET "+tt.target+" HTTP/1.1", tt.lines...)
			assert.Equal(t, tt.want, session.Claims(r))
			// Without a body, a form claims nothing more.
			assert.Equal(t, tt.want, session.FormClaims(r))
			r.Body = nil
			assert.Equal(t, tt.want, session.FormClaims(r))
		})
	}

	star := received(t, "OPTIONS * HTTP/1.1", "Last-Event-ID: X")
	assert.Equal(t, claims{{ID: "X"}}, session.Claims(star))
	assert.Equal(t, claims{{ID: "X"}}, session.FormClaims(star))
	authority := received(t, "CONNECT example.com:443 HTTP/1.1", "Last-Event-ID: X")
	assert.Equal(t, claims{{ID: "X"}}, session.Claims(authority))
	bare := &http.Request{Method: "GET", URL: &url.URL{}} // no header at all
	assert.Empty(t, session.Claims(bare))
	assert.Empty(t, session.FormClaims(bare))
	assert.False(t, session.IsEventSource(bare))
}

func TestParseClaim(t *testing.T) {
	for text, want := range map[string]session.Claim{
		"":            {},
		"X":           {ID: "X"},
		"X.5-9":       {ID: "X"},
		"X.5-9~42":    {ID: "X", App: "42"},
		"X~42":        {ID: "X", App: "42"},
		"X~a.b":       {ID: "X", App: "a.b"},
		"X~a~b":       {ID: "X", App: "a~b"},
		"X.5-9~a.b~c": {ID: "X", App: "a.b~c"},
		"X.1.2":       {ID: "X"},
		"X~":          {ID: "X"},
		"X.":          {ID: "X"},
		"X.~":         {ID: "X"},
		".5-9":        {},
		"~42":         {App: "42"},
		".~42":        {App: "42"},
		"null":        {ID: "null"},
	} {
		assert.Equal(t, want, session.ParseClaim(text), "%q", text)
	}
	id := newID(t, codec(t, "a"), "ann").String()
	assert.Equal(t, session.Claim{ID: id, App: "7"}, session.ParseClaim(id+".12-345~7"))
}

// form is the body that a page sends with fetch or navigator.sendBeacon: as
// multipart for a FormData, urlencoded for URLSearchParams.
func form(t testing.TB, kind string, fields ...string) (contentType, body string) {
	t.Helper()
	if kind == "urlencoded" {
		v := url.Values{}
		for i := 0; i < len(fields); i += 2 {
			v.Add(fields[i], fields[i+1])
		}
		return "application/x-www-form-urlencoded;charset=UTF-8", v.Encode()
	}
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	require.NoError(t, w.SetBoundary("----WebKitFormBoundaryAbCdEf0123456789"))
	for i := 0; i < len(fields); i += 2 {
		require.NoError(t, w.WriteField(fields[i], fields[i+1]))
	}
	require.NoError(t, w.Close())
	return w.FormDataContentType(), b.String()
}

func post(target, contentType, body string) *http.Request {
	r := httptest.NewRequest("POST", target, strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	r.Header.Set("Sec-Fetch-Mode", "no-cors")
	return r
}

func TestFormClaims(t *testing.T) {
	type claims = []session.Claim
	for _, kind := range []string{"urlencoded", "multipart"} {
		for _, tt := range []struct {
			name   string
			target string
			fields []string
			want   claims
		}{
			{"id", "/leave", []string{"id", "X"}, claims{{ID: "X", Reload: true}}},
			{"id with cursor and app id", "/leave", []string{"id", "X.5-9~42"}, claims{{ID: "X", App: "42", Reload: true}}},
			{"id among others", "/leave", []string{"a", "1", "id", "X", "z", "2"}, claims{{ID: "X", Reload: true}}},
			{"no id", "/leave", []string{"a", "1"}, nil},
			{"no fields", "/leave", nil, nil},
			{"empty", "/leave", []string{"id", ""}, nil},
			{"null", "/leave", []string{"id", "null"}, nil},
			{"undefined", "/leave", []string{"id", "undefined"}, nil},
			{"repeated", "/leave", []string{"id", "X", "id", "Y"}, nil},
			{"a polyfill's name", "/leave", []string{"lastEventId", "X"}, nil},
			{"the query first", "/leave?id=Q", []string{"id", "X"}, claims{{ID: "Q", Reload: true}, {ID: "X", Reload: true}}},
			{"the query repeated", "/leave?id=Q&id=R", []string{"id", "X"}, claims{{ID: "X", Reload: true}}},
			{"the query alone", "/leave?id=Q", nil, claims{{ID: "Q", Reload: true}}},
			{"the query malformed", "/leave?id=%zz;&lastEventId=P", []string{"id", "X"}, claims{{ID: "P"}, {ID: "X", Reload: true}}},
		} {
			t.Run(kind+"/"+tt.name, func(t *testing.T) {
				contentType, body := form(t, kind, tt.fields...)
				r := post(tt.target, contentType, body)
				assert.Equal(t, tt.want, session.FormClaims(r))
				assert.Equal(t, tt.want, session.FormClaims(r), "asked again, when the body has been read")

				r = post(tt.target, contentType, body)
				r.Header.Set("Last-Event-ID", "H")
				assert.Equal(t, append(claims{{ID: "H"}}, tt.want...), session.FormClaims(r))

				// A handler may have looked at the form before.
				r = post(tt.target, contentType, body)
				r.FormValue("a")
				assert.Equal(t, tt.want, session.FormClaims(r))

				r = post(tt.target, contentType, body)
				r.Header.Set("Sec-Fetch-Mode", "navigate")
				assert.Empty(t, session.FormClaims(r))
				left, err := io.ReadAll(r.Body)
				require.NoError(t, err)
				assert.Equal(t, body, string(left), "a body that may claim nothing is not touched")

				r = post(tt.target, contentType, body)
				session.Claims(r)
				left, err = io.ReadAll(r.Body)
				require.NoError(t, err)
				assert.Equal(t, body, string(left), "Claims reads no body")
			})
		}
	}
}

func TestFormClaimsByMethod(t *testing.T) {
	contentType, body := form(t, "urlencoded", "id", "X")
	for method, want := range map[string]int{"POST": 1, "PUT": 1, "PATCH": 1, "GET": 0, "DELETE": 0} {
		r := httptest.NewRequest(method, "/leave", strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		assert.Len(t, session.FormClaims(r), want, method)
	}
}

// A framework may have read the multipart form itself.
func TestFormClaimsOfMultipartReadBefore(t *testing.T) {
	contentType, body := form(t, "multipart", "id", "X")
	r := post("/leave", contentType, body)
	mr, err := r.MultipartReader()
	require.NoError(t, err)
	r.MultipartForm, err = mr.ReadForm(1 << 20)
	require.NoError(t, err)
	assert.Equal(t, []session.Claim{{ID: "X", Reload: true}}, session.FormClaims(r))
}

type brokenBody struct{ io.Reader }

func (b brokenBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
func (brokenBody) Close() error { return nil }

// Whatever is wrong with a body, the rest of the request still claims what it
// claims.
func TestFormClaimsOfBadBodies(t *testing.T) {
	urlencoded, plainBody := form(t, "urlencoded", "id", "X", "pad", strings.Repeat("p", 1000))
	multi, multiBody := form(t, "multipart", "id", "X", "pad", strings.Repeat("p", 1000))
	asFile := func() string {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		w.SetBoundary("----WebKitFormBoundaryAbCdEf0123456789")
		p, err := w.CreatePart(textproto.MIMEHeader{
			"Content-Disposition": {`form-data; name="id"; filename="id.txt"`}, "Content-Type": {"text/plain"},
		})
		require.NoError(t, err)
		io.WriteString(p, "X")
		w.Close()
		return b.String()
	}()
	for _, tt := range []struct{ name, contentType, body string }{
		{"no content type", "", "id=X"},
		{"a beacon's string", "text/plain;charset=UTF-8", "id=X"},
		{"JSON", "application/json", `{"id":"X"}`},
		{"a broken content type", "application/x-www-form-urlencoded; charset", "id=X;"},
		{"a broken media type", "a/b/c;;=", "id=X"},
		{"a malformed pair", urlencoded, "id=%zz"},
		{"semicolons", urlencoded, "a=1;id=X"},
		{"control characters", urlencoded, "\x00\xff\r\n"},
		{"multipart without boundary", "multipart/form-data", multiBody},
		{"multipart of another boundary", "multipart/form-data; boundary=x", multiBody},
		{"multipart with an empty boundary", `multipart/form-data; boundary=""`, multiBody},
		{"multipart/mixed", "multipart/mixed; boundary=x", "--x\r\n\r\nX\r\n--x--"},
		{"multipart cut off", multi, multiBody[:len(multiBody)-20]},
		{"multipart that is not", multi, "id=X"},
		{"multipart empty", multi, ""},
		{"urlencoded as multipart", multi, plainBody},
		{"multipart as urlencoded", urlencoded, multiBody},
		{"id as a file", multi, asFile},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := post("/leave?id=Q", tt.contentType, tt.body)
			assert.Equal(t, []session.Claim{{ID: "Q", Reload: true}}, session.FormClaims(r))
		})
	}
	for kind, body := range map[string]string{urlencoded: plainBody, multi: multiBody} {
		want := []session.Claim{{ID: "Q", Reload: true}}
		r := post("/leave?id=Q", kind, body)
		assert.Len(t, session.FormClaims(r), 2, "the body itself is good")

		r = post("/leave?id=Q", kind, body)
		r.Body = http.MaxBytesReader(httptest.NewRecorder(), r.Body, 500)
		assert.Equal(t, want, session.FormClaims(r), "larger than the program allows")

		r = post("/leave?id=Q", kind, body)
		r.Body = brokenBody{strings.NewReader(body[:len(body)/2])}
		assert.Equal(t, want, session.FormClaims(r), "the browser left")

		r = post("/leave?id=Q", kind, body)
		r.Body.Close()
		_, err := io.Copy(io.Discard, r.Body)
		require.NoError(t, err)
		assert.Equal(t, want, session.FormClaims(r), "somebody else has read it")
	}
}

func TestIsEventSource(t *testing.T) {
	for _, tt := range []struct {
		accept []string
		want   bool
	}{
		{nil, false},
		{[]string{""}, false},
		{[]string{"*/*"}, false},
		{[]string{"text/*"}, false},
		{[]string{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}, false},
		{[]string{"text/event-streams"}, false},
		{[]string{"application/text/event-stream"}, false},
		{[]string{"text/event-stream text/html"}, false},
		{[]string{"text/event-stream"}, true},
		{[]string{"Text/Event-Stream"}, true},
		{[]string{"TEXT/EVENT-STREAM"}, true},
		{[]string{" text/event-stream "}, true},
		{[]string{"text/event-stream, */*"}, true},
		{[]string{"text/html,text/event-stream"}, true},
		{[]string{"text/html,\ttext/event-stream\t;q=0.1"}, true},
		{[]string{"application/json, text/event-stream;q=0.9"}, true},
		{[]string{"text/event-stream;charset=utf-8"}, true},
		{[]string{"text/event-stream;"}, true},
		{[]string{"text/event-stream;q=1"}, true},
		{[]string{"text/event-stream;q=1.000"}, true},
		{[]string{"text/event-stream;q=0.001"}, true},
		{[]string{"text/event-stream;q=10"}, true},
		{[]string{"text/event-stream;q="}, true},
		{[]string{"text/event-stream;q"}, true},
		{[]string{"text/event-stream;x=0"}, true},
		{[]string{"text/event-stream;q=0"}, false},
		{[]string{"text/event-stream;q=0.0"}, false},
		{[]string{"text/event-stream;q=0.000"}, false},
		{[]string{"text/event-stream;q=0."}, false},
		{[]string{"text/event-stream; Q=0"}, false},
		{[]string{"text/event-stream ; q=0 "}, false},
		{[]string{"text/event-stream;charset=utf-8;q=0"}, false},
		{[]string{"text/event-stream;q=0;x=1"}, false},
		{[]string{"*/*, text/event-stream;q=0"}, false},
		{[]string{"text/event-stream, text/html;q=0"}, true},
		{[]string{"text/html;q=0, text/event-stream"}, true},
		{[]string{"text/html", "text/event-stream"}, true},
		{[]string{"text/event-stream", "text/html"}, true},
		{[]string{"text/html", "*/*"}, false},
		{[]string{"text/event-stream;q=0", "text/html"}, false},
	} {
		r := httptest.NewRequest("GET", "/events", nil)
		r.Header["Accept"] = tt.accept
		assert.Equal(t, tt.want, session.IsEventSource(r), "%q", tt.accept)
	}
	r := received(t, "GET /events HTTP/1.1", "accept: text/html", "ACCEPT: text/event-stream")
	assert.True(t, session.IsEventSource(r))
}

// lastEventID is the form <id>.<cursor>~<app>, of which all but the id may be
// missing, read a second time by a regular expression.
var lastEventID = regexp.MustCompile(`(?s)^([^.~]*)(?:\.[^~]*)?(?:~(.*))?$`)

func FuzzClaims(f *testing.F) {
	multi, multiBody := form(f, "multipart", "id", "X")
	plain, plainBody := form(f, "urlencoded", "id", "X")
	f.Add("X", "id=X", "", "", "cors")
	f.Add("X.5-9~42", "lastEventId=null&id=X~a.b", plain, plainBody, "no-cors")
	f.Add("", "id=a&id=b&evs_last_event_id=%zz;", multi, multiBody, "")
	f.Add("undefined", "id=%0A%00", multi, multiBody[:50], "navigate")
	f.Fuzz(func(t *testing.T, header, query, contentType, body, mode string) {
		r := post("/", contentType, body)
		r.URL.RawQuery = query
		r.Header.Set("Last-Event-ID", header)
		r.Header.Set("Sec-Fetch-Mode", mode)
		r.Header.Set("Accept", header)
		session.IsEventSource(r)

		claims := session.Claims(r)
		withForm := session.FormClaims(r)
		if mode == "navigate" {
			require.Empty(t, withForm)
			return
		}
		require.True(t, slices.Equal(claims, withForm[:len(claims)]), "%v are not the first of %v", claims, withForm)
		require.LessOrEqual(t, len(withForm), len(claims)+1)
		if m := lastEventID.FindStringSubmatch(header); m[1] != "" && m[1] != "null" && m[1] != "undefined" {
			require.Equal(t, session.Claim{ID: m[1], App: m[2]}, claims[0])
		}
		if values := r.URL.Query()["id"]; len(values) == 1 {
			m := lastEventID.FindStringSubmatch(values[0])
			want := session.Claim{ID: m[1], App: m[2], Reload: true}
			if m[1] == "" || m[1] == "null" || m[1] == "undefined" {
				require.NotContains(t, claims, want)
			} else {
				require.Equal(t, want, claims[len(claims)-1])
			}
		}
		for i, c := range withForm {
			require.NotContains(t, []string{"", "null", "undefined"}, c.ID)
			require.False(t, strings.ContainsAny(c.ID, ".~"), "%q", c.ID)
			require.False(t, i == 0 && c.Reload && len(claims) > 1, "a reload goes last")
		}
	})
}
