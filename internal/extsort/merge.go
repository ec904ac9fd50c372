package extsort

import (
	"bufio"
	"fmt"
	"io"
)

// run is a sorted stretch of a temporary file, in bytes: records, each followed by its payload if there are payloads.
type run struct{ offset, length int64 }

// writeRecord writes a record without its payload. It encodes into the writer's own buffer, which must have room for
// it.
func writeRecord(w *bufio.Writer, r Record) error {
	if w.Available() < RecordSize {
		if err := w.Flush(); err != nil {
			return err
		}
	}
	_, err := w.Write(r.AppendTo(w.AvailableBuffer()))
	return err
}

// merge yields the records of several runs in order.
type merge struct {
	// heads is a binary heap of the runs that have a record left, by that record.
	heads []*runReader
	// taken says that the record of heads[0] was returned, so that the next call moves on from it. Until then its
	// payload can be read.
	taken bool
}

// newMerge returns a merge that buffers about memory bytes in all, shared evenly.
func newMerge(file *tempFile, runs []run, memory int64, payloads bool) (*merge, error) {
	m := &merge{heads: make([]*runReader, 0, len(runs))}
	share := max(memory/int64(len(runs))/RecordSize, 1) * RecordSize
	for i, r := range runs {
		head := &runReader{file: file, left: r, buf: make([]byte, min(share, r.length)), payloads: payloads, rank: i}
		if _, err := head.advance(); err != nil { // no run is empty
			return nil, err
		}
		m.heads = append(m.heads, head)
	}
	for i := len(m.heads)/2 - 1; i >= 0; i-- {
		m.sink(i)
	}
	return m, nil
}

// next returns the smallest record, or io.EOF when there is none. Of equal ones that of the earlier run comes first.
func (m *merge) next() (Record, error) {
	if m.taken {
		ok, err := m.heads[0].advance()
		if err != nil {
			return Record{}, err
		}
		if !ok {
			last := len(m.heads) - 1
			m.heads[0] = m.heads[last]
			m.heads = m.heads[:last]
		}
		m.sink(0)
		m.taken = false
	}
	if len(m.heads) == 0 {
		return Record{}, io.EOF
	}
	m.taken = true
	head := m.heads[0]
	r := head.head
	if head.payloads {
		r.D = uint64(head.payload) // as it was added; nothing of the payload was read yet
	}
	return r, nil
}

// Read reads the payload of the record that next has returned last, and returns io.EOF at its end.
func (m *merge) Read(p []byte) (int, error) {
	if !m.taken {
		return 0, io.EOF
	}
	return m.heads[0].Read(p)
}

// copyPayload writes the payload of the record that next has returned last.
func (m *merge) copyPayload(w *bufio.Writer) error {
	for r := m.heads[0]; r.payload > 0; {
		chunk, err := r.chunk()
		if err != nil {
			return err
		}
		if _, err := w.Write(chunk); err != nil {
			return err
		}
		r.pass(len(chunk))
	}
	return nil
}

// sink moves the run at i down the heap to where it belongs.
func (m *merge) sink(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(m.heads); child++ {
			if m.heads[child].head.Compare(m.heads[least].head) < 0 {
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

// runReader stands at one record of a run.
type runReader struct {
	file *tempFile
	// left is the part of the run that is still on disk only.
	left run
	// buf is what is read into, unread the part of it behind the record.
	buf    []byte
	unread []byte
	// head is the record. If there are payloads, payload is how much of its payload is still to be read, and head.D, which
	// is compared last, the rank of the run: the earlier of equal records is in the run that was written earlier.
	head     Record
	payloads bool
	payload  int64
	rank     int
}

// advance moves to the next record and reports whether there is one.
func (r *runReader) advance() (bool, error) {
	if r.payload > 0 { // pass over what was not read of it, and on disk without reading it
		r.pass(int(min(r.payload, int64(len(r.unread)))))
		r.left = run{offset: r.left.offset + r.payload, length: r.left.length - r.payload}
		r.payload = 0
	}
	if len(r.unread) == 0 && r.left.length == 0 {
		return false, nil
	}
	if len(r.unread) < RecordSize {
		if err := r.fill(); err != nil {
			return false, err
		}
	}
	if len(r.unread) < RecordSize {
		return false, r.damaged()
	}
	r.head, r.unread = DecodeRecord(r.unread), r.unread[RecordSize:]
	if r.payloads {
		r.payload = int64(r.head.D)
		if r.payload < 0 || r.payload > int64(len(r.unread))+r.left.length {
			return false, r.damaged()
		}
		r.head.D = uint64(r.rank)
	}
	return true, nil
}

func (r *runReader) damaged() error {
	return fmt.Errorf("temporary file %s is damaged before byte %d", r.file.name, r.left.offset)
}

// fill reads more of the run into the buffer, behind what was not read of it.
func (r *runReader) fill() error {
	kept := copy(r.buf, r.unread)
	n := min(int64(len(r.buf)-kept), r.left.length)
	if err := r.file.readFull(r.buf[kept:kept+int(n)], r.left.offset); err != nil {
		return err
	}
	r.unread = r.buf[:kept+int(n)]
	r.left = run{offset: r.left.offset + n, length: r.left.length - n}
	return nil
}

// chunk returns some of the payload that was not read yet; there is some.
func (r *runReader) chunk() ([]byte, error) {
	if len(r.unread) == 0 {
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
	return r.unread[:min(int64(len(r.unread)), r.payload)], nil
}

// pass moves past n bytes of the payload that are in the buffer.
func (r *runReader) pass(n int) {
	r.unread = r.unread[n:]
	r.payload -= int64(n)
}

// Read reads the payload, and returns io.EOF at its end.
func (r *runReader) Read(p []byte) (int, error) {
	if r.payload == 0 {
		return 0, io.EOF
	}
	chunk, err := r.chunk()
	if err != nil {
		return 0, err
	}
	n := copy(p, chunk)
	r.pass(n)
	return n, nil
}
