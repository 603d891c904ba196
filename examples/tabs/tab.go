package main

import (
	"io"
	"net/url"

	"github.com/lastevent/sse"
)

// tab makes a command of one that is done to the tab that the query names.
func (a *app) tab(do func(*sse.Target, url.Values, io.Reader) (string, error)) command {
	return func(query url.Values, body io.Reader) (string, error) {
		t, err := a.find(query)
		if err != nil {
			return "", err
		}
		return do(t, query, body)
	}
}

// find is the tab that the query names, by id or by address. One that was
// closed for good is sse.ErrClosed.
//
// A real program would take ids only, which prove something, or addresses from
// users who may send to anybody.
func (a *app) find(query url.Values) (*sse.Target, error) {
	text := query.Get("id")
	if text == "" {
		return nil, errNoID
	}
	t := a.srv.To(text)
	if isAddress(text) {
		t = a.srv.At(text)
	}
	switch closed, err := t.Closed(); {
	case err != nil:
		return nil, err
	case closed:
		return nil, sse.ErrClosed
	}
	return t, nil
}

// isAddress tells addresses from ids, which are longer, by their length.
func isAddress(text string) bool { return len(text) == 16 }

func send(t *sse.Target, query url.Values, body io.Reader) (string, error) {
	return "sent", emit(t, query, body)
}

func join(t *sse.Target, query url.Values, _ io.Reader) (string, error) {
	room, err := roomName(query)
	if err != nil {
		return "", err
	}
	return "joined", t.Join(room)
}

func leave(t *sse.Target, query url.Values, _ io.Reader) (string, error) {
	room, err := roomName(query)
	if err != nil {
		return "", err
	}
	return "left", t.Leave(room)
}

func drop(t *sse.Target, _ url.Values, _ io.Reader) (string, error) {
	return "dropped; it comes back as the same tab", t.Disconnect()
}

func closeForGood(t *sse.Target, _ url.Values, _ io.Reader) (string, error) {
	return "closed for good", t.Close()
}
