package main

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/lastevent/sse"
)

var (
	errQuery  = errors.New("tabs: query cannot be parsed")
	errBody   = errors.New("tabs: body cannot be read")
	errNoID   = errors.New("tabs: id is missing")
	errNoRoom = errors.New("tabs: room is missing")
)

// refusals are the answers to what can go wrong. The sentences repeat nothing
// of the request.
var refusals = []struct {
	err    error
	status int
	why    string
}{
	{sse.ErrClosed, http.StatusGone, "This tab was closed for good."},
	{sse.ErrID, http.StatusNotFound, "There is no tab with this id or address."},
	{sse.ErrExpired, http.StatusNotFound, "This id has expired."},
	{sse.ErrNotConnected, http.StatusNotFound, "This tab is not connected."},
	{sse.ErrEventName, http.StatusBadRequest, "An event's name is up to 256 bytes of UTF-8 without line breaks and NUL."},
	{sse.ErrRoom, http.StatusBadRequest, "A room's name is up to 256 bytes of UTF-8 without control characters, and a tab is in no more than 1000."},
	{errQuery, http.StatusBadRequest, "The query cannot be parsed."},
	{errBody, http.StatusBadRequest, "The body cannot be read."},
	{errNoID, http.StatusBadRequest, "The parameter id is missing: a tab's id or address."},
	{errNoRoom, http.StatusBadRequest, "The parameter room is missing."},
	{sse.ErrTooLarge, http.StatusRequestEntityTooLarge, "The data is too large; up to 64 KiB are sent."},
}

func refuse(w http.ResponseWriter, err error) {
	w.Header().Set("Cache-Control", "no-store")
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		err = sse.ErrTooLarge
	}
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			http.Error(w, r.why, r.status)
			return
		}
	}
	// What is left comes from the store.
	slog.Error("tabs: request failed", "error", err)
	http.Error(w, "The store does not answer; the server's log says why.", http.StatusServiceUnavailable)
}
