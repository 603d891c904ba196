// Package emitter sends: it turns events into bytes, knows which connections
// each is for, and writes to each connection as fast as that one reads,
// without any of them holding up another or the caller.
//
// It knows a session only by its address and takes the id that goes into every
// event as a given text. Who may connect, and who may come back, is decided
// before it is asked.
package emitter

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Returned for events that cannot be sent. Nothing of such an event has been.
var (
	// ErrEventName is returned for a name with CR, LF or NUL in it, with
	// invalid UTF-8, or longer than the limit.
	ErrEventName = errors.New("sse: event name cannot be sent")
	// ErrEventID is returned for an id of the program's own that is longer than
	// MaxAppID or has characters outside [A-Za-z0-9._~-].
	ErrEventID = errors.New("sse: event id cannot be sent")
	// ErrData is returned for data that cannot be encoded as JSON.
	ErrData = errors.New("sse: event data cannot be encoded")
	// ErrTooLarge is returned for an event of more bytes than the limit.
	ErrTooLarge = errors.New("sse: event is too large")
	// ErrRetry is returned for a reconnection time of less than a millisecond:
	// browsers take 0 at its word and come back a hundred times a second.
	ErrRetry = errors.New("sse: reconnection time is less than a millisecond")
)

// MaxAppID is the greatest length of Event.ID. With everything before it,
// lastEventId stays under the 128 bytes that browsers send to another origin
// without asking first (Fetch, CORS-safelisted request-header).
const MaxAppID = 16

// An Event is one message to a tab (WHATWG HTML 9.2.6).
type Event struct {
	// Name is the event's type, for which the page listens. Empty means
	// "message". It has no CR, LF or NUL. (An event called "error" or "open"
	// would reach the page's handlers for the connection itself.)
	Name string
	// Data goes as it is when it is a string or a []byte, with every kind of
	// line end as a line break and runs of invalid UTF-8 as U+FFFD; anything
	// else goes as JSON. Nil is empty data (json.RawMessage("null") is null).
	Data any
	// ID is the program's own cursor, at most MaxAppID of [A-Za-z0-9._~-]. The
	// page sees it after a tilde at the end of lastEventId, on this and all
	// later events of the session until another replaces it.
	ID string
	// Comment is for people who read the stream; pages do not see it.
	Comment string
	// Retry is the time that the browser waits before it reconnects, in whole
	// milliseconds, at least one; zero leaves it as it is.
	Retry time.Duration
}

// A Frame is an event in its final bytes, the same for all who receive it but
// for the id line, which is put before them. Frames are not changed once made.
type Frame struct {
	body []byte
	app  string // replaces the program's cursor from here on, unless empty
	bare bool   // goes without an id line
}

// Limits bound what Encode accepts, in bytes.
type Limits struct {
	Name  int // of an event's name
	Event int // of a whole event without its id line
}

// Encode makes the event's frame. An event of nothing but a comment and a
// retry has no data field, so that pages see nothing, and no id: Firefox drops
// a block with an id and no data, and some clients take it for an event.
func (l Limits) Encode(e Event) (*Frame, error) {
	if err := l.check(e); err != nil {
		return nil, err
	}
	f := &Frame{app: e.ID}
	f.bare = e.Data == nil && e.Name == "" && e.ID == "" && (e.Comment != "" || e.Retry != 0)
	var text string
	var raw []byte
	switch data := e.Data.(type) {
	case nil:
	case string:
		text = data
	case []byte:
		raw = data
	default:
		var err error
		if raw, err = marshal(data); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrData, err)
		}
	}
	if size := len(text) + len(raw); size > l.Event {
		return nil, tooLarge(size, l.Event)
	}
	b := make([]byte, 0, len("event: \ndata: \n\n")+len(e.Name)+len(text)+len(raw)+len(e.Comment)+8)
	if e.Comment != "" {
		b = appendField(b, ":", e.Comment)
	}
	if e.Retry != 0 {
		b = append(b, "retry: "...)
		b = strconv.AppendInt(b, e.Retry.Milliseconds(), 10)
		b = append(b, '\n')
	}
	if e.Name != "" {
		b = append(b, "event: "...)
		b = append(b, e.Name...)
		b = append(b, '\n')
	}
	switch {
	case f.bare:
	case raw != nil:
		b = appendField(b, "data:", raw)
	default:
		b = appendField(b, "data:", text)
	}
	f.body = append(b, '\n')
	if len(f.body) > l.Event {
		return nil, tooLarge(len(f.body), l.Event)
	}
	return f, nil
}

func tooLarge(size, limit int) error {
	return fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, size, limit)
}

func (l Limits) check(e Event) error {
	switch {
	case len(e.Name) > l.Name:
		return fmt.Errorf("%w: it has %d bytes, the limit is %d", ErrEventName, len(e.Name), l.Name)
	case strings.ContainsAny(e.Name, "\r\n\x00"):
		return fmt.Errorf("%w: %.40q has a line break or a NUL in it", ErrEventName, e.Name)
	case !utf8.ValidString(e.Name):
		return fmt.Errorf("%w: %.40q is not UTF-8", ErrEventName, e.Name)
	case e.Retry != 0 && e.Retry < time.Millisecond:
		return fmt.Errorf("%w: %v", ErrRetry, e.Retry)
	case !ValidAppID(e.ID):
		return fmt.Errorf("%w: %.40q is not 1 to %d characters of [A-Za-z0-9._~-]", ErrEventID, e.ID, MaxAppID)
	}
	return nil
}

// ValidAppID reports whether id can be an Event.ID. The empty one can: it is
// none.
func ValidAppID(id string) bool {
	if len(id) > MaxAppID {
		return false
	}
	for i := range len(id) {
		switch b := id[i]; {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9',
			b == '-', b == '_', b == '.', b == '~':
		default:
			return false
		}
	}
	return true
}

// marshal keeps a panic of somebody's MarshalJSON from reaching the caller of
// Emit, who may well be serving another tab.
func marshal(v any) (b []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%T panics in MarshalJSON: %v", v, p)
		}
	}()
	return json.Marshal(v)
}

// appendField appends text as one field a line. Any of CR, LF and CRLF ends a
// line, as for the reader (WHATWG HTML 9.2.5).
func appendField[T string | []byte](b []byte, field string, text T) []byte {
	start := len(b)
	b = append(b, field...)
	b = append(b, ' ')
	from := 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c != '\r' && c != '\n' {
			continue
		}
		b = append(b, text[from:i]...)
		b = append(b, '\n')
		b = append(b, field...)
		b = append(b, ' ')
		if c == '\r' && i+1 < len(text) && text[i+1] == '\n' {
			i++
		}
		from = i + 1
	}
	b = append(b, text[from:]...)
	if !utf8.Valid(b[start:]) {
		valid := strings.ToValidUTF8(string(b[start:]), "\uFFFD")
		b = append(b[:start], valid...)
	}
	return append(b, '\n')
}
