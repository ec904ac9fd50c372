//go:build unix

package httpapi_test

import "golang.org/x/sys/unix"

func setReceiveBuffer(fd uintptr, size int) {
	_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, size) // larger costs the test its point only
}
