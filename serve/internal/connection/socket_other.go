//go:build !linux || race || asan || msan

package connection

import "net"

// quickly returns the connection itself.
func quickly(conn net.Conn) net.Conn { return conn }
