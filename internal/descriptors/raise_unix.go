//go:build unix

package descriptors

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// Raise raises the process's limit on open descriptors to the most that it may set for itself, and returns what it is then.
// Go's own start has done so where the system takes it; this also says how it ended. After an error the limit is as it was.
func Raise() (limit int, err error) {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return 0, fmt.Errorf("read the limit on descriptors: %w", err)
	}
	if r.Cur < r.Max {
		raised := unix.Rlimit{Cur: r.Max, Max: r.Max}
		if err = unix.Setrlimit(unix.RLIMIT_NOFILE, &raised); err == nil {
			r = raised
		} else {
			err = fmt.Errorf("raise the limit on descriptors from %d to %d: %w", r.Cur, r.Max, err)
		}
	}
	if r.Cur > math.MaxInt32 { // no limit
		return math.MaxInt32, err
	}
	return int(r.Cur), err
}
