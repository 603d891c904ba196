// Hello is the least that a program needs: a stream for each tab, and a way
// for a tab to say that it does not want any more.
package main

import (
	"log"
	"net/http"

	"github.com/lastevent/sse"
)

func main() {
	http.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		s, err := sse.New(w, r) // 204, 4xx or the stream's head has been written
		if err != nil {
			return // errors.Is(err, sse.ErrClosed): this tab was closed for good
		}
		s.Emit("connect")
		s.Wait() // until the tab leaves or the server closes it
	})
	http.HandleFunc("POST /leave", func(w http.ResponseWriter, r *http.Request) {
		sse.From(r).Close() // the tab that this request proves to be
	})
	log.Fatal(http.ListenAndServe("localhost:8080", nil))
}
