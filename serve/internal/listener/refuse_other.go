//go:build !linux

package listener

import "net"

// refuse does nothing. Closing the listener resets connections made the moment before.
func refuse(net.Listener) {}
