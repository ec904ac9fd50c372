package journal

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"batchd/internal/batch"
)

var (
	errOrder  = errors.New("lines are not in ascending order")
	errFilled = errors.New("filler's record is of another line, or not valid")
)

// lostError says that a line's record no longer holds.
type lostError struct{ line uint32 }

func (e lostError) Error() string {
	return fmt.Sprintf("line %d: checksum of its record does not hold", e.line)
}

// piece is one line of a segment.
type piece struct {
	line  uint32
	kind  batch.Kind
	usage batch.Usage
	size  int64 // of the text
	// text is the line's text if it is in memory; else it is that of the stored frame.
	text   []byte
	stored *frame
}

// finder returns the piece of a line that has a record.
type finder func(line uint32) (piece, bool, error)

// layout is the order of a segment: outputs, then errors, each in line order.
type layout struct {
	pieces []piece
	footer []byte
}

// arrange finds or fills every line. With ErrMissing it returns the lines that it could not.
func arrange(lines []uint32, fill Filler, find finder) (*layout, []uint32, error) {
	outputs, failures := make([]piece, 0, len(lines)), []piece(nil)
	var missing []uint32
	for i, line := range lines {
		if i > 0 && line <= lines[i-1] {
			return nil, nil, errOrder
		}
		p, ok, err := find(line)
		if err == nil && !ok && fill != nil {
			p, err = filled(fill, line)
		}
		switch {
		case err != nil:
			return nil, nil, fmt.Errorf("line %d: %w", line, err)
		case !ok && fill == nil:
			missing = append(missing, line)
		case p.kind == batch.KindOutput:
			outputs = append(outputs, p)
		default:
			failures = append(failures, p)
		}
	}
	if len(missing) > 0 {
		return nil, missing, fmt.Errorf("%d %w", len(missing), ErrMissing)
	}
	l := &layout{pieces: append(outputs, failures...)}
	l.footer = appendIndex(nil, l.pieces)
	return l, nil, nil
}

// filled returns the piece of a line that fill has a record for.
func filled(fill Filler, line uint32) (piece, error) {
	r, err := fill(line)
	if err != nil {
		return piece{}, err
	}
	defer func() { _ = r.Text.Close() }() // only read from
	if r.Line != line || !validKind(r.Kind) || r.Text.Len() > oneWrite {
		return piece{}, errFilled
	}
	text := make([]byte, r.Text.Len())
	if err := readFull(r.Text, text, 0); err != nil {
		return piece{}, err
	}
	if bytes.IndexByte(text, '\n') >= 0 {
		return piece{}, errLineBreak
	}
	return piece{line: line, kind: r.Kind, usage: r.Usage, size: int64(len(text)), text: text}, nil
}

// segment sums up the layout of a segment of this size and hash.
func (l *layout) segment(prefix string, size int64, sum []byte) Segment {
	s := Segment{Key: prefix + hex.EncodeToString(sum[:16]), Size: size}
	for _, p := range l.pieces {
		s.Usage = s.Usage.Add(p.usage)
		if p.kind == batch.KindOutput {
			s.OutputLines++
			s.OutputBytes += p.size + 1
			continue
		}
		s.ErrorLines++
		s.ErrorBytes += p.size + 1
		if p.kind == batch.KindFailed {
			s.Failed++
		}
	}
	return s
}

// bytes returns the whole segment; all texts are in memory.
func (l *layout) bytes() []byte {
	size := len(l.footer)
	for _, p := range l.pieces {
		size += len(p.text) + 1
	}
	b := make([]byte, 0, size)
	for _, p := range l.pieces {
		b = append(b, p.text...)
		b = append(b, '\n')
	}
	return append(b, l.footer...)
}

// reader returns the whole segment, its stored texts taken from src as they are read.
func (l *layout) reader(src io.ReaderAt) io.Reader {
	parts := make([]io.Reader, 0, 2*len(l.pieces)+1)
	for _, p := range l.pieces {
		if p.stored == nil {
			parts = append(parts, bytes.NewReader(p.text))
		} else {
			f := p.stored
			parts = append(parts, &textReader{
				src: src, line: f.line, off: f.textOff(), left: f.textLen(), sum: f.usageSum, want: f.bodySum,
			})
		}
		parts = append(parts, bytes.NewReader([]byte{'\n'}))
	}
	return io.MultiReader(append(parts, bytes.NewReader(l.footer))...)
}

// textReader reads the text of a stored frame and checks it: the frame may have changed since it was found. sum begins with
// the frame's usage, which stands before the text and under the same checksum.
type textReader struct {
	src       io.ReaderAt
	line      uint32
	off, left int64
	sum, want uint32
}

// Read implements io.Reader. The last bytes are handed out only if the checksum holds.
func (t *textReader) Read(p []byte) (int, error) {
	n := int(min(int64(len(p)), t.left))
	if err := readFull(t.src, p[:n], t.off); n > 0 && err != nil {
		return 0, err
	}
	t.sum = checksum(t.sum, p[:n])
	t.off += int64(n)
	t.left -= int64(n)
	if t.left > 0 {
		return n, nil
	}
	if t.sum != t.want {
		return 0, lostError{t.line}
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}
