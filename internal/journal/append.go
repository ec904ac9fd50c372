package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"batchd/internal/batch"
	"batchd/internal/vfs"
)

const (
	// oneWrite is the largest frame that is built in memory and written at once. A larger one is written in
	// pieces: if they do not all arrive, its checksum does not hold.
	oneWrite = 1 << 20
	// copyChunk is the size of the pieces in which large texts and files are copied.
	copyChunk = 64 << 10
	// keepLimit bounds the frames one journal keeps in memory until they are synced. What does not fit is read back from
	// the file if it is ever needed.
	keepLimit = 1 << 20
	// idleBuffer is the largest buffer that is kept for later once its frames are durable.
	idleBuffer = 256 << 10
)

var (
	errRecord    = errors.New("record has no line number or no valid kind")
	errTooLong   = fmt.Errorf("text is longer than the %d bytes a frame can hold", maxBody-maxUsage)
	errLineBreak = errors.New("text holds a line break")
)

// Append adds the record to the journal. Once it returns nil, the record survives kill -9; a Sync that begins
// later makes it survive power loss. On an error the record does not count: the file is cut back to its last
// whole frame, at the latest before the next append, and the journal can be used on. A record that failed may
// still come back after power loss, where the cut was not durable; it is a true outcome all the same.
//
// The caller keeps r.Text. A text with a line break is refused, as it would be two lines of a result file.
func (j *Journal) Append(r Record) error {
	if err := j.append(r); err != nil {
		return fmt.Errorf("append line %d to journal %s: %w", r.Line, j.path, err)
	}
	return nil
}

func (j *Journal) append(r Record) error {
	if r.Line == 0 || !validKind(r.Kind) {
		return errRecord
	}
	if r.Text.Len() > maxBody-maxUsage {
		return errTooLong
	}
	text := r.Text.Bytes()
	if text != nil && len(text) <= oneWrite-headSize-maxUsage {
		if bytes.IndexByte(text, '\n') >= 0 {
			return errLineBreak
		}
		j.mu.Lock()
		defer j.mu.Unlock()
		h := head{typ: typeOutcome, kind: r.Kind, line: r.Line}
		return j.appendSmallLocked(h, r.Usage, text)
	}
	var prefix [headSize + maxUsage]byte
	lead := appendUsage(prefix[:headSize], r.Usage)
	sum, err := checkText(r.Text, checksum(0, lead[headSize:]))
	if err != nil {
		return err
	}
	h := head{
		bodyLen: uint32(int64(len(lead)-headSize) + r.Text.Len()),
		bodySum: sum, line: r.Line, typ: typeOutcome, kind: r.Kind,
	}
	h.put(lead, j.salt)
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.appendLargeLocked(lead, r.Text)
}

// appendSmallLocked builds a frame at the end of the memory of unsynced frames, where it stays until it is
// synced, and writes it at once.
func (j *Journal) appendSmallLocked(h head, u batch.Usage, text []byte) error {
	f, err := j.cutLocked()
	if err != nil {
		return err
	}
	at := len(j.fresh.buf)
	b := append(j.fresh.buf, make([]byte, headSize)...)
	if h.typ == typeOutcome {
		b = appendUsage(b, u)
	}
	b = append(b, text...)
	built := b[at:]
	h.bodyLen = uint32(len(built) - headSize)
	h.bodySum = checksum(0, built[headSize:])
	h.put(built, j.salt)
	j.fresh.buf = b[:at]
	if _, err := f.Write(built); err != nil {
		return j.undoLocked(f, err)
	}
	if len(b) <= keepLimit {
		j.fresh.buf = b
		j.fresh.keep(j.size, at)
	}
	j.size += int64(len(built))
	j.frames++
	return nil
}

// appendLargeLocked writes a frame whose head and usage are in lead and whose text follows from elsewhere.
func (j *Journal) appendLargeLocked(lead []byte, text batch.Body) error {
	f, err := j.cutLocked()
	if err != nil {
		return err
	}
	if _, err := f.Write(lead); err != nil {
		return j.undoLocked(f, err)
	}
	if b := text.Bytes(); b != nil {
		_, err = f.Write(b)
	} else {
		err = eachChunk(text, text.Len(), func(b []byte) error {
			_, err := f.Write(b)
			return err
		})
	}
	if err != nil {
		return j.undoLocked(f, err)
	}
	j.size += int64(len(lead)) + text.Len()
	j.frames++
	return nil
}

// cutLocked returns the file, ready for the next frame: it ends where the last whole frame ends.
func (j *Journal) cutLocked() (vfs.File, error) {
	f, err := j.fileLocked()
	if err != nil || !j.ragged {
		return f, err
	}
	if err := f.Truncate(j.size); err != nil {
		return nil, fmt.Errorf("cut back to offset %d: %w", j.size, err)
	}
	j.ragged = false
	return f, nil
}

// undoLocked cuts off what a failed append has left and returns the append's error. If the cut fails too, the
// next append tries it again; meanwhile no reader looks behind size.
func (j *Journal) undoLocked(f vfs.File, cause error) error {
	j.ragged = f.Truncate(j.size) != nil
	return cause
}

// checkText continues sum over the text and refuses a line break in it.
func checkText(text batch.Body, sum uint32) (uint32, error) {
	check := func(b []byte) error {
		if bytes.IndexByte(b, '\n') >= 0 {
			return errLineBreak
		}
		sum = checksum(sum, b)
		return nil
	}
	if b := text.Bytes(); b != nil {
		err := check(b)
		return sum, err
	}
	err := eachChunk(text, text.Len(), check)
	return sum, err
}

// eachChunk hands the first n bytes of r to fn, a piece at a time; fn must not keep it.
func eachChunk(r io.ReaderAt, n int64, fn func([]byte) error) error {
	b := make([]byte, min(n, copyChunk))
	for off := int64(0); off < n; off += int64(len(b)) {
		b = b[:min(n-off, copyChunk)]
		if err := readFull(r, b, off); err != nil {
			return err
		}
		if err := fn(b); err != nil {
			return err
		}
	}
	return nil
}

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
