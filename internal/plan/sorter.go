package plan

import (
	"context"
	"errors"
	"io"
	"slices"
)

const (
	// defaultSortMemory is what a Sorter uses when it is told nothing.
	defaultSortMemory = 8 << 20
	// mergeBuffer is the smallest read that a merge should make: more runs than fit are merged in several passes.
	mergeBuffer = 64 << 10
)

// SorterOptions tune a Sorter.
type SorterOptions struct {
	Temp Temp
	// MaxMemory bounds the records and buffers held at a time, in bytes; 0 means 8 MiB.
	MaxMemory int64
}

// Sorter sorts any number of records in bounded memory: records that do not fit are written to a temporary file
// in sorted runs, which Next merges. Records that arrive in order make one run, which is never merged. A Sorter is
// for one goroutine: Add all records, Sort once, Next until io.EOF, and Close in any case.
type Sorter struct {
	temp   Temp
	memory int64
	// records are those not yet written out; ordered says that each was added after a smaller or equal one.
	records []Record
	ordered bool
	length  int64
	// file holds the runs, last the largest record of the newest; nil while all records fit in memory.
	file *runFile
	runs []run
	last Record
	// merged yields the records of the runs once Sort has returned; without a file records itself is consumed.
	merged *merge
}

// NewSorter returns an empty sorter.
func NewSorter(o SorterOptions) *Sorter {
	memory := o.MaxMemory
	if memory <= 0 {
		memory = defaultSortMemory
	}
	return &Sorter{temp: o.Temp, memory: max(memory, 4*RecordSize), ordered: true}
}

// Len returns how many records were added.
func (s *Sorter) Len() int64 { return s.length }

// Add takes in one record. It blocks on the disk when memory is full.
func (s *Sorter) Add(r Record) error {
	if len(s.records) == cap(s.records) {
		if err := s.makeRoom(); err != nil {
			return err
		}
	}
	if n := len(s.records); s.ordered && n > 0 && r.Compare(s.records[n-1]) < 0 {
		s.ordered = false
	}
	s.records = append(s.records, r)
	s.length++
	return nil
}

// makeRoom doubles the memory for records until the bound is reached, and from then on writes them out.
func (s *Sorter) makeRoom() error {
	most := int(s.memory / RecordSize)
	if len(s.records) >= most {
		return s.spill()
	}
	grown := make([]Record, len(s.records), min(max(2*len(s.records), 256), most))
	copy(grown, s.records)
	s.records = grown
	return nil
}

// spill writes the records in memory to the file, in order, as a new run or as the continuation of the last one.
func (s *Sorter) spill() error {
	if len(s.records) == 0 {
		return nil
	}
	s.sortRecords()
	if s.file == nil {
		file, err := createRuns(s.temp)
		if err != nil {
			return err
		}
		s.file = file
	}
	added, err := s.file.append(s.records)
	if err != nil {
		return err
	}
	if n := len(s.runs); n > 0 && s.records[0].Compare(s.last) >= 0 {
		s.runs[n-1].length += added.length
	} else {
		s.runs = append(s.runs, added)
	}
	s.last = s.records[len(s.records)-1]
	s.records, s.ordered = s.records[:0], true
	return nil
}

func (s *Sorter) sortRecords() {
	if !s.ordered {
		slices.SortFunc(s.records, Record.Compare)
		s.ordered = true
	}
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
	s.records = nil
	if err := s.reduce(ctx); err != nil {
		return err
	}
	s.merged = s.file.merge(s.runs, s.memory)
	return s.merged.start()
}

// fanIn is how many runs one merge may read: so many that each has a buffer worth reading into, and at least two.
func (s *Sorter) fanIn() int { return int(max(s.memory/mergeBuffer-1, 2)) }

// reduce merges groups of runs into longer ones until one merge can read them all.
func (s *Sorter) reduce(ctx context.Context) error {
	for len(s.runs) > s.fanIn() {
		if err := s.reduceOnce(ctx); err != nil {
			return err
		}
	}
	return nil
}

// reduceOnce replaces the file by one in which every group of runs is a single run.
func (s *Sorter) reduceOnce(ctx context.Context) error {
	into, err := createRuns(s.temp)
	if err != nil {
		return err
	}
	var runs []run
	for group := range slices.Chunk(s.runs, s.fanIn()) {
		merged, err := s.mergeInto(ctx, into, group)
		if err != nil {
			return errors.Join(err, into.Remove())
		}
		runs = append(runs, merged)
	}
	old := s.file
	s.file, s.runs = into, runs
	return old.Remove()
}

// mergeInto writes the records of a group of runs to the end of a file as one run.
func (s *Sorter) mergeInto(ctx context.Context, into *runFile, group []run) (run, error) {
	// A third of the memory is for what is written.
	m := s.file.merge(group, s.memory*2/3)
	if err := m.start(); err != nil {
		return run{}, err
	}
	out := run{offset: into.Size()}
	chunk := make([]Record, 0, max(s.memory/3/RecordSize, 1))
	for done := false; !done; {
		if err := context.Cause(ctx); err != nil {
			return run{}, err
		}
		chunk = chunk[:0]
		for len(chunk) < cap(chunk) && !done {
			r, err := m.next()
			switch {
			case errors.Is(err, io.EOF):
				done = true
			case err != nil:
				return run{}, err
			default:
				chunk = append(chunk, r)
			}
		}
		added, err := into.append(chunk)
		if err != nil {
			return run{}, err
		}
		out.length += added.length
	}
	return out, nil
}

// Next returns the next record in order, or io.EOF after the last. It is called only after Sort has returned nil.
func (s *Sorter) Next() (Record, error) {
	if s.merged != nil {
		return s.merged.next()
	}
	if len(s.records) == 0 {
		return Record{}, io.EOF
	}
	r := s.records[0]
	s.records = s.records[1:]
	return r, nil
}

// Close removes the temporary file. The sorter must not be used afterwards. A second Close does nothing.
func (s *Sorter) Close() error {
	s.records, s.merged = nil, nil
	if s.file == nil {
		return nil
	}
	file := s.file
	s.file = nil
	return file.Remove()
}
