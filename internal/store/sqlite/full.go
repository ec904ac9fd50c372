package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"batchd/internal/store"
)

// Reserve is room on the disk of the store that is kept for writes without which a full disk stays full. Its methods are
// called by one goroutine at a time.
type Reserve interface {
	// Release gives the room to whoever writes next, and reports whether there was any.
	Release() bool
	// Refill takes the room that is missing, as far as there is some. It is called after each transaction, and so has to be
	// quick where nothing is missing.
	Refill()
}

// noReserve is none.
type noReserve struct{}

// Release implements Reserve.
func (noReserve) Release() bool { return false }

// Refill implements Reserve.
func (noReserve) Refill() {}

// writeReserved is write for what makes room and for what records work that is done: on a full disk it may use the reserve.
// Its fn may be run twice.
func (s *Store) writeReserved(ctx context.Context, fn func(context.Context, *tx) error) error {
	return s.run(ctx, &step{fn: fn, reserved: true})
}

// commit runs steps in one transaction. One that fails or changes nothing is undone alone; a fault of the transaction itself
// fails all of them. Where the disk is full, those that may use the reserve are run again with it; the error of the others
// wraps store.ErrNoSpace. It reports whether anything was committed.
func (w *writer) commit(group []*step) bool {
	changed := w.attempt(group)
	var starved []*step
	for _, st := range group {
		if st.err != nil && w.outOfSpace(st.err) {
			st.err = fmt.Errorf("%w: %w", store.ErrNoSpace, st.err)
			if st.reserved {
				starved = append(starved, st)
			}
		}
	}
	if len(starved) > 0 && w.reserve.Release() {
		changed = w.attempt(starved) || changed
		for _, st := range starved {
			if st.err != nil && w.outOfSpace(st.err) {
				st.err = fmt.Errorf("%w: %w", store.ErrNoSpace, st.err)
			}
		}
		// A log that is folded in is written over from its beginning, which takes no room: without this, each such write would
		// leave less of the reserve. What cannot be folded now is when the log is long.
		_, _ = w.checkpoint(starved[0].ctx)
	}
	w.reserve.Refill()
	return changed
}

// outOfSpace reports whether err comes from a disk without room, or from a quota of the file system that is used up. SQLite
// tells the latter, and a shortage met while it maps memory, as an error of the disk like any other: then the disk is asked.
func (w *writer) outOfSpace(err error) bool {
	var fault *driver.Error
	if !errors.As(err, &fault) {
		return false
	}
	switch fault.Code() & 0xff {
	case codes.SQLITE_FULL:
		return true
	case codes.SQLITE_IOERR:
		return diskFull(w.path)
	default:
		return false
	}
}

// fullProbe is how many bytes are written to see whether a disk takes some: more than the rest of a block that is there.
const fullProbe = 64 << 10

// diskFull reports whether the disk that holds the file at path has no room for a small file beside it.
func diskFull(path string) bool {
	probe := path + ".probe"
	f, err := os.OpenFile(probe, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err == nil {
		_, err = f.Write(make([]byte, fullProbe))
		if err == nil {
			err = f.Sync()
		}
		err = errors.Join(err, f.Close(), os.Remove(probe))
	}
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
