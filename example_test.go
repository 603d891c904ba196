package sse_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/lastevent/sse"
	"github.com/lastevent/sse/emitter/wiretest"
	"github.com/lastevent/sse/persist"
)

// browser opens streams as an EventSource does, and prints the events that
// are not the library's own greeting.
type browser struct {
	url string
	id  string // lastEventId
	*wiretest.Parser
	resp *http.Response
}

func (b *browser) connect() (status int) {
	r, _ := http.NewRequest("GET", b.url, nil)
	r.Header.Set("Last-Event-ID", b.id)
	b.resp, _ = http.DefaultClient.Do(r)
	b.Parser = wiretest.NewParser(b.resp.Body, b.id)
	return b.resp.StatusCode
}

func (b *browser) print(n int) {
	for n > 0 {
		e, err := b.Next()
		if err != nil {
			fmt.Println("the stream has ended")
			return
		}
		b.id = e.LastEventID
		switch {
		case e.Type == "session":
			continue
		case e.Data == "":
			fmt.Println(e.Type)
		default:
			fmt.Printf("%s: %s\n", e.Type, e.Data)
		}
		n--
	}
}

func Example() {
	srv, _ := sse.Open(sse.Config{Store: persist.NewMemory()})
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := srv.New(w, r)
		if err != nil {
			fmt.Println("server:", err)
			return
		}
		s.Emit("connect")
		s.Emit("news", map[string]int{"unread": 3})
		s.Wait()
	}))
	defer ts.Close()
	defer srv.Close()

	tab := &browser{url: ts.URL}
	tab.connect()
	tab.print(2)
	id := tab.id
	srv.To(id).Disconnect() // a deploy, say: the browser reconnects
	tab.print(1)
	tab.connect()
	tab.print(1)
	fmt.Println("the same tab:", tab.id == id)
	srv.To(id).Close() // for good
	fmt.Println("status:", tab.connect())
	// Output:
	// connect
	// news: {"unread":3}
	// the stream has ended
	// connect
	// the same tab: true
	// server: sse: session is closed for good
	// status: 204
}

func ExampleServer_Handler() {
	srv, _ := sse.Open(sse.Config{Store: persist.NewMemory()})
	ts := httptest.NewServer(srv.Handler(func(s *sse.Session, r *http.Request) error {
		if err := s.Join(r.URL.Query().Get("room")); err != nil {
			return err
		}
		return s.Emit("joined", s.Rooms())
	}))
	defer ts.Close()
	defer srv.Close()

	tab := &browser{url: ts.URL + "?room=lobby"}
	tab.connect()
	tab.print(1)
	srv.In("lobby").Emit("said", "hello")
	srv.In("garden").Emit("said", "nobody is here")
	srv.All().Emit("said", "bye")
	tab.print(2)
	// Output:
	// joined: ["lobby"]
	// said: hello
	// said: bye
}

func ExampleServer_Of() {
	srv, _ := sse.Open(sse.Config{
		Store: persist.NewMemory(),
		Owner: func(r *http.Request) (string, error) { return r.URL.Query().Get("user"), nil },
	})
	ts := httptest.NewServer(srv.Handler(func(s *sse.Session, r *http.Request) error { return nil }))
	defer ts.Close()
	defer srv.Close()

	tab := &browser{url: ts.URL + "?user=ann"}
	tab.connect()
	srv.Of("ann").Send("for all tabs of ann")
	tab.print(1)
	srv.Of("ann").Disconnect() // she logs out
	tab.print(1)
	anns := tab.id
	tab.url = ts.URL + "?user=bob"
	tab.connect()
	srv.Of("bob").Send("hello bob")
	tab.print(1)
	fmt.Println("the same tab:", tab.id == anns)
	// Output:
	// message: for all tabs of ann
	// the stream has ended
	// message: hello bob
	// the same tab: false
}

func ExampleSession_Close() {
	srv, _ := sse.Open(sse.Config{Store: persist.NewMemory()})
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := srv.New(w, r)
		if err != nil {
			return
		}
		for percent := 0; percent <= 100; percent += 50 {
			s.Emit("progress", percent)
		}
		s.Close() // the job is done; the browser is not to ask again
	}))
	defer ts.Close()
	defer srv.Close()

	tab := &browser{url: ts.URL}
	fmt.Println(tab.connect())
	tab.print(5)
	fmt.Println(tab.connect())
	// Output:
	// 200
	// progress: 0
	// progress: 50
	// progress: 100
	// close
	// the stream has ended
	// 204
}

func ExampleSession_Publish() {
	srv, _ := sse.Open(sse.Config{Store: persist.NewMemory()})
	ts := httptest.NewServer(srv.Handler(func(s *sse.Session, r *http.Request) error {
		if from := s.LastEventID(); from != "" {
			return s.Send("go on after " + from)
		}
		return s.Publish(sse.Event{Name: "row", Data: "the first", ID: "1"})
	}))
	defer ts.Close()
	defer srv.Close()

	tab := &browser{url: ts.URL}
	tab.connect()
	tab.print(1)
	tab.connect()
	tab.print(1)
	// Output:
	// row: the first
	// message: go on after 1
}

// A login that expires takes the stream with it; the browser comes back, and
// is asked who it is.
func ExampleUntil() {
	srv, _ := sse.Open(sse.Config{Store: persist.NewMemory()})
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := srv.New(w, r, sse.Owner("ann"), sse.Until(time.Now().Add(50*time.Millisecond)))
		if err != nil {
			return
		}
		s.Send("welcome")
		s.Wait()
		fmt.Println(s.Err())
	}))
	defer ts.Close()
	defer srv.Close()

	tab := &browser{url: ts.URL}
	tab.connect()
	tab.print(1)
	tab.print(1)
	// Output:
	// message: welcome
	// sse: the time of this connection is over
	// the stream has ended
}

// Shutdown of an http.Server lets its streams go by itself.
func ExampleServer_Shutdown() {
	srv, _ := sse.Open(sse.Config{Store: persist.NewMemory()})
	ts := httptest.NewServer(srv.Handler(func(s *sse.Session, r *http.Request) error { return s.Send("welcome") }))
	defer ts.Close()
	defer srv.Close()

	tab := &browser{url: ts.URL}
	tab.connect()
	tab.print(1)
	fmt.Println(ts.Config.Shutdown(context.Background()))
	tab.print(1)
	fmt.Println("it knows when to come back:", tab.Retry > 0)
	// Output:
	// message: welcome
	// <nil>
	// the stream has ended
	// it knows when to come back: true
}

// Programs without logins can make each browser an owner.
func ExampleServer_OwnerCookie() {
	srv, _ := sse.Open(sse.Config{Store: persist.NewMemory(), OwnerCookie: "browser"})
	defer srv.Close()
	page := httptest.NewRecorder()
	owner, _ := srv.OwnerCookie(page, httptest.NewRequest("GET", "/", nil)) // where the page is served
	r := httptest.NewRequest("GET", "/events", nil)
	r.AddCookie(page.Result().Cookies()[0])
	again, _ := srv.OwnerCookie(httptest.NewRecorder(), r)
	fmt.Println(again == owner)
	// Output: true
}

func ExampleTarget() {
	srv, _ := sse.Open(sse.Config{Store: persist.NewMemory()})
	defer srv.Close()
	fmt.Println(srv.To("not an id").Send("x"))
	err := srv.At("AAAAAAAAAAAAAAAA").Send("x")
	fmt.Println(errors.Is(err, sse.ErrNotConnected))
	// Output:
	// sse: not an id that this server has signed
	// true
}

// Keys from outside let several servers accept each other's ids. Here the
// first of two signs, and ids of both are good.
func ExampleConfig_keys() {
	older, newer := make([]byte, 32), make([]byte, 32)
	rand.Read(older)
	rand.Read(newer)
	srv, err := sse.Open(sse.Config{
		Store:      persist.NewMemory(),
		Keys:       [][]byte{newer, older},
		IDLifetime: 7 * 24 * time.Hour,
	})
	fmt.Println(err)
	srv.Close()
	// Output: <nil>
}
