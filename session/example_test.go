package session_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http/httptest"
	"time"

	"github.com/lastevent/sse/session"
)

func ExampleCodec() {
	codec, _ := session.NewCodec([][]byte{bytes.Repeat([]byte("secret! "), 4)}, 30*24*time.Hour)
	id, _ := codec.New("ann")

	again, err := codec.Parse(id.String())
	fmt.Println(err, again.Address() == id.Address())
	fmt.Println(codec.OwnedBy(again, "ann"), codec.OwnedBy(again, "bob"))
	_, err = codec.Parse(id.Address()) // which anybody may know
	fmt.Println(errors.Is(err, session.ErrID))
	// Output:
	// <nil> true
	// true false
	// true
}

func ExampleClaims() {
	r := httptest.NewRequest("GET", "/events?id=from-the-page", nil)
	r.Header.Set("Last-Event-ID", "from-the-browser~42")
	for _, claim := range session.Claims(r) {
		fmt.Println(claim.ID, claim.App, claim.Reload)
	}
	// Output:
	// from-the-browser 42 false
	// from-the-page  true
}
