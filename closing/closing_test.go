package closing_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lastevent/sse/closing"
)

var reasons = []error{
	closing.ErrClosed, closing.ErrDisconnected, closing.ErrLeft, closing.ErrUntil, closing.ErrShutdown,
}

func TestErrorIsItsReasonAndItsCause(t *testing.T) {
	cause := &fs.PathError{Op: "write", Path: "tab", Err: io.ErrClosedPipe}
	for i, reason := range reasons {
		for _, tt := range []struct {
			name string
			err  *closing.Error
			text string
			more bool
		}{
			{"alone", &closing.Error{Reason: reason}, reason.Error(), false},
			{"with a cause", &closing.Error{Reason: reason, Err: cause}, reason.Error() + ": " + cause.Error(), true},
		} {
			for _, err := range []error{tt.err, fmt.Errorf("handler: %w", tt.err), errors.Join(io.EOF, tt.err)} {
				for j, other := range reasons {
					assert.Equal(t, i == j, errors.Is(err, other), "%v is %v", err, other)
				}
				var got *closing.Error
				require.ErrorAs(t, err, &got)
				assert.Same(t, tt.err, got)
				assert.Equal(t, reason, got.Reason)

				var path *fs.PathError
				assert.Equal(t, tt.more, errors.As(err, &path), "%v", err)
				assert.Equal(t, tt.more, errors.Is(err, io.ErrClosedPipe), "%v", err)
				if tt.more {
					assert.Same(t, cause, path)
				}
				assert.NotErrorIs(t, err, context.Canceled)
			}
			assert.Equal(t, tt.text, tt.err.Error())
		}
	}
}

func TestErrorUnwrap(t *testing.T) {
	assert.Equal(t, []error{closing.ErrLeft}, (&closing.Error{Reason: closing.ErrLeft}).Unwrap())
	assert.Equal(t, []error{closing.ErrLeft, io.EOF}, (&closing.Error{Reason: closing.ErrLeft, Err: io.EOF}).Unwrap())
	// One end may have brought about another.
	first := &closing.Error{Reason: closing.ErrShutdown, Err: context.DeadlineExceeded}
	second := &closing.Error{Reason: closing.ErrDisconnected, Err: first}
	for _, want := range []error{closing.ErrDisconnected, closing.ErrShutdown, context.DeadlineExceeded, first} {
		assert.ErrorIs(t, second, want)
	}
	assert.Equal(t, "sse: disconnected by the server: sse: server is shutting down: context deadline exceeded", second.Error())
}

func TestReasonsAreSentences(t *testing.T) {
	seen := map[string]bool{}
	for _, reason := range reasons {
		assert.Regexp(t, `^sse: [a-z][a-z ]+[a-z]$`, reason.Error())
		seen[reason.Error()] = true
	}
	assert.Len(t, seen, len(reasons))
}
