package session_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/lastevent/sse/session"
)

// Pages compare with these words.
func TestStateWords(t *testing.T) {
	for state, word := range map[session.State]string{
		session.New:        "new",
		session.Resumed:    "resumed",
		session.Gap:        "gap",
		session.Forked:     "forked",
		session.Forked + 1: "unknown",
		255:                "unknown",
	} {
		assert.Equal(t, word, state.String(), "state %d", uint8(state))
	}
	var zero session.State
	assert.Equal(t, session.New, zero, "nobody is taken for known by omission")
}
