//go:build unix

package httpserver

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// unread reports whether bytes have come over a connection that nobody has read yet.
func unread(c net.Conn) bool {
	socket, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	n := 0
	err = raw.Control(func(fd uintptr) {
		n, _, _ = unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT) // an error is that there is nothing
	})
	return err == nil && n > 0
}
