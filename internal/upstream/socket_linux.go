package upstream

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// unacknowledgedMillis is how long sent bytes may stay unacknowledged. Keepalive probes do not run while bytes are
// under way, so without this a request sent to a host that vanished waits for the kernel's quarter of an hour.
const unacknowledgedMillis = 45_000

func boundUnacknowledged(_, _ string, c syscall.RawConn) error {
	var err error
	cerr := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, unacknowledgedMillis)
	})
	if cerr != nil {
		return cerr
	}
	return err
}
