package journal

const (
	// keepLimit bounds the frames one journal keeps in memory until they are synced. What does not fit is read
	// back from the file if it is ever needed.
	keepLimit = 1 << 20
	// idleBuffer is the largest buffer that is kept for later once its frames are durable.
	idleBuffer = 256 << 10
)

// unsynced holds copies of frames that are not durable yet. After a failed fsync the page cache may have lost
// them.
type unsynced struct {
	buf  []byte
	runs []run
}

// run is a piece of unsynced.buf, up to the next run's beginning, that stands at off in the file.
type run struct {
	off   int64
	start int
}

// keep records that what buf holds from at on is a frame that stands at off in the file.
func (u *unsynced) keep(off int64, at int) {
	if n := len(u.runs); n > 0 {
		if last := u.runs[n-1]; off-last.off == int64(at-last.start) {
			return
		}
	}
	u.runs = append(u.runs, run{off: off, start: at})
}

// each hands every run of bytes to fn, in file order.
func (u *unsynced) each(fn func(off int64, b []byte) error) error {
	for i, r := range u.runs {
		end := len(u.buf)
		if i+1 < len(u.runs) {
			end = u.runs[i+1].start
		}
		if err := fn(r.off, u.buf[r.start:end]); err != nil {
			return err
		}
	}
	return nil
}

// reset forgets the frames.
func (u *unsynced) reset() {
	u.runs = u.runs[:0]
	u.buf = u.buf[:0]
	if cap(u.buf) > idleBuffer {
		u.buf = nil
	}
}
