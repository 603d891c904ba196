package emitter

import (
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A link is the two ends of a connection over the loopback.
type link struct {
	client, server *net.TCPConn
	local, peer    netip.AddrPort // as the server sees it
	listener       net.Listener
}

func dialLoopback(t *testing.T, network, listen, dial string) *link {
	t.Helper()
	l, err := net.Listen(network, listen)
	if err != nil && strings.Contains(listen, "[") {
		t.Skipf("no IPv6: %v", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	client, err := net.Dial("tcp", net.JoinHostPort(dial, port))
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	server, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { server.Close() })
	return &link{
		client.(*net.TCPConn), server.(*net.TCPConn),
		netip.MustParseAddrPort(server.LocalAddr().String()), netip.MustParseAddrPort(server.RemoteAddr().String()), l,
	}
}

// until waits for what the kernel will do soon. Where it never does, the test
// does not end.
func until(done func() bool) {
	for !done() {
		runtime.Gosched()
	}
}

func eachFamily(t *testing.T, test func(t *testing.T, l *link)) {
	for name, c := range map[string][3]string{
		"IPv4":                    {"tcp4", "127.0.0.1:0", "127.0.0.1"},
		"IPv6":                    {"tcp6", "[::1]:0", "::1"},
		"IPv4 at a dual listener": {"tcp", "[::]:0", "127.0.0.1"},
		"IPv6 at a dual listener": {"tcp", "[::]:0", "::1"},
	} {
		t.Run(name, func(t *testing.T) { test(t, dialLoopback(t, c[0], c[1], c[2])) })
	}
}

func TestAcks(t *testing.T) {
	eachFamily(t, func(t *testing.T, l *link) {
		// The kernel may delay its acknowledgement a little.
		acknowledged := func() bool {
			a := acks(l.local, l.peer)
			require.True(t, a.Known)
			return a.Waiting == 0
		}
		require.True(t, acknowledged(), "nothing was written")
		before := acks(l.local, l.peer).Total
		_, err := l.server.Write([]byte("hello"))
		require.NoError(t, err)
		until(acknowledged) // though the peer's program has not read it

		require.Equal(t, before+uint64(len("hello")), acks(l.local, l.peer).Total)

		// More than the two kernels hold between them: some stays here.
		go l.server.Write(make([]byte, 64<<20)) // ends when the test closes the connection
		_, err = io.ReadFull(l.client, make([]byte, len("hello")+1))
		require.NoError(t, err)
		until(func() bool { return !acknowledged() })
		require.Positive(t, acks(l.local, l.peer).Waiting)

		// It is one end of the two that is asked about.
		a := acks(l.peer, l.local)
		require.True(t, a.Known)
		require.Zero(t, a.Waiting, "the client has written nothing")
	})
}

// Mapped addresses name the same connection.
func TestAcksMapped(t *testing.T) {
	l := dialLoopback(t, "tcp", "[::]:0", "127.0.0.1")
	mapped := func(a netip.AddrPort) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr().As16()), a.Port())
	}
	require.True(t, mapped(l.peer).Addr().Is4In6())
	require.True(t, acks(mapped(l.local), mapped(l.peer)).Known)
}

// Of what is no connection nothing is known. In particular it is not the
// listener, on whose port the connection was: the kernel answers with that
// one for want of a better, and its send queue is the backlog's length.
func TestAcksUnknown(t *testing.T) {
	eachFamily(t, func(t *testing.T, l *link) {
		elsewhere := "192.0.2.1:4711" // RFC 5737
		if l.peer.Addr().Is6() {
			elsewhere = "[2001:db8::1]:4711"
		}
		port := netip.AddrPortFrom(l.peer.Addr(), l.peer.Port()^1)
		for name, peer := range map[string]netip.AddrPort{
			"another host": netip.MustParseAddrPort(elsewhere),
			"another port": port,
			"port 0":       netip.AddrPortFrom(l.peer.Addr(), 0),
		} {
			assert.False(t, acks(l.local, peer).Known, name)
		}

		require.NoError(t, l.server.SetLinger(0)) // so that there is no TIME_WAIT
		require.NoError(t, l.server.Close())
		assert.False(t, acks(l.local, l.peer).Known, "closed")

		require.NoError(t, l.listener.Close())
		assert.False(t, acks(l.local, l.peer).Known, "closed, and no listener")
		assert.False(t, acks(l.local, netip.MustParseAddrPort(elsewhere)).Known)
	})
}

// A Response knows its connection, whatever the protocol, and does not when a
// middleware has put the browser's address into RemoteAddr.
func TestResponseAcks(t *testing.T) {
	eachProtocol(t, func(t *testing.T, p protocol) {
		for remote, want := range map[string]bool{
			"":               true,
			"192.0.2.1:4711": false,
			"192.0.2.1:0":    false,
			"192.0.2.1":      false,
			"nonsense":       false,
		} {
			name := "as it is"
			if remote != "" {
				name = remote
			}
			t.Run(name, func(t *testing.T) {
				ts := p.serve(t, func(w http.ResponseWriter, r *http.Request) {
					if remote != "" {
						r.RemoteAddr = remote
					}
					out, _, err := NewResponse(w, r)
					if !assert.NoError(t, err) {
						return
					}
					out.Head()
					assert.NoError(t, out.Write([]byte("data: a\n\n")))
					if known := out.Acks().Known; assert.Equal(t, want, known) && known {
						until(func() bool { return out.Acks().Waiting == 0 })
					}
					out.Finish(Clean)
				})
				_, err := io.ReadAll(p.get(t, ts).Body)
				require.NoError(t, err)
			})
		}
	})
}

// A real connection whose peer is alive is not gone, even when its RemoteAddr
// is not the peer's: two tabs would throw each other out.
func TestAliveIsNotGone(t *testing.T) {
	for _, remote := range []string{"", "192.0.2.1:4711"} {
		h := startHub(t, settings())
		conns := make(chan *Conn)
		ready := make(chan struct{})
		serve := stream(t, h, func(c *Conn) { conns <- c })
		ts := protocols[1].serve(t, func(w http.ResponseWriter, r *http.Request) {
			if remote != "" {
				r.RemoteAddr = remote
			}
			serve(w, r)
			close(ready)
		})
		resp := protocols[1].get(t, ts)
		c := <-conns
		vanished := c.Poke()
		want := "\n:\nretry: 1000\n\n:\n\n"
		got := make([]byte, len(want))
		_, err := io.ReadFull(resp.Body, got)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
		gone := true
		for deadline := time.Now().Add(5 * time.Second); gone && time.Now().Before(deadline); { // an acknowledgement may take its time
			gone = vanished()
			runtime.Gosched()
		}
		assert.False(t, gone, "RemoteAddr %q", remote)
		c.End(Ending{Err: errOver})
		<-ready
	}
}

func BenchmarkAcks(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	require.NoError(b, err)
	defer client.Close()
	local := netip.MustParseAddrPort(client.LocalAddr().String())
	peer := netip.MustParseAddrPort(client.RemoteAddr().String())
	b.ReportAllocs()
	for b.Loop() {
		if !acks(local, peer).Known {
			b.Fatal("unknown")
		}
	}
}
