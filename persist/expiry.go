package persist

import (
	"math"
	"time"
)

// An instant is a time of expiry in nanoseconds since 1970; zero is "never". Both stores compare instants and not
// time.Time values, so that a clock reading with a monotonic part and one read back from a file mean the same.
type instant int64

const never instant = 0

// latest is the last time that fits: in the year 2262.
var latest = time.Unix(0, math.MaxInt64)

// instantOf converts a caller's time. What is too late for an instant never expires; what lies before 1970 expired.
func instantOf(t time.Time) instant {
	switch {
	case t.IsZero(), t.After(latest):
		return never
	case t.Before(time.Unix(0, 1)):
		return 1
	}
	return instant(t.UnixNano())
}

// now is the instant of the call, by the wall clock.
func now() instant { return instant(time.Now().UnixNano()) }

// passed reports whether what expires at t has expired at the instant of at.
func (t instant) passed(at instant) bool { return t != never && at >= t }
