package persist

import (
	"errors"
	"fmt"
)

// What a call on an open store may return. The text of a returned error says more than the sentinel: compare with
// errors.Is. Where an error of the operating system was the cause, errors.Is finds that one as well.
var (
	// ErrNotFound: Get found no such key; it never was, was deleted, or has expired.
	ErrNotFound = errors.New("sse: no such key")

	// ErrExists: Add found the key there. Nothing was changed.
	ErrExists = errors.New("sse: key exists")

	// ErrClosed: the store was closed. Nothing was done.
	ErrClosed = errors.New("sse: store is closed")

	// ErrKey: the key is empty or longer than MaxKey. Nothing was done.
	ErrKey = errors.New("sse: key not acceptable")

	// ErrValue: the value is longer than MaxValue. Nothing was done.
	ErrValue = errors.New("sse: value too long")

	// ErrUnavailable: the engine cannot do it now, because the disk is full or does not answer, or a file may not be
	// opened. The caller may try again.
	ErrUnavailable = errors.New("sse: store unavailable")

	// ErrCorrupt: the file is not a database of this package, or is no longer what was written. Nothing repairs it
	// silently: entries may be gone from it, and only a person can decide whether that matters.
	ErrCorrupt = errors.New("sse: store is damaged")
)

// What opening a store may return besides.
var (
	// ErrLocked: another process has the file, or this one has it open a second time.
	ErrLocked = errors.New("sse: store is in use")

	// ErrKeyFile: the key file, or a text given to ParseKeys, cannot be used as it is. The error names the line and
	// the remedy, and never quotes what it read.
	ErrKeyFile = errors.New("sse: keys cannot be used")
)

func keyError(n int) error {
	if n == 0 {
		return fmt.Errorf("%w: it is empty", ErrKey)
	}
	return fmt.Errorf("%w: it has %d bytes, the limit is %d", ErrKey, n, MaxKey)
}

func valueError(n int) error {
	return fmt.Errorf("%w: it has %d bytes, the limit is %d", ErrValue, n, MaxValue)
}
