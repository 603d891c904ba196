package wiretest_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/lastevent/sse/emitter/wiretest"
	"github.com/stretchr/testify/assert"
)

type event = wiretest.Event

func message(data, id string) event { return event{Type: "message", Data: data, LastEventID: id} }

// The examples of WHATWG HTML 9.2.6, and its rules one by one.
var streams = map[string]struct {
	stream string
	want   []event
}{
	"spec: stock":           {"data: YHOO\ndata: +2\ndata: 10\n\n", []event{message("YHOO\n+2\n10", "")}},
	"spec: four blocks":     {": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n", []event{message("first event", "1"), message("second event", ""), message(" third event", "")}},
	"spec: the last is cut": {": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n", []event{message("first event", "1"), message("second event", "")}},
	"spec: empty data":      {"data\n\ndata\ndata\n\ndata:", []event{message("", ""), message("\n", "")}},
	"spec: one space":       {"data:test\n\ndata: test\n\n", []event{message("test", ""), message("test", "")}},
	"spec: types":           {"event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\nevent: add\ndata: 113411\n\n", []event{{"add", "73857293", ""}, {"remove", "2153", ""}, {"add", "113411", ""}}},

	"empty":                     {"", nil},
	"BOM":                       {"\uFEFFdata: a\n\n", []event{message("a", "")}},
	"two BOMs":                  {"\uFEFF\uFEFFdata: a\n\ndata: b\n\n", []event{message("b", "")}},
	"BOM later":                 {"data: a\n\n\uFEFFdata: b\n\n", []event{message("a", "")}},
	"CR":                        {"data: a\rdata: b\r\r", []event{message("a\nb", "")}},
	"CRLF":                      {"data: a\r\ndata: b\r\n\r\n", []event{message("a\nb", "")}},
	"mixed":                     {"data: a\rdata: b\ndata: c\r\n\n", []event{message("a\nb\nc", "")}},
	"CR LF is one end":          {"data: a\r\ndata: b\n\n", []event{message("a\nb", "")}},
	"LF CR are two":             {"data: a\n\rdata: b\n\n", []event{message("a", ""), message("b", "")}},
	"id stays":                  {"id: 1\ndata: a\n\ndata: b\n\n", []event{message("a", "1"), message("b", "1")}},
	"id with NUL is ignored":    {"id: 1\ndata: a\n\nid: 2\x00\ndata: b\n\n", []event{message("a", "1"), message("b", "1")}},
	"id alone":                  {"id: 1\n\ndata: a\n\n", []event{message("a", "1")}},
	"type does not stay":        {"event: x\ndata: a\n\ndata: b\n\n", []event{{"x", "a", ""}, message("b", "")}},
	"type alone":                {"event: x\n\ndata: b\n\n", []event{message("b", "")}},
	"the last type counts":      {"event: x\nevent: y\ndata: a\n\n", []event{{"y", "a", ""}}},
	"empty type":                {"event\ndata: a\n\n", []event{message("a", "")}},
	"unknown field":             {"foo: x\nDATA: y\n data: z\ndata: a\n\n", []event{message("a", "")}},
	"colon in the value":        {"data: a:b: c\n\n", []event{message("a:b: c", "")}},
	"comments":                  {":\n: x\n:data: y\ndata: a\n: z\n\n", []event{message("a", "")}},
	"invalid UTF-8":             {"data: a\xffb\n\n", []event{message("a\uFFFDb", "")}},
	"many blank lines":          {"\n\n\n\ndata: a\n\n\n\n\n", []event{message("a", "")}},
	"data of a line end":        {"data\ndata\n\n", []event{message("\n", "")}},
	"an unfinished last block":  {"data: a\n\nid: 9\ndata: b\n", []event{message("a", "")}},
	"an unfinished blank block": {"data: a\n", nil},
}

func TestStreams(t *testing.T) {
	for name, c := range streams {
		t.Run(name, func(t *testing.T) {
			for _, r := range []io.Reader{
				strings.NewReader(c.stream),
				iotest.OneByteReader(strings.NewReader(c.stream)),
				iotest.DataErrReader(strings.NewReader(c.stream)),
			} {
				var got []event
				p := wiretest.NewParser(r, "")
				for {
					e, err := p.Next()
					if err != nil {
						assert.Equal(t, io.EOF, err)
						break
					}
					got = append(got, e)
				}
				assert.Equal(t, c.want, got)
			}
		})
	}
}

// Invalid UTF-8 is one U+FFFD for each maximal subpart, as in the decoder of
// the WHATWG Encoding standard.
func TestInvalidUTF8(t *testing.T) {
	for data, want := range map[string]string{
		"\xff\xff":         "\uFFFD\uFFFD",
		"\xe2\x82\xe2\x82": "\uFFFD\uFFFD",
		"\xf0\x9f\x98":     "\uFFFD",
		"\xed\xa0\x80":     "\uFFFD\uFFFD\uFFFD",
	} {
		e, err := wiretest.NewParser(strings.NewReader("data: "+data+"\n\n"), "").Next()
		assert.NoError(t, err)
		assert.Equal(t, want, e.Data, "%x", data)
	}
}

func TestRetry(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"retry: 1500\n":           1500 * time.Millisecond,
		"retry:0007\n":            7 * time.Millisecond,
		"retry: 0\n":              0,
		"retry: 10\nretry: x\n":   10 * time.Millisecond,
		"retry: 10\nretry: -1\n":  10 * time.Millisecond,
		"retry: 10\nretry: 1.5\n": 10 * time.Millisecond,
		"retry: 10\nretry:\n":     10 * time.Millisecond,
		"retry: 10\nretry\n":      10 * time.Millisecond,
		"retry: 10\nretry:  9\n":  10 * time.Millisecond, // a second space is no digit
	} {
		p := wiretest.NewParser(strings.NewReader(value), "")
		_, err := p.Next()
		assert.Equal(t, io.EOF, err)
		assert.Equal(t, want, p.Retry, "%q", value)
	}
}

// A client that reconnects sends the id of the stream before, until a block of
// the new stream says otherwise: by the letter, any block does.
func TestLastEventID(t *testing.T) {
	p := wiretest.NewParser(strings.NewReader(": hi\nretry: 1\nid: 2\ndata: a\n\nid: 3\n"), "1")
	assert.Equal(t, "1", p.LastEventID)
	e, err := p.Next()
	assert.NoError(t, err)
	assert.Equal(t, message("a", "2"), e)
	assert.Equal(t, "2", p.LastEventID)
	_, err = p.Next()
	assert.Equal(t, io.EOF, err)
	assert.Equal(t, "2", p.LastEventID, "of a block that was not finished")
	assert.Equal(t, 1, p.Comments)

	p = wiretest.NewParser(strings.NewReader("\n"), "1")
	p.Next()
	assert.Empty(t, p.LastEventID, "by the letter")
}

func TestReadError(t *testing.T) {
	cut := errors.New("cut")
	r := io.MultiReader(strings.NewReader("data: a\n\ndata: b\n"), iotest.ErrReader(cut))
	p := wiretest.NewParser(r, "")
	_, err := p.Next()
	assert.NoError(t, err)
	_, err = p.Next()
	assert.Equal(t, cut, err)
}
