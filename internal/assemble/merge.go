package assemble

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"batchd/internal/plan"
)

// merge reads several runs as one. It keeps its context because it is read as an io.Reader.
type merge struct {
	ctx context.Context
	// heads is a binary heap by line of the runs that have a text left.
	heads []*runReader
	// current is the run being read; nil before the first text and between texts.
	current *runReader
	// last is the line of the newest text, 0 before the first.
	last uint32
}

// runReader is at one text of a run, of which left bytes are still to be read.
type runReader struct {
	r    *bufio.Reader
	line uint32
	left int64
	// behind is how many bytes of the run follow the text.
	behind int64
}

// newMerge returns a merge that buffers about memory bytes in all.
func newMerge(ctx context.Context, file *plan.TempFile, runs []run, memory int64) (*merge, error) {
	m := &merge{ctx: ctx}
	share := int(max(memory/int64(len(runs)), textHeader))
	for _, r := range runs {
		section := io.NewSectionReader(file, r.offset, r.length)
		head := &runReader{r: bufio.NewReaderSize(section, int(min(int64(share), r.length))), behind: r.length}
		if _, err := head.advance(); err != nil {
			return nil, err
		}
		m.heads = append(m.heads, head)
	}
	for i := len(m.heads)/2 - 1; i >= 0; i-- {
		m.sink(i)
	}
	return m, nil
}

// advance moves to the run's next text and reports whether there is one.
func (r *runReader) advance() (bool, error) {
	if r.behind == 0 {
		return false, nil
	}
	header, err := r.r.Peek(textHeader)
	if err != nil {
		return false, fmt.Errorf("read temporary file: %w", noEOF(err))
	}
	r.line = binary.LittleEndian.Uint32(header)
	r.left = int64(binary.LittleEndian.Uint64(header[4:]))
	_, _ = r.r.Discard(textHeader) // cannot fail: Peek has buffered it
	r.behind -= textHeader + r.left
	if r.left < 0 || r.behind < 0 {
		return false, fmt.Errorf("read temporary file: text of line %d is damaged", r.line)
	}
	return true, nil
}

// noEOF makes the end of a file that should go on an error: texts must not vanish.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// next moves to the text of the lowest line, or returns io.EOF after the last one.
func (m *merge) next() error {
	if err := context.Cause(m.ctx); err != nil {
		return err
	}
	if m.current != nil {
		ok, err := m.current.advance()
		if err != nil {
			return err
		}
		if !ok {
			last := len(m.heads) - 1
			m.heads[0] = m.heads[last]
			m.heads = m.heads[:last]
		}
		m.sink(0)
		m.current = nil
	}
	if len(m.heads) == 0 {
		return io.EOF
	}
	if line := m.heads[0].line; line <= m.last {
		return fmt.Errorf("%w: line %d comes after line %d", errLostLines, line, m.last)
	}
	m.current = m.heads[0]
	m.last = m.current.line
	return nil
}

// Read returns bytes of the texts, in order.
func (m *merge) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for m.current == nil || m.current.left == 0 {
		if err := m.next(); err != nil {
			return 0, err
		}
	}
	n, err := m.current.r.Read(p[:min(int64(len(p)), m.current.left)])
	m.current.left -= int64(n)
	if err != nil {
		return n, fmt.Errorf("read temporary file: %w", noEOF(err))
	}
	return n, nil
}

// copyRun writes all texts, with their headers, as one run.
func (m *merge) copyRun(w *bufio.Writer) error {
	for {
		err := m.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := writeHeader(w, m.current.line, m.current.left); err != nil {
			return err
		}
		n, err := io.CopyN(w, m.current.r, m.current.left)
		m.current.left -= n
		if err != nil {
			return fmt.Errorf("copy line %d: %w", m.current.line, noEOF(err))
		}
	}
}

// sink moves the run at i down the heap to where it belongs.
func (m *merge) sink(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(m.heads); child++ {
			if m.heads[child].line < m.heads[least].line {
				least = child
			}
		}
		if least == i {
			return
		}
		m.heads[i], m.heads[least] = m.heads[least], m.heads[i]
		i = least
	}
}
