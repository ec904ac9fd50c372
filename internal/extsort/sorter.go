// Package extsort sorts more than fits in memory: records of a fixed size, each with a payload of any length behind it
// if that is wanted. It promises a stable order, memory that depends neither on the number of records nor on the length
// of a payload, and no disk operation while everything fits in memory. A fault of the disk is returned, never a record
// left out; its files hold nothing that must survive a crash, and so have no checksums. It knows nothing of what the
// records mean.
package extsort

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
)

const (
	// defaultMemory bounds a Sorter whose options name no bound.
	defaultMemory = 8 << 20
	// minMemory holds a few records, so that a sorter with a tiny bound still makes progress.
	minMemory = 4 * RecordSize
	// bufferSize is the smallest read that a merge should make, and the size of each write: larger ones gain little on
	// any disk, smaller ones cost a call each. More runs than have such a buffer are merged in several passes.
	bufferSize = 128 << 10
	// perPayload is what a record with a payload takes in memory beside the payload's bytes: itself, and where its
	// payload ends.
	perPayload = RecordSize + 8
)

// Options configures a Sorter.
type Options struct {
	Temp Temp
	// MaxMemory bounds the records, payloads and read buffers held at a time, in bytes; 0 means 8 MiB. A write buffer of
	// 128 KiB comes on top once something is written.
	MaxMemory int64
	// Payloads gives every record a payload.
	Payloads bool
}

// Sorter sorts any number of records in bounded memory: records that do not fit are written to a temporary file
// in sorted runs, which Next merges. Records that arrive in order make one run, which is never merged; a payload that
// does not fit in memory is copied past it. A Sorter is for one goroutine: Add all records, Sort once, Next until
// io.EOF, and Close in any case. After an error only Close may be called.
type Sorter struct {
	temp     Temp
	memory   int64
	payloads bool
	length   int64

	// records are those not yet written out; ordered says that each was added after a smaller or equal one. In a sorter
	// with payloads a record's D is the index of its end in ends while it is here. That ascends as records are added, so
	// comparing whole records keeps equal ones in that order.
	records []Record
	ordered bool
	// arena holds the payloads of records one behind the other, in the order in which they were added; ends says where
	// each of them ends.
	arena []byte
	ends  []int

	// file holds the runs; it and writer, which appends to it, are nil while everything fits in memory.
	file   *tempFile
	writer *bufio.Writer
	runs   []run
	// last is the largest record of the newest run.
	last Record

	// merged yields the records of the runs once Sort has returned; without a file records itself is consumed, and unread
	// is what is left of the payload of the record that was returned last.
	merged *merge
	unread []byte
}

// New returns an empty sorter.
func New(o Options) *Sorter {
	memory := o.MaxMemory
	if memory <= 0 {
		memory = defaultMemory
	}
	return &Sorter{temp: o.Temp, memory: max(memory, minMemory), payloads: o.Payloads, ordered: true}
}

// Len returns how many records were added.
func (s *Sorter) Len() int64 { return s.length }

// Add takes in one record, and in a sorter with payloads the next r.D bytes of payload, which is nil in any other. It
// blocks on the disk when memory is full. A payload that ends too soon is io.ErrUnexpectedEOF.
func (s *Sorter) Add(r Record, payload io.Reader) error {
	s.length++
	if s.payloads {
		return s.addPayload(r, payload)
	}
	if len(s.records) >= s.maxRecords() {
		if err := s.spill(); err != nil {
			return err
		}
	}
	s.keep(r)
	return nil
}

// maxRecords is how many records fit in memory if nothing else is there.
func (s *Sorter) maxRecords() int { return int(s.memory / RecordSize) }

// keep holds a record in memory, where there is room for it. The memory for records doubles until the bound is reached.
func (s *Sorter) keep(r Record) {
	n := len(s.records)
	if s.ordered && n > 0 && r.Compare(s.records[n-1]) < 0 {
		s.ordered = false
	}
	if n == cap(s.records) {
		grown := make([]Record, n, min(max(2*n, 256), s.maxRecords()))
		copy(grown, s.records)
		s.records = grown
	}
	s.records = append(s.records, r)
}

// addPayload adds a record of a sorter with payloads.
func (s *Sorter) addPayload(r Record, payload io.Reader) error {
	length := int64(r.D)
	if length < 0 {
		return fmt.Errorf("sort: payload of %d bytes", r.D)
	}
	used := int64(len(s.arena) + perPayload*len(s.records))
	if length > s.memory-perPayload-used {
		if err := s.spill(); err != nil {
			return err
		}
	}
	if length > s.memory-perPayload {
		return s.addLong(r, payload)
	}
	start := len(s.arena)
	if n := start + int(length); n > cap(s.arena) { // doubling costs less, but the bound is the caller's
		grown := make([]byte, start, min(max(2*cap(s.arena), n), int(s.memory)))
		copy(grown, s.arena)
		s.arena = grown
	}
	s.arena = s.arena[:start+int(length)]
	if _, err := io.ReadFull(payload, s.arena[start:]); err != nil {
		return fmt.Errorf("read payload: %w", noEOF(err))
	}
	r.D = uint64(len(s.ends))
	s.ends = append(s.ends, len(s.arena))
	s.keep(r)
	return nil
}

// payload returns the payload of a record that is in memory.
func (s *Sorter) payload(r Record) []byte {
	start := 0
	if r.D > 0 {
		start = s.ends[r.D-1]
	}
	return s.arena[start:s.ends[r.D]]
}

// addLong copies a record whose payload is too long for memory straight to the file. Nothing else is in memory.
func (s *Sorter) addLong(r Record, payload io.Reader) error {
	if err := s.openRun(r); err != nil {
		return err
	}
	if err := writeRecord(s.writer, r); err != nil {
		return err
	}
	if _, err := io.CopyN(s.writer, payload, int64(r.D)); err != nil {
		return fmt.Errorf("copy payload: %w", noEOF(err))
	}
	return s.closeRun(r)
}

// spill writes the records in memory to the file, in order, and forgets them.
func (s *Sorter) spill() error {
	if len(s.records) == 0 {
		return nil
	}
	s.sortRecords()
	if err := s.openRun(s.records[0]); err != nil {
		return err
	}
	for _, r := range s.records {
		var payload []byte
		if s.payloads {
			payload = s.payload(r)
			r.D = uint64(len(payload))
		}
		if err := writeRecord(s.writer, r); err != nil {
			return err
		}
		if _, err := s.writer.Write(payload); err != nil {
			return err
		}
	}
	last := s.records[len(s.records)-1]
	s.records, s.arena, s.ends, s.ordered = s.records[:0], s.arena[:0], s.ends[:0], true
	return s.closeRun(last)
}

func (s *Sorter) sortRecords() {
	if !s.ordered {
		slices.SortFunc(s.records, Record.Compare)
		s.ordered = true
	}
}

// openRun begins to write records in order, the smallest of which is first: to the newest run if they may follow what
// is there, else as a new one.
func (s *Sorter) openRun(first Record) error {
	if s.file == nil {
		file, err := s.temp.create()
		if err != nil {
			return err
		}
		s.file, s.writer = file, bufio.NewWriterSize(file, bufferSize)
	}
	if len(s.runs) == 0 || s.key(first).Compare(s.last) < 0 {
		s.runs = append(s.runs, run{offset: s.file.size})
	}
	return nil
}

// closeRun ends what openRun began.
func (s *Sorter) closeRun(last Record) error {
	if err := s.writer.Flush(); err != nil {
		return err
	}
	newest := &s.runs[len(s.runs)-1]
	newest.length = s.file.size - newest.offset
	s.last = s.key(last)
	return nil
}

// key returns the part of a record that is compared.
func (s *Sorter) key(r Record) Record {
	if s.payloads {
		r.D = 0
	}
	return r
}

// Sort ends the adding. After it Next returns the records in order.
func (s *Sorter) Sort(ctx context.Context) error {
	if s.file == nil {
		s.sortRecords()
		return nil
	}
	if err := s.spill(); err != nil {
		return err
	}
	s.records, s.arena, s.ends = nil, nil, nil
	for len(s.runs) > s.fanIn() {
		if err := s.reduce(ctx); err != nil {
			return err
		}
	}
	s.writer = nil
	var err error
	s.merged, err = newMerge(s.file, s.runs, s.memory, s.payloads)
	return err
}

// fanIn is how many runs one merge may read: so many that each has a buffer worth reading into, and at least two.
func (s *Sorter) fanIn() int { return int(max(s.memory/bufferSize-1, 2)) }

// reduce replaces the file by one in which every group of neighbouring runs is a single run. That the runs of a group
// were written one after the other keeps the order stable.
func (s *Sorter) reduce(ctx context.Context) error {
	into, err := s.temp.create()
	if err != nil {
		return err
	}
	s.writer.Reset(into)
	var runs []run
	for group := range slices.Chunk(s.runs, s.fanIn()) {
		merged := run{offset: into.size}
		if err := s.mergeRuns(ctx, group); err != nil {
			return errors.Join(err, into.remove())
		}
		merged.length = into.size - merged.offset
		runs = append(runs, merged)
	}
	old := s.file
	s.file, s.runs = into, runs
	return old.remove()
}

// mergeRuns writes the records of a group of runs as one run.
func (s *Sorter) mergeRuns(ctx context.Context, group []run) error {
	m, err := newMerge(s.file, group, s.memory, s.payloads)
	if err != nil {
		return err
	}
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r, err := m.next()
		if errors.Is(err, io.EOF) {
			return s.writer.Flush()
		}
		if err != nil {
			return err
		}
		if err := writeRecord(s.writer, r); err != nil {
			return err
		}
		if err := m.copyPayload(s.writer); err != nil {
			return err
		}
	}
}

// Next returns the next record in order, or io.EOF after the last. It is called only after Sort has returned nil. What
// was not read of the payload of the record before is passed over.
func (s *Sorter) Next() (Record, error) {
	if s.merged != nil {
		return s.merged.next()
	}
	if len(s.records) == 0 {
		s.unread = nil
		return Record{}, io.EOF
	}
	r := s.records[0]
	s.records = s.records[1:]
	if s.payloads {
		s.unread = s.payload(r)
		r.D = uint64(len(s.unread))
	}
	return r, nil
}

// Read reads the payload of the record that Next has returned last, and returns io.EOF at its end.
func (s *Sorter) Read(p []byte) (int, error) {
	if s.merged != nil {
		return s.merged.Read(p)
	}
	if len(s.unread) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.unread)
	s.unread = s.unread[n:]
	return n, nil
}

// Close removes the temporary file. The sorter must not be used afterwards. A second Close does nothing.
func (s *Sorter) Close() error {
	s.records, s.arena, s.unread, s.merged = nil, nil, nil, nil
	if s.file == nil {
		return nil
	}
	file := s.file
	s.file = nil
	return file.remove()
}

// noEOF makes the end of something that should go on an error that nobody takes for a good end.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
