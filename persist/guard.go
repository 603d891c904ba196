package persist

import (
	"fmt"
	"runtime/debug"
)

// guard runs f and returns a panic of f, or a fault on mapped memory, as an error.
//
// bbolt reads its file through a memory mapping and trusts what it finds there. In a damaged one it panics, or the
// processor faults, which normally ends the program. One damaged file must not do that to a server with ten thousand
// open streams. (What nothing can catch is a stack that overflows, as it would over pages that refer to each other in a
// ring.)
func guard(f func() error) (err error) {
	before := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(before)
	defer func() {
		if p := recover(); p != nil {
			err = &panicError{p}
		}
	}()
	return f()
}

// A panicError is what guard caught.
type panicError struct{ value any }

func (e *panicError) Error() string { return fmt.Sprint(e.value) }
