// Tabs is a page that shows what package sse makes of a browser tab: an
// identity that outlives its connections, a live list of all the others, and
// buttons to send to one, to all, to drop a connection, which comes back as
// the same tab, and to close a tab for good, which stays away.
//
//	go run ./examples/tabs
//
// and open http://localhost:8080 in a few tabs. Scripts can do what the page
// does; the body of a POST is the event's data:
//
//	curl -N localhost:8080/events
//	curl localhost:8080/sessions
//	curl localhost:8080/sessions?id=ID
//	curl -d 'Hello!' 'localhost:8080/send?id=ID&event=greeting'
//	curl -d 'Hello!' 'localhost:8080/broadcast?event=greeting'
//	curl -X POST 'localhost:8080/join?id=ID&room=kitchen'
//	curl -d 'Hello!' 'localhost:8080/room?room=kitchen'
//	curl -X POST 'localhost:8080/leave?id=ID&room=kitchen'
//	curl -X POST 'localhost:8080/drop?id=ID'
//	curl -X POST 'localhost:8080/close?id=ID'
//
// Where ID stands, a tab's id (any lastEventId of its events) or its address
// will do.
//
// It is a demonstration: everybody who reaches it may do anything to every
// tab. So it listens on localhost only and answers no other name, and browsers
// may POST from its own page only. Over HTTP/1.1 a browser opens six
// connections to one host, so with six tabs the buttons wait for ever; with
// -tls-addr, -tls-cert and -tls-key it serves HTTP/2 beside it, which has room
// for a hundred.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/lastevent/sse"
)

// patience is how long requests in progress may take when the program ends.
const patience = 10 * time.Second

type settings struct {
	addr    string
	db      string
	tlsAddr string
	tlsCert string
	tlsKey  string
}

func main() {
	var set settings
	flag.StringVar(&set.addr, "addr", "localhost:8080", "address to listen on")
	flag.StringVar(&set.db, "db", "", "store file (default the library's, in the user's configuration directory)")
	flag.StringVar(&set.tlsAddr, "tls-addr", "", "address to serve HTTPS on as well, with HTTP/2")
	flag.StringVar(&set.tlsCert, "tls-cert", "", "certificate file for -tls-addr")
	flag.StringVar(&set.tlsKey, "tls-key", "", "key file for -tls-addr")
	flag.Parse()
	if err := set.check(flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "tabs:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	if err := run(ctx, set, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "tabs:", err)
		os.Exit(1)
	}
}

// check refuses what would be ignored.
func (set settings) check(args []string) error {
	switch {
	case len(args) > 0:
		return fmt.Errorf("there is an argument too many: %q", args[0])
	case set.tlsAddr != "" && (set.tlsCert == "" || set.tlsKey == ""):
		return errors.New("-tls-addr needs -tls-cert and -tls-key, the files of a certificate and its key")
	case set.tlsAddr == "" && (set.tlsCert != "" || set.tlsKey != ""):
		return errors.New("-tls-cert and -tls-key need -tls-addr, the address to serve HTTPS on")
	}
	return nil
}

// run serves until ctx ends, and then lets everybody go. It tells out where
// the page is, in one line.
func run(ctx context.Context, set settings, out io.Writer) (err error) {
	plain, at, err := listen(set.addr)
	if err != nil {
		return fmt.Errorf("-addr: %w", err)
	}
	defer plain.Close()
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		// A machine that went to sleep acknowledges nothing and says nothing.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, WriteByteTimeout: 30 * time.Second},
	}
	line := "Tabs on http://" + at
	var secure net.Listener
	if set.tlsAddr != "" {
		if secure, at, err = listen(set.tlsAddr); err != nil {
			return fmt.Errorf("-tls-addr: %w", err)
		}
		defer secure.Close()
		pair, err := tls.LoadX509KeyPair(set.tlsCert, set.tlsKey)
		if err != nil {
			return fmt.Errorf("-tls-cert, -tls-key: %w", err)
		}
		server.TLSConfig = &tls.Config{
			Certificates: []tls.Certificate{pair},
			// Said here, because Serve may come before ServeTLS, and looks for
			// it when it decides for both whether there is HTTP/2.
			NextProtos: []string{"h2", "http/1.1"},
		}
		line += " and https://" + at
	}

	srv, err := sse.Open(sse.Config{DB: set.db})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, srv.Close()) }()
	app := newApp(srv)
	defer app.close()
	server.Handler = app.handler()

	// Both goroutines end when the server is closed or shut down; nobody needs
	// to wait for them.
	failed := make(chan error, 2)
	go func() { failed <- server.Serve(plain) }()
	if secure != nil {
		go func() { failed <- server.ServeTLS(secure, "", "") }()
	}
	defer server.Close()
	fmt.Fprintln(out, line)

	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	// The streams would never end by themselves: the library sends them away.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	return server.Shutdown(ctx)
}

// listen listens on a local address; at is where a browser finds it.
func listen(addr string) (l net.Listener, at string, err error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, "", fmt.Errorf("%w; write it as in localhost:8080", err)
	}
	if host == "" {
		host = "localhost"
	}
	if !local(host) {
		return nil, "", fmt.Errorf("%s: this is a demonstration without any login, so it listens on localhost, 127.0.0.1 or [::1] only", addr)
	}
	l, err = net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, "", fmt.Errorf("%w; choose another port, or 0 for any that is free", err)
	}
	_, port, _ = net.SplitHostPort(l.Addr().String()) // a listener's own is well-formed
	return l, net.JoinHostPort(host, port), nil
}
