//go:build !unix

package httpserver

import "net"

// unread reports whether bytes have come over a connection that nobody has read yet, which cannot be seen here.
func unread(net.Conn) bool { return false }
