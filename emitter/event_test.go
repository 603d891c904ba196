package emitter

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/lastevent/sse/emitter/wiretest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// onWire is what one connection of the session "sid" writes for these frames.
func onWire(frames ...*Frame) string {
	c := &Conn{id: "sid", queue: frames}
	c.setApp("")
	return string(c.take(nil))
}

type panicking struct{}

func (panicking) MarshalJSON() ([]byte, error) { panic("no") }

type refusing struct{}

func (refusing) MarshalJSON() ([]byte, error) { return nil, errors.New("no") }

type named string

func TestEncode(t *testing.T) {
	type point struct{ X, Y int }
	for name, c := range map[string]struct {
		event Event
		want  string
	}{
		"all fields": {
			Event{Name: "news", Data: "a", ID: "7", Comment: "hi", Retry: 1500 * time.Millisecond},
			"id: sid~7\n: hi\nretry: 1500\nevent: news\ndata: a\n\n",
		},
		"nothing":              {Event{}, "id: sid\ndata: \n\n"},
		"empty string":         {Event{Data: ""}, "id: sid\ndata: \n\n"},
		"empty bytes":          {Event{Data: []byte{}}, "id: sid\ndata: \n\n"},
		"nil bytes":            {Event{Data: []byte(nil)}, "id: sid\ndata: \n\n"},
		"name only":            {Event{Name: "ping"}, "id: sid\nevent: ping\ndata: \n\n"},
		"id only":              {Event{ID: "a.B_9~-"}, "id: sid~a.B_9~-\ndata: \n\n"},
		"name with spaces":     {Event{Name: " a b "}, "id: sid\nevent:  a b \ndata: \n\n"},
		"string":               {Event{Data: "héllo: x"}, "id: sid\ndata: héllo: x\n\n"},
		"leading space":        {Event{Data: "  x"}, "id: sid\ndata:   x\n\n"},
		"bytes":                {Event{Data: []byte("raw")}, "id: sid\ndata: raw\n\n"},
		"bytes, lines":         {Event{Data: []byte("a\r\nb")}, "id: sid\ndata: a\ndata: b\n\n"},
		"LF":                   {Event{Data: "a\nb"}, "id: sid\ndata: a\ndata: b\n\n"},
		"CR":                   {Event{Data: "a\rb"}, "id: sid\ndata: a\ndata: b\n\n"},
		"CRLF":                 {Event{Data: "a\r\nb"}, "id: sid\ndata: a\ndata: b\n\n"},
		"LFCR are two":         {Event{Data: "a\n\rb"}, "id: sid\ndata: a\ndata: \ndata: b\n\n"},
		"CRCRLF are two":       {Event{Data: "a\r\r\nb"}, "id: sid\ndata: a\ndata: \ndata: b\n\n"},
		"first is LF":          {Event{Data: "\na"}, "id: sid\ndata: \ndata: a\n\n"},
		"first is CR":          {Event{Data: "\ra"}, "id: sid\ndata: \ndata: a\n\n"},
		"first is CRLF":        {Event{Data: "\r\na"}, "id: sid\ndata: \ndata: a\n\n"},
		"last is LF":           {Event{Data: "a\n"}, "id: sid\ndata: a\ndata: \n\n"},
		"last is CR":           {Event{Data: "a\r"}, "id: sid\ndata: a\ndata: \n\n"},
		"last is CRLF":         {Event{Data: "a\r\n"}, "id: sid\ndata: a\ndata: \n\n"},
		"only LF":              {Event{Data: "\n"}, "id: sid\ndata: \ndata: \n\n"},
		"only CR":              {Event{Data: "\r"}, "id: sid\ndata: \ndata: \n\n"},
		"a field inside":       {Event{Data: "a\nid: forged\n\nevent: x"}, "id: sid\ndata: a\ndata: id: forged\ndata: \ndata: event: x\n\n"},
		"NUL in data":          {Event{Data: "a\x00b"}, "id: sid\ndata: a\x00b\n\n"},
		"invalid UTF-8":        {Event{Data: "a\xffb"}, "id: sid\ndata: a\uFFFDb\n\n"},
		"cut UTF-8 and line":   {Event{Data: []byte("\xe2\x82\n\xac")}, "id: sid\ndata: \uFFFD\ndata: \uFFFD\n\n"},
		"JSON object":          {Event{Data: point{1, 2}}, "id: sid\ndata: {\"X\":1,\"Y\":2}\n\n"},
		"JSON number":          {Event{Data: 7}, "id: sid\ndata: 7\n\n"},
		"JSON of other string": {Event{Data: named("a\nb")}, "id: sid\ndata: \"a\\nb\"\n\n"},
		"JSON with lines":      {Event{Data: json.RawMessage("{\n\"a\":\r\n1}")}, "id: sid\ndata: {\"a\":1}\n\n"},
		"null":                 {Event{Data: json.RawMessage("null")}, "id: sid\ndata: null\n\n"},
		"nil pointer":          {Event{Data: (*point)(nil)}, "id: sid\ndata: null\n\n"},
		"bare comment":         {Event{Comment: "hi"}, ": hi\n\n"},
		"comment lines":        {Event{Comment: "a\r\nb\rc\nd"}, ": a\n: b\n: c\n: d\n\n"},
		"comment ends in line": {Event{Comment: "a\n"}, ": a\n: \n\n"},
		"comment not UTF-8":    {Event{Comment: "a\xff"}, ": a\uFFFD\n\n"},
		"comment with data":    {Event{Comment: "a\n\ndata: x", Data: "y"}, "id: sid\n: a\n: \n: data: x\ndata: y\n\n"},
		"comment, empty data":  {Event{Comment: "a", Data: ""}, "id: sid\n: a\ndata: \n\n"},
		"bare retry":           {Event{Retry: time.Millisecond}, "retry: 1\n\n"},
		"retry in whole ms":    {Event{Retry: 1999999}, "retry: 1\n\n"},
		"bare both":            {Event{Comment: "a", Retry: time.Second}, ": a\nretry: 1000\n\n"},
		"retry with name":      {Event{Name: "n", Retry: time.Second}, "id: sid\nretry: 1000\nevent: n\ndata: \n\n"},
		"retry with id":        {Event{ID: "n", Retry: time.Second}, "id: sid~n\nretry: 1000\ndata: \n\n"},
		"the longest name":     {Event{Name: strings.Repeat("n", limits.Name)}, "id: sid\nevent: " + strings.Repeat("n", limits.Name) + "\ndata: \n\n"},
		"the longest id":       {Event{ID: strings.Repeat("9", MaxAppID)}, "id: sid~" + strings.Repeat("9", MaxAppID) + "\ndata: \n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.want, onWire(encode(t, c.event)))
		})
	}
}

func TestEncodeRefuses(t *testing.T) {
	circle := map[string]any{}
	circle["it"] = circle
	for name, c := range map[string]struct {
		event Event
		want  error
	}{
		"name with LF":          {Event{Name: "a\nb"}, ErrEventName},
		"name with CR":          {Event{Name: "a\rdata: x"}, ErrEventName},
		"name with NUL":         {Event{Name: "a\x00"}, ErrEventName},
		"name not UTF-8":        {Event{Name: "a\xff"}, ErrEventName},
		"name too long":         {Event{Name: strings.Repeat("n", limits.Name+1)}, ErrEventName},
		"id with LF":            {Event{ID: "a\n"}, ErrEventID},
		"id with CR":            {Event{ID: "a\rb"}, ErrEventID},
		"id with NUL":           {Event{ID: "\x00"}, ErrEventID},
		"id with space":         {Event{ID: "a b"}, ErrEventID},
		"id with colon":         {Event{ID: "a:b"}, ErrEventID},
		"id with umlaut":        {Event{ID: "ä"}, ErrEventID},
		"id too long":           {Event{ID: strings.Repeat("9", MaxAppID+1)}, ErrEventID},
		"channel":               {Event{Data: make(chan int)}, ErrData},
		"function":              {Event{Data: func() {}}, ErrData},
		"NaN":                   {Event{Data: math.NaN()}, ErrData},
		"circle":                {Event{Data: circle}, ErrData},
		"panic":                 {Event{Data: panicking{}}, ErrData},
		"panic deep inside":     {Event{Data: map[string]any{"a": []any{1, panicking{}}}}, ErrData},
		"MarshalJSON refuses":   {Event{Data: refusing{}}, ErrData},
		"no JSON in RawMessage": {Event{Data: json.RawMessage("{")}, ErrData},
		"retry 0.9 ms":          {Event{Retry: 999 * time.Microsecond}, ErrRetry},
		"retry below 0":         {Event{Retry: -time.Second}, ErrRetry},
		"data too large":        {Event{Data: strings.Repeat("x", limits.Event+1)}, ErrTooLarge},
		"lines too large":       {Event{Data: strings.Repeat("\n", limits.Event/4)}, ErrTooLarge},
		"comment too large":     {Event{Comment: strings.Repeat("x", limits.Event)}, ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := limits.Encode(c.event)
			assert.ErrorIs(t, err, c.want)
			assert.Nil(t, f)
		})
	}
}

func TestEncodeLimit(t *testing.T) {
	const frame = len("data: \n\n")
	l := Limits{Event: 100}
	_, err := l.Encode(Event{Data: strings.Repeat("x", 100-frame)})
	assert.NoError(t, err)
	_, err = l.Encode(Event{Data: strings.Repeat("x", 100-frame+1)})
	assert.ErrorIs(t, err, ErrTooLarge)
	// U+FFFD is longer than what it stands for.
	_, err = l.Encode(Event{Data: strings.Repeat("x", 100-frame-1) + "\xff"})
	assert.ErrorIs(t, err, ErrTooLarge)
}

// The error keeps what json said.
func TestEncodeErrorWraps(t *testing.T) {
	_, err := limits.Encode(Event{Data: make(chan int)})
	var unsupported *json.UnsupportedTypeError
	assert.ErrorAs(t, err, &unsupported)
}

// A frame is not what the program's slice becomes.
func TestEncodeCopies(t *testing.T) {
	data := []byte("before")
	f := encode(t, Event{Data: data})
	copy(data, "after!")
	assert.Equal(t, "id: sid\ndata: before\n\n", onWire(f))
}

// Event.Data: "invalid UTF-8 as U+FFFD, which is what the browser would make
// of it": one for each maximal subpart (WHATWG Encoding, UTF-8 decoder).
func TestEncodeInvalidUTF8(t *testing.T) {
	for _, data := range []string{
		"\xff\xff", "\x80\x80\x80", "\xe2\x82\xe2\x82", "\xf0\x9f\x98", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe0\x80\x80", "a\xf0\x9f\xffb",
	} {
		t.Run(fmt.Sprintf("%x", data), func(t *testing.T) {
			assert.Equal(t, joinReplaced("id: sid\ndata: "+wiretest.Decode(data)+"\n\n"), joinReplaced(onWire(encode(t, Event{Data: data}))))
		})
	}
}

// FuzzEncode: what Encode accepts and one connection writes is, to a reader
// that was written from the standard, exactly one event with that type, data
// and id, or none if it is bare, and leaves the event after it alone. What it
// refuses it refuses for a reason with a name.
func FuzzEncode(f *testing.F) {
	f.Add("news", []byte("a\r\nb"), "hi", "7", int64(1500))
	f.Add("", []byte("\xff\xff\ndata: x\n\n"), "\r\r\n", "", int64(0))
	f.Add("a\x00", []byte{}, "", "~", int64(-1))
	f.Add("", []byte(nil), "\uFEFF", "", int64(0))
	f.Add("\uFEFF", []byte("\uFEFFid: x"), "", "._-", int64(math.MaxInt32))
	f.Fuzz(func(t *testing.T, name string, data []byte, comment, id string, retry int64) {
		e := Event{Name: name, Comment: comment, ID: id, Retry: time.Duration(retry)}
		switch {
		case data == nil:
		case len(data)%2 == 0:
			e.Data = string(data)
		default:
			e.Data = data
		}
		frame, err := limits.Encode(e)
		allowed := len(name) <= limits.Name && utf8.ValidString(name) && !strings.ContainsAny(name, "\r\n\x00") &&
			len(id) <= MaxAppID && strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-") == "" &&
			(retry == 0 || retry >= int64(time.Millisecond))
		if err != nil {
			for _, reason := range []error{ErrEventName, ErrEventID, ErrRetry, ErrTooLarge} {
				if errors.Is(err, reason) {
					require.Equal(t, reason == ErrTooLarge, allowed, "%v", err)
					return
				}
			}
			t.Fatalf("refused without a reason: %v", err)
		}
		require.True(t, allowed, "accepted")

		p := wiretest.NewParser(strings.NewReader(opening+onWire(frame, encode(t, Event{Data: "next"}))), "")
		if lastID := "sid" + suffix(id); e.Data != nil || name != "" || id != "" || comment == "" && retry == 0 {
			got, err := p.Next()
			require.NoError(t, err)
			lines := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(wiretest.Decode(string(data)))
			if name == "" {
				name = "message"
			}
			require.Equal(t, name, got.Type)
			require.Equal(t, lastID, got.LastEventID)
			// How many U+FFFD is for TestEncodeInvalidUTF8.
			require.Equal(t, joinReplaced(lines), joinReplaced(got.Data))
		}
		got, err := p.Next()
		require.NoError(t, err)
		require.Equal(t, wiretest.Event{Type: "message", Data: "next", LastEventID: "sid" + suffix(id)}, got)
		_, err = p.Next()
		require.Equal(t, io.EOF, err)
		if ms := retry / int64(time.Millisecond); ms > 0 && ms <= math.MaxInt32 {
			require.Equal(t, time.Duration(ms)*time.Millisecond, p.Retry)
		}
		commented := 1 // by opening
		if comment != "" {
			commented += 1 + strings.Count(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(comment), "\n")
		}
		require.Equal(t, commented, p.Comments)
	})
}

func suffix(id string) string {
	if id == "" {
		return ""
	}
	return "~" + id
}

func joinReplaced(s string) string {
	for strings.Contains(s, "\uFFFD\uFFFD") {
		s = strings.ReplaceAll(s, "\uFFFD\uFFFD", "\uFFFD")
	}
	return s
}

func TestValidAppID(t *testing.T) {
	for b := range 256 {
		want := bytes.IndexByte([]byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-"), byte(b)) >= 0
		assert.Equal(t, want, ValidAppID("a"+string([]byte{byte(b)})), "%q", b)
	}
	assert.True(t, ValidAppID(""))
	assert.True(t, ValidAppID(strings.Repeat("a", MaxAppID)))
	assert.False(t, ValidAppID(strings.Repeat("a", MaxAppID+1)))
}

func BenchmarkEncode(b *testing.B) {
	type quote struct {
		Symbol string
		Price  float64
		Volume int
	}
	for name, e := range map[string]Event{
		"string": {Name: "news", Data: strings.Repeat("x", 100)},
		"lines":  {Name: "news", Data: strings.Repeat("0123456789\n", 10)},
		"JSON":   {Name: "news", Data: quote{"YHOO", 10.5, 1000}},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := limits.Encode(e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
