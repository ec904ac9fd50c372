//go:build !linux

package upstream

import "syscall"

// boundUnacknowledged does nothing here: only Linux can bound how long sent bytes stay unacknowledged. Elsewhere a
// request to a host that vanished ends with its first-byte timeout.
func boundUnacknowledged(_, _ string, _ syscall.RawConn) error { return nil }
