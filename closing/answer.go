package closing

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// NoContent answers a session that was closed for good: 204, after which an
// EventSource does not come back (WHATWG HTML 9.2.3). Shared caches may keep a
// 204 (RFC 9110, 15.3.5), so it says that they must not.
func NoContent(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}

// Refuse answers a request that is wrong by itself: an EventSource gives up
// for good, as after any status but 200.
func Refuse(w http.ResponseWriter, status int, why string) {
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, why, status)
}

// ComeBack is the body of an answer to somebody who cannot be served now, to
// be sent with status 200 and then cut: any other status would send the
// browser away for good.
func ComeBack(retry time.Duration) []byte {
	return []byte("\n: not now\nretry: " + strconv.FormatInt(max(1, retry.Milliseconds()), 10) + "\n\n")
}

// Jitter is d, longer or shorter by up to a quarter: what is cut at one moment
// shall not come back at one moment.
func Jitter(d time.Duration) time.Duration {
	return Spread(d-d/4, d/2)
}

// Spread is a random time from d to d and span more.
func Spread(d, span time.Duration) time.Duration {
	if span <= 0 {
		return d
	}
	return d + rand.N(span)
}
