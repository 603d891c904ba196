package browsertest

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// A proxy stands before a server and writes down who asks for a stream.
type proxy struct {
	url string

	mu       sync.Mutex
	requests []streamRequest
}

// A streamRequest is a request to /events, and its answer.
type streamRequest struct {
	header string // Last-Event-ID
	query  string // the parameter id
	status int    // 0 until it is answered
}

func startProxy(t *testing.T, s *server) *proxy {
	t.Helper()
	to, err := url.Parse(s.url)
	require.NoError(t, err)
	p := &proxy{}
	forward := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(to) },
		FlushInterval:  -1,
		ErrorLog:       log.New(io.Discard, "", 0), // of streams that are cut
		ModifyResponse: p.answered,
	}
	front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/events" {
			r = p.asked(r)
		}
		forward.ServeHTTP(w, r)
	}))
	front.Config.ErrorLog = forward.ErrorLog
	front.Start()
	t.Cleanup(front.Close)
	t.Cleanup(front.CloseClientConnections)
	p.url = front.URL
	return p
}

// number is the key under which a request's context has its place in the list.
type number struct{}

func (p *proxy) asked(r *http.Request) *http.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests = append(p.requests, streamRequest{
		header: r.Header.Get("Last-Event-ID"),
		query:  r.URL.Query().Get("id"),
	})
	return r.WithContext(context.WithValue(r.Context(), number{}, len(p.requests)-1))
}

func (p *proxy) answered(answer *http.Response) error {
	if i, ok := answer.Request.Context().Value(number{}).(int); ok {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.requests[i].status = answer.StatusCode
	}
	return nil
}

// streams are the requests so far.
func (p *proxy) streams() []streamRequest {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]streamRequest{}, p.requests...)
}
