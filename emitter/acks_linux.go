package emitter

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Layout of the kernel's inet_diag messages (sock_diag(7), linux/inet_diag.h,
// linux/tcp.h): a netlink header, then a request that names one socket by its
// two ends, or an answer that has the same ends 4 bytes into it and then five
// counters, and after them attributes, of which one is a struct tcp_info.
const (
	diagHeader  = unix.SizeofNlMsghdr
	diagRequest = diagHeader + 56
	diagAnswer  = diagHeader + 72
	diagState   = diagHeader + 1
	diagWqueue  = diagHeader + 4 + 48 + 8
	diagInfo    = 2   // INET_DIAG_INFO
	bytesAcked  = 120 // in tcp_info
	tcpListen   = 10  // net/tcp_states.h
)

// acks asks the kernel about the TCP connection between local and peer, as
// ss(8) does: unlike the SIOCOUTQ call that needs no descriptor, which net/http
// does not give away for a response in use. It takes some ten microseconds and
// no privileges.
func acks(local, peer netip.AddrPort) (a Acks) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return a
	}
	defer unix.Close(fd)
	// The kernel answers within the call to send; this is for one that does not.
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000})
	if unix.Sendto(fd, diagQuestion(local, peer), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}) != nil {
		return a
	}
	var buf [1024]byte
	n, _, err := unix.Recvfrom(fd, buf[:], 0)
	answer := buf[:max(n, 0)]
	switch {
	case err != nil || len(answer) < diagAnswer || binary.NativeEndian.Uint16(answer[4:]) != unix.SOCK_DIAG_BY_FAMILY:
		return a // no such connection: RemoteAddr is another's
	case answer[diagState] == tcpListen:
		return a // nor here: the kernel gives the port's listener for it
	}
	a.Known = true
	a.Waiting = int(binary.NativeEndian.Uint32(answer[diagWqueue:]))
	if info := attribute(answer[diagAnswer:], diagInfo); len(info) >= bytesAcked+8 {
		a.Total = binary.NativeEndian.Uint64(info[bytesAcked:])
	}
	return a
}

// attribute finds one of netlink's attributes: length and type in two bytes
// each, then the value, up to a multiple of four.
func attribute(b []byte, kind uint16) []byte {
	for len(b) >= 4 {
		n := int(binary.NativeEndian.Uint16(b))
		if n < 4 || n > len(b) {
			return nil
		}
		if binary.NativeEndian.Uint16(b[2:]) == kind {
			return b[4:n]
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	return nil
}

func diagQuestion(local, peer netip.AddrPort) []byte {
	src, dst := local.Addr().Unmap(), peer.Addr().Unmap()
	family := byte(unix.AF_INET)
	if src.Is6() || dst.Is6() {
		family = unix.AF_INET6
	}
	b := make([]byte, diagRequest)
	binary.NativeEndian.PutUint32(b[0:], diagRequest)
	binary.NativeEndian.PutUint16(b[4:], unix.SOCK_DIAG_BY_FAMILY)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST)
	r := b[diagHeader:]
	r[0], r[1], r[2] = family, unix.IPPROTO_TCP, 1<<(diagInfo-1)
	binary.NativeEndian.PutUint32(r[4:], ^uint32(0)) // in any state
	id := r[8:]
	binary.BigEndian.PutUint16(id[0:], local.Port())
	binary.BigEndian.PutUint16(id[2:], peer.Port())
	copy(id[4:20], src.AsSlice())
	copy(id[20:36], dst.AsSlice())
	binary.NativeEndian.PutUint64(id[40:], ^uint64(0)) // no cookie
	return b
}
