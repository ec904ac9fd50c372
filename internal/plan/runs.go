package plan

import (
	"fmt"
	"io"
)

// run is a sorted stretch of a run file, in bytes.
type run struct{ offset, length int64 }

// runFile is a temporary file of runs, one behind the other.
type runFile struct {
	*TempFile
	buf []byte
}

func createRuns(t Temp) (*runFile, error) {
	file, err := t.Create()
	if err != nil {
		return nil, err
	}
	return &runFile{TempFile: file}, nil
}

// append writes records, which are in order, to the end of the file.
func (f *runFile) append(records []Record) (run, error) {
	added := run{offset: f.Size()}
	for len(records) > 0 {
		n := min(len(records), mergeBuffer/RecordSize)
		f.buf = f.buf[:0]
		for _, r := range records[:n] {
			f.buf = r.appendTo(f.buf)
		}
		records = records[n:]
		if _, err := f.Write(f.buf); err != nil {
			return run{}, err
		}
	}
	added.length = f.Size() - added.offset
	return added, nil
}

// merge returns a merge of some of the file's runs that buffers about memory bytes in all.
func (f *runFile) merge(runs []run, memory int64) *merge {
	m := &merge{}
	share := max(memory/int64(len(runs))/RecordSize, 1) * RecordSize
	for _, r := range runs {
		m.heads = append(m.heads, &runReader{file: f, left: r, buf: make([]byte, min(share, r.length))})
	}
	return m
}

// runReader yields the records of one run.
type runReader struct {
	file io.ReaderAt
	// left is the part of the run that is still on disk only.
	left run
	// buf is what is read into; unread is the part of it behind head, the next record to be yielded.
	buf    []byte
	unread []byte
	head   Record
}

// advance moves head to the next record and reports whether there is one. A file that has become shorter is an
// error: records must not vanish.
func (r *runReader) advance() (bool, error) {
	if len(r.unread) == 0 {
		n := min(int64(len(r.buf)), r.left.length)
		if n == 0 {
			return false, nil
		}
		if got, err := r.file.ReadAt(r.buf[:n], r.left.offset); int64(got) < n {
			return false, fmt.Errorf("read sort file: %w", err)
		}
		r.unread = r.buf[:n]
		r.left = run{offset: r.left.offset + n, length: r.left.length - n}
	}
	r.head, r.unread = decodeRecord(r.unread), r.unread[RecordSize:]
	return true, nil
}

// merge yields the records of several runs in order. heads is a binary heap by the runs' next records.
type merge struct{ heads []*runReader }

// start reads the first records and drops empty runs.
func (m *merge) start() error {
	var heads []*runReader
	for _, r := range m.heads {
		ok, err := r.advance()
		if err != nil {
			return err
		}
		if ok {
			heads = append(heads, r)
		}
	}
	m.heads = heads
	for i := len(heads)/2 - 1; i >= 0; i-- {
		m.sink(i)
	}
	return nil
}

// next returns the smallest record, or io.EOF when there is none.
func (m *merge) next() (Record, error) {
	if len(m.heads) == 0 {
		return Record{}, io.EOF
	}
	top := m.heads[0]
	smallest := top.head
	ok, err := top.advance()
	if err != nil {
		return Record{}, err
	}
	if !ok {
		last := len(m.heads) - 1
		m.heads[0] = m.heads[last]
		m.heads = m.heads[:last]
	}
	m.sink(0)
	return smallest, nil
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
