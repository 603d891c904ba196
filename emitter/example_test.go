package emitter_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/lastevent/sse/emitter"
)

// screen is a Transport to look at.
type screen struct{}

func (screen) Write(p []byte) error { fmt.Printf("%q\n", p); return nil }
func (screen) Abort()               {}
func (screen) Finish(how emitter.How) {
	fmt.Println("the end is a cut:", how == emitter.Cut)
}
func (screen) Acks() emitter.Acks { return emitter.Acks{} }

func ExampleHub() {
	hub := emitter.NewHub(emitter.Options{
		WriteTimeout: time.Minute, Linger: time.Second, QueueEvents: 100, QueueBytes: 1 << 20,
		Conns: 100, OwnerConns: 100, RoomsPerTab: 10,
	})
	defer hub.Stop()
	conn := hub.NewConn(screen{}, "the-id", "", func() {})
	hub.Attach(conn, emitter.Place{Address: "the-address", Rooms: []string{"lobby"}})
	hello, _ := emitter.Limits{Name: 100, Event: 1000}.Encode(emitter.Event{Name: "hello", Data: "two\nlines"})
	hub.Publish(emitter.Room("lobby"), hello)
	conn.Open(2*time.Second, nil)
	conn.End(emitter.Ending{Err: errors.New("that was it"), How: emitter.Cut, Drain: true})
	<-conn.Done()
	// Output:
	// "\n:\nretry: 2000\n\n"
	// "id: the-id\nevent: hello\ndata: two\ndata: lines\n\n"
	// the end is a cut: true
}
