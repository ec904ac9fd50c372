package journal

import (
	"bytes"
	"testing"
	"time"

	"batchd/internal/batch"
)

// countingReader counts how many bytes were read from it.
type countingReader struct {
	*bytes.Reader
	n int64
}

func (c *countingReader) ReadAt(p []byte, off int64) (int, error) {
	c.n += int64(len(p))
	return c.Reader.ReadAt(p, off)
}

// Heads that hold and claim everything up to the end, one after the other, make every offset look worth a checksum
// of the rest.
func TestSearchIsLinearInAnyFile(t *testing.T) {
	t.Parallel()
	const size, salt = 2 << 20, 77
	b := make([]byte, size)
	for off := 0; off+headSize+minUsage <= size; off += headSize {
		h := head{bodyLen: uint32(size - off - headSize), line: 1, typ: typeOutcome, kind: batch.KindOutput}
		h.put(b[off:], salt)
	}
	src := &countingReader{Reader: bytes.NewReader(b)}
	s := newScanner(src, salt, 0, size)
	began := time.Now()
	if f, ok, err := s.next(); ok || err != nil {
		t.Fatalf("next = %+v, %v, %v", f, ok, err)
	}
	if limit := int64((2*patience + 4) * size); src.n > limit {
		t.Errorf("read %d bytes, want at most %d; it took %v", src.n, limit, time.Since(began))
	}
	if len(s.damage) != 1 || s.damage[0].Length != size || !s.damage[0].Torn {
		t.Errorf("damage = %v", s.damage)
	}
}

// A torn frame that was cut off and overwritten may show its head again after a power loss; newer frames then
// stand inside of what it claims.
func TestOldHeadDoesNotHideTheFramesBehindIt(t *testing.T) {
	t.Parallel()
	const salt = 5
	old := make([]byte, headSize)
	head{bodyLen: 400, line: 9, typ: typeOutcome, kind: batch.KindOutput}.put(old, salt)
	b := append(old, make([]byte, 100)...)
	var want []uint32
	for line := range uint32(10) {
		body := appendUsage(nil, batch.Usage{})
		body = append(body, bytes.Repeat([]byte{'x'}, 60)...)
		h := make([]byte, headSize)
		head{
			bodyLen: uint32(len(body)), bodySum: checksum(0, body), line: line + 1,
			typ: typeOutcome, kind: batch.KindOutput,
		}.put(h, salt)
		b = append(append(b, h...), body...)
		want = append(want, line+1)
	}
	s := newScanner(bytes.NewReader(b), salt, 0, int64(len(b)))
	for _, line := range want {
		if f, ok, err := s.next(); !ok || err != nil || f.line != line {
			t.Fatalf("next = line %d, %v, %v; want line %d", f.line, ok, err, line)
		}
	}
	if _, ok, _ := s.next(); ok || len(s.damage) != 1 || s.damage[0].Torn {
		t.Errorf("damage = %v", s.damage)
	}
}
