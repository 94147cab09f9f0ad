//go:build !linux

package listener

import "net"

// refuse does nothing: a connection that is made in the moment before the listener closes is reset.
func refuse(net.Listener) {}
