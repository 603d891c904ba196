// Package wiretest reads event streams in tests: a parser written line by line
// from WHATWG HTML section 9.2.6, as a second opinion on what package emitter
// writes.
package wiretest

import (
	"bufio"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// An Event is a MessageEvent as a page would get it.
type Event struct {
	Type        string
	Data        string
	LastEventID string
}

// A Parser turns a stream into events. It does what the standard says and
// nothing else.
type Parser struct {
	// LastEventID is what the client would send on its next request.
	LastEventID string
	// Retry is the reconnection time that was last set; zero before.
	Retry time.Duration
	// Comments counts the comment lines.
	Comments int

	r       *bufio.Reader
	started bool
	afterCR bool
	idBuf   string
	dataBuf strings.Builder
	typeBuf string
}

// NewParser reads the body of one response. An EventSource that reconnects
// keeps its last event id: pass it on.
func NewParser(r io.Reader, lastEventID string) *Parser {
	return &Parser{r: bufio.NewReader(r), LastEventID: lastEventID}
}

// Next returns the next event that would be dispatched. At the end of the
// stream the error is io.EOF, or what the reader says when it was cut; a block
// that was not finished is dropped, as the standard has it.
func (p *Parser) Next() (Event, error) {
	for {
		line, err := p.line()
		if err != nil {
			return Event{}, err
		}
		if line == "" {
			if e, ok := p.dispatch(); ok {
				return e, nil
			}
			continue
		}
		p.field(line)
	}
}

// ReadLine takes in one line, as Next does many, and returns its length. It is
// for tests that look at what dispatches nothing.
func (p *Parser) ReadLine() (int, error) {
	line, err := p.line()
	if err != nil {
		return 0, err
	}
	if line == "" {
		p.dispatch()
		return 0, nil
	}
	p.field(line)
	return len(line), nil
}

// line reads up to CRLF, LF or CR. A stream that ends without one ends with
// an incomplete line, which is dropped.
func (p *Parser) line() (string, error) {
	var b []byte
	for {
		c, err := p.r.ReadByte()
		if err != nil {
			return "", err
		}
		if c == '\n' && p.afterCR {
			p.afterCR = false
			continue
		}
		p.afterCR = c == '\r'
		if c == '\r' || c == '\n' {
			break
		}
		b = append(b, c)
	}
	s := string(b)
	if !p.started {
		p.started = true
		s = strings.TrimPrefix(s, "\uFEFF")
	}
	return Decode(s), nil
}

func (p *Parser) field(line string) {
	name, value, colon := strings.Cut(line, ":")
	if colon && name == "" {
		p.Comments++
		return
	}
	value = strings.TrimPrefix(value, " ")
	switch name {
	case "event":
		p.typeBuf = value
	case "data":
		p.dataBuf.WriteString(value)
		p.dataBuf.WriteByte('\n')
	case "id":
		if !strings.Contains(value, "\x00") {
			p.idBuf = value
		}
	case "retry":
		if value == "" || strings.Trim(value, "0123456789") != "" {
			return
		}
		if ms, err := strconv.ParseInt(value, 10, 32); err == nil {
			p.Retry = time.Duration(ms) * time.Millisecond
		}
	}
}

func (p *Parser) dispatch() (Event, bool) {
	p.LastEventID = p.idBuf
	data := p.dataBuf.String()
	e := Event{Type: p.typeBuf, Data: strings.TrimSuffix(data, "\n"), LastEventID: p.LastEventID}
	p.dataBuf.Reset()
	p.typeBuf = ""
	if data == "" {
		return Event{}, false
	}
	if e.Type == "" {
		e.Type = "message"
	}
	return e, true
}

// Decode is the UTF-8 decoder of the WHATWG Encoding standard (10.1.1).
func Decode(s string) string {
	var out strings.Builder
	var point rune
	var needed, seen int
	lower, upper := byte(0x80), byte(0xBF)
	for i := 0; i < len(s); i++ {
		b := s[i]
		if needed == 0 {
			switch {
			case b <= 0x7F:
				out.WriteByte(b)
			case 0xC2 <= b && b <= 0xDF:
				needed, point = 1, rune(b&0x1F)
			case 0xE0 <= b && b <= 0xEF:
				if b == 0xE0 {
					lower = 0xA0
				}
				if b == 0xED {
					upper = 0x9F
				}
				needed, point = 2, rune(b&0xF)
			case 0xF0 <= b && b <= 0xF4:
				if b == 0xF0 {
					lower = 0x90
				}
				if b == 0xF4 {
					upper = 0x8F
				}
				needed, point = 3, rune(b&0x7)
			default:
				out.WriteRune(utf8.RuneError)
			}
			continue
		}
		if b < lower || b > upper {
			point, needed, seen = 0, 0, 0
			lower, upper = 0x80, 0xBF
			out.WriteRune(utf8.RuneError)
			i-- // this byte once more
			continue
		}
		lower, upper = 0x80, 0xBF
		point = point<<6 | rune(b&0x3F)
		if seen++; seen == needed {
			out.WriteRune(point)
			point, needed, seen = 0, 0, 0
		}
	}
	if needed != 0 {
		out.WriteRune(utf8.RuneError)
	}
	return out.String()
}
