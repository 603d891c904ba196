package sse_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lastevent/sse"
)

// A handler function that panics or fails leaves no stream behind.
func TestHandler(t *testing.T) {
	srv := open(t, sse.Config{})
	sessions := make(chan *sse.Session, 10)
	mux := http.NewServeMux()
	mux.Handle("/", srv.Handler(func(s *sse.Session, r *http.Request) error {
		sessions <- s
		switch r.URL.Path {
		case "/panic":
			panic(http.ErrAbortHandler)
		case "/error":
			return errors.New("no snapshot")
		case "/close":
			return s.Close()
		}
		return s.Emit("hello")
	}))
	url := serve(t, mux)
	tab := get(t, http.DefaultClient, url)
	tab.greeted(t)
	assert.Equal(t, "hello", tab.next(t).Type)
	s := take(t, sessions)
	require.NoError(t, s.Send("the function has returned, the stream is open"))
	tab.next(t)
	for path, want := range map[string]bool{"/panic": false, "/error": false, "/close": true} {
		tab := get(t, http.DefaultClient, url+path)
		tab.greeted(t)
		_, clean := tab.ends(t)
		assert.Equal(t, want, clean, path)
		<-take(t, sessions).Done()
	}
	assert.Equal(t, 1, srv.All().Count())
}
