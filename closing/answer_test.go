package closing_test

import (
	"bufio"
	"bytes"
	"math"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lastevent/sse/closing"
)

// answered is the response of a handler, as net/http writes it.
func answered(t *testing.T, h http.HandlerFunc) *http.Response {
	t.Helper()
	w := httptest.NewRecorder()
	h(w, httptest.NewRequest("GET", "/events", nil))
	return w.Result()
}

func TestNoContent(t *testing.T) {
	for _, before := range []string{"", "public, max-age=3600"} {
		res := answered(t, func(w http.ResponseWriter, _ *http.Request) {
			if before != "" {
				w.Header().Set("Cache-Control", before)
			}
			closing.NoContent(w)
		})
		got, err := httputil.DumpResponse(res, true)
		require.NoError(t, err)
		assert.Equal(t, "HTTP/1.1 204 No Content\r\nConnection: close\r\nCache-Control: no-store\r\n\r\n", string(got))
	}
}

func TestRefuse(t *testing.T) {
	for _, status := range []int{400, 403, 405, 500} {
		res := answered(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", "public")
			w.Header().Set("Allow", "GET")
			closing.Refuse(w, status, "Not like this.")
		})
		assert.Equal(t, status, res.StatusCode)
		assert.Equal(t, http.Header{
			"Allow":                  {"GET"},
			"Cache-Control":          {"no-store"},
			"Content-Type":           {"text/plain; charset=utf-8"},
			"X-Content-Type-Options": {"nosniff"},
		}, res.Header)
		var body bytes.Buffer
		_, err := body.ReadFrom(res.Body)
		require.NoError(t, err)
		assert.Equal(t, "Not like this.\n", body.String())
	}
}

// The answer opens with a line break, so that it ends whatever may have been
// written before, and consists of a comment and a retry: nothing is dispatched.
func TestComeBack(t *testing.T) {
	for d, retry := range map[time.Duration]string{
		3 * time.Second:         "3000",
		1500 * time.Millisecond: "1500",
		24 * time.Hour:          "86400000",
		1999 * time.Microsecond: "1",
		// Never 0: Chromium would come back 20 times a second.
		time.Millisecond:             "1",
		time.Millisecond - 1:         "1",
		1:                            "1",
		0:                            "1",
		-1:                           "1",
		-time.Hour:                   "1",
		time.Duration(math.MinInt64): "1",
		time.Duration(math.MaxInt64): "9223372036854",
	} {
		got := string(closing.ComeBack(d))
		assert.Equal(t, "\n: not now\nretry: "+retry+"\n\n", got, "%v", d)
		lines := bufio.NewScanner(strings.NewReader(got))
		for lines.Scan() {
			assert.False(t, strings.HasPrefix(lines.Text(), "data"), "an event would reach the page")
		}
	}
	// The caller may write to it.
	closing.ComeBack(time.Second)[2] = 'x'
	assert.Equal(t, "\n: not now\nretry: 1000\n\n", string(closing.ComeBack(time.Second)))
}

const draws = 2000

func TestJitter(t *testing.T) {
	for _, d := range []time.Duration{
		1, 2, 3, 4, 5, 7, 10, time.Microsecond, time.Millisecond, time.Second, 3*time.Second + 1, time.Hour, 365 * 24 * time.Hour,
	} {
		least, most := d, d
		for range draws {
			j := closing.Jitter(d)
			require.Positive(t, j, "of %v", d)
			require.GreaterOrEqual(t, j, d-d/4, "of %v", d)
			require.LessOrEqual(t, j, d+d/4+1, "of %v", d)
			least, most = min(least, j), max(most, j)
		}
		if d >= time.Microsecond {
			// A tenth of the way from either end; it fails by chance once in 10^91.
			assert.Less(t, least, d-d/5, "of %v", d)
			assert.Greater(t, most, d+d/5, "of %v", d)
		}
	}
	assert.Zero(t, closing.Jitter(0))
}

func TestSpread(t *testing.T) {
	for _, tt := range []struct{ d, span time.Duration }{
		{0, 1}, {0, time.Second}, {1, 1}, {1, 2}, {time.Second, 1}, {time.Second, time.Minute}, {time.Hour, 24 * time.Hour},
	} {
		least, most := tt.d+tt.span, tt.d
		for range draws {
			s := closing.Spread(tt.d, tt.span)
			require.GreaterOrEqual(t, s, tt.d, "%v and up to %v more", tt.d, tt.span)
			require.LessOrEqual(t, s, tt.d+tt.span, "%v and up to %v more", tt.d, tt.span)
			least, most = min(least, s), max(most, s)
		}
		if tt.span >= time.Microsecond {
			assert.Less(t, least, tt.d+tt.span/20)
			assert.Greater(t, most, tt.d+tt.span-tt.span/20)
		}
	}
	for _, span := range []time.Duration{0, -1, -time.Hour, math.MinInt64} {
		for range 10 {
			assert.Equal(t, time.Second, closing.Spread(time.Second, span), "span %d", span)
		}
	}
}
