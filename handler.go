package sse

import (
	"net/http"
)

// Handler serves streams: each connection that New accepts is given to fn,
// which greets, joins rooms and returns; the stream stays open after it. When
// fn returns an error the connection is ended as by Disconnect, and the error
// is logged.
func (s *Server) Handler(fn func(*Session, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sess, err := s.New(w, r)
		if err != nil {
			return
		}
		ok := false
		defer func() {
			if !ok { // fn has panicked
				sess.Disconnect()
			}
		}()
		err = fn(sess, r)
		ok = true
		if err != nil {
			s.log.Error("sse: handler failed", "address", sess.Address(), "error", err)
			sess.Disconnect()
			return
		}
		sess.Wait()
	})
}
