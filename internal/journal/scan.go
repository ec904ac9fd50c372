package journal

import (
	"fmt"
	"io"
)

// Damage is a run of bytes of a journal that are no whole frame.
type Damage struct {
	Offset int64
	Length int64
	// Reason says what is wrong at Offset, for an operator.
	Reason string
	// Torn says that no good frame follows: what a crash in the middle of an append leaves.
	Torn bool
}

// String describes the damage for logs.
func (d Damage) String() string {
	return fmt.Sprintf("%d bytes at offset %d: %s", d.Length, d.Offset, d.Reason)
}

const (
	reasonHead = "no frame begins here"
	reasonBody = "checksum of the frame's contents does not hold"
	reasonCut  = "frame is cut short"
)

// window is how much of a file a scanner holds in memory.
const window = 128 << 10

// patience bounds the bytes, as a multiple of the file's size, that a scanner may spend on bodies whose checksum
// does not hold. Honest damage, where frames do not overlap, stays below 1.
const patience = 4

// scanner finds the whole frames of a journal in file order.
//
// After a bad frame it tries every offset from the next byte on. It does not trust the bad frame's length: a frame
// that was torn, cut off and overwritten can show its old head again after a power loss, and its length would
// then hide newer frames. A file that is made to be slow (heads that hold before bodies that do not, overlapping)
// runs out of patience, and from there on lengths are trusted; so the time is linear in the size of any file.
type scanner struct {
	src  io.ReaderAt
	salt uint32
	pos  int64
	size int64
	// whole is where the last whole frame ends, or where scanning began.
	whole  int64
	damage []Damage

	win    []byte
	winOff int64
	wasted int64
	// fault is the reason for the damage that begins at whole; "" while there is none.
	fault string
}

// newScanner returns a scanner for the frames in [start, size) of src.
func newScanner(src io.ReaderAt, salt uint32, start, size int64) *scanner {
	s := &scanner{src: src, salt: salt, pos: start, size: size, whole: start}
	s.win = make([]byte, 0, min(size, window))
	return s
}

// load reads all that is to be scanned into the window, so that every later view is good for ever.
func (s *scanner) load() error {
	s.win = make([]byte, s.size-s.pos)
	s.winOff = s.pos
	return readFull(s.src, s.win, s.pos)
}

// next returns the next whole frame; false at the end. An error is one of reading.
func (s *scanner) next() (frame, bool, error) {
	for s.pos+headSize <= s.size {
		f, fault, err := s.frameAt(s.pos)
		if err != nil {
			return frame{}, false, fmt.Errorf("read at offset %d: %w", s.pos, err)
		}
		if fault == "" {
			s.closeDamage(s.pos, false)
			s.pos = f.end()
			s.whole = s.pos
			return f, true, nil
		}
		s.noteFault(fault)
		s.pos++
		if fault == reasonBody && s.wasted > patience*s.size {
			s.pos = f.end()
		}
	}
	if s.whole < s.size {
		s.noteFault(reasonCut)
	}
	s.closeDamage(s.size, true)
	s.pos = s.size
	return frame{}, false, nil
}

func (s *scanner) noteFault(reason string) {
	if s.fault == "" {
		s.fault = reason
	}
}

func (s *scanner) closeDamage(end int64, torn bool) {
	if s.fault == "" {
		return
	}
	s.damage = append(s.damage, Damage{Offset: s.whole, Length: end - s.whole, Reason: s.fault, Torn: torn})
	s.fault = ""
}

// frameAt reads the frame at off and says what is wrong with it. When that is reasonBody, the frame's length
// is known.
func (s *scanner) frameAt(off int64) (f frame, fault string, err error) {
	b, err := s.view(off, headSize)
	if err != nil {
		return frame{}, "", err
	}
	h, ok := parseHead(b, s.salt)
	if !ok {
		return frame{}, reasonHead, nil
	}
	f = frame{head: h, off: off}
	if f.end() > s.size {
		return frame{}, reasonCut, nil
	}
	ok, err = s.readBody(&f)
	if err != nil {
		return frame{}, "", err
	}
	if !ok {
		s.wasted += int64(f.bodyLen)
		return f, reasonBody, nil
	}
	return f, "", nil
}

// readBody reads the body of f, fills what f says of it, and reports whether its checksum holds.
func (s *scanner) readBody(f *frame) (bool, error) {
	off, left := f.off+headSize, int64(f.bodyLen)
	b, err := s.view(off, min(left, maxUsage))
	if err != nil {
		return false, err
	}
	if f.typ == typeAdoption {
		copy(f.lease[:], b)
	} else {
		usage, n := parseUsage(b)
		if n == 0 {
			return false, nil
		}
		f.usage, f.usageLen, f.usageSum = usage, int64(n), checksum(0, b[:n])
	}
	var sum uint32
	for left > 0 {
		b, err := s.view(off, min(left, int64(cap(s.win))))
		if err != nil {
			return false, err
		}
		sum = checksum(sum, b)
		off += int64(len(b))
		left -= int64(len(b))
	}
	return sum == f.bodySum, nil
}

// view returns the n bytes at off; they are good until the next call. n must not exceed the window.
func (s *scanner) view(off, n int64) ([]byte, error) {
	if off < s.winOff || off+n > s.winOff+int64(len(s.win)) {
		s.win = s.win[:min(int64(cap(s.win)), s.size-off)]
		s.winOff = off
		if err := readFull(s.src, s.win, off); err != nil {
			s.win = s.win[:0]
			return nil, err
		}
	}
	at := off - s.winOff
	return s.win[at : at+n : at+n], nil
}
