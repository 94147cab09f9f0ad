package listener

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// refuse keeps new connections from a listener: a socket filter drops the packets that begin one. Without
// it, closing the listener would reset connections made the moment before. Handshakes under way complete.
func refuse(l net.Listener) {
	socket, ok := l.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return
	}
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 13}, // the flags in TCP's header
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: 0x02, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0}, // SYN
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xffff},
	}
	_ = raw.Control(func(fd uintptr) {
		// If this is not permitted, connections of that moment are reset.
		_ = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
	})
}
