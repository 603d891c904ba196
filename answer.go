package sse

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/lastevent/sse/closing"
	"github.com/lastevent/sse/emitter"
)

// answer tells the browser what became of its request.
func (a *arrival) answer(err error) {
	s := a.srv
	a.head()
	if a.out != nil {
		a.out.Hurry()
	}
	switch {
	case errors.Is(err, ErrClosed):
		s.counts.refused.Add(1)
		closing.NoContent(a.w)
	case errors.Is(err, ErrCrossSite):
		a.reject(http.StatusForbidden, "This stream is not open to pages of other sites. Its server can list them in Config.AllowedOrigins.")
	case errors.Is(err, ErrMethod) && a.r.Method == http.MethodHead:
		a.w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		a.w.Header().Set("Cache-Control", "no-store")
		a.w.WriteHeader(http.StatusOK)
	case errors.Is(err, ErrMethod):
		a.w.Header().Set("Allow", "GET, HEAD, POST")
		a.reject(http.StatusMethodNotAllowed, "An event stream is opened with GET.")
	case errors.Is(err, ErrRoom):
		a.reject(http.StatusBadRequest, "There is no such room.")
	case errors.Is(err, ErrFlush):
		s.log.Error("sse: no stream can be sent", "type", fmt.Sprintf("%T", a.w), "error", err)
		a.reject(http.StatusInternalServerError, "This server cannot stream; its log says why.")
	default:
		s.counts.deferred.Add(1)
		if !errors.Is(err, ErrLeft) && s.notices.due(subject(err)) {
			s.log.Warn("sse: a browser was told to come back later", "error", err)
		}
		comeBack(a.out, s.cfg.Retry)
	}
}

func (a *arrival) reject(status int, why string) {
	a.srv.counts.rejected.Add(1)
	closing.Refuse(a.w, status, why)
}

// comeBack answers who cannot be served now.
func comeBack(out *emitter.Response, retry time.Duration) {
	out.Head()
	out.Last(closing.ComeBack(closing.Spread(retry, 2*retry)))
}

// subject sorts errors into a few, for notices.
func subject(err error) string {
	for _, known := range []error{ErrTooMany, ErrShutdown, ErrUntil, ErrUnavailable} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "other trouble"
}

// head sets what New adds to the response's head, other than what makes it a
// stream.
func (a *arrival) head() {
	h := a.w.Header()
	for name, values := range a.opt.header {
		h[name] = values
	}
	if len(a.srv.cfg.AllowedOrigins) > 0 {
		h.Add("Vary", "Origin")
	}
	if a.cors != "" {
		h.Set("Access-Control-Allow-Origin", a.cors)
		h.Set("Access-Control-Allow-Credentials", "true")
	}
}
