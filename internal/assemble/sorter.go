package assemble

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"batchd/internal/plan"
)

const (
	defaultSortMemory = 32 << 20
	// mergeBuffer is the smallest read that a merge should make: more runs than fit are merged in several passes.
	mergeBuffer = 128 << 10
	// textHeader is what stands before each text in a run: line u32 | length u64, little-endian.
	textHeader = 4 + 8
	// perText is about what a text in memory costs beyond its bytes.
	perText = 24
)

// sorter orders texts by their line numbers in bounded memory. Texts are gathered until memory is full, then written
// to a temporary file as a sorted run, and the runs are merged as they are read. Texts that arrive in order, as
// those of one model do, extend the last run, so that there are at most as many runs as there are models. A text
// that does not fit in memory is copied past it.
type sorter struct {
	temp   plan.Temp
	memory int64
	// texts lie in arena until they are spilled.
	arena []byte
	texts []text
	// file holds the runs, nil before the first; last is the highest line of the newest run.
	file *plan.TempFile
	runs []run
	last uint32
}

// text is one result line with its line break, in the arena.
type text struct {
	line          uint32
	start, length int
}

// run is a stretch of a temporary file with texts in ascending order of their lines.
type run struct{ offset, length int64 }

func newSorter(temp plan.Temp, memory int64) *sorter {
	if memory <= 0 {
		memory = defaultSortMemory
	}
	return &sorter{temp: temp, memory: memory}
}

// add takes in the text of a line: the next length bytes of r.
func (s *sorter) add(line uint32, length int64, r io.Reader) error {
	if s.used()+length+perText > s.memory && len(s.texts) > 0 {
		if err := s.spill(); err != nil {
			return err
		}
	}
	if length+perText > s.memory {
		return s.addLong(line, length, r)
	}
	start := len(s.arena)
	s.grow(start + int(length))
	if _, err := io.ReadFull(r, s.arena[start:]); err != nil {
		return fmt.Errorf("read line %d: %w", line, noEOF(err))
	}
	s.texts = append(s.texts, text{line: line, start: start, length: int(length)})
	return nil
}

// grow makes the arena n bytes long, which are fewer than the memory allows. It doubles the capacity up to that.
func (s *sorter) grow(n int) {
	if n > cap(s.arena) {
		grown := make([]byte, len(s.arena), min(max(2*cap(s.arena), n), int(s.memory)))
		copy(grown, s.arena)
		s.arena = grown
	}
	s.arena = s.arena[:n]
}

// used is about how many bytes the texts in memory take.
func (s *sorter) used() int64 { return int64(len(s.arena) + perText*len(s.texts)) }

// addLong writes a text that is too long for memory straight to the file.
func (s *sorter) addLong(line uint32, length int64, r io.Reader) error {
	return s.write(line, line, func(w *bufio.Writer) error {
		if err := writeHeader(w, line, length); err != nil {
			return err
		}
		if _, err := io.CopyN(w, r, length); err != nil {
			return fmt.Errorf("copy line %d: %w", line, noEOF(err))
		}
		return nil
	})
}

// spill writes the texts in memory to the file in order and forgets them.
func (s *sorter) spill() error {
	if len(s.texts) == 0 {
		return nil
	}
	s.sortTexts()
	err := s.write(s.texts[0].line, s.texts[len(s.texts)-1].line, func(w *bufio.Writer) error {
		for _, t := range s.texts {
			if err := writeHeader(w, t.line, int64(t.length)); err != nil {
				return err
			}
			if _, err := w.Write(s.arena[t.start : t.start+t.length]); err != nil {
				return err
			}
		}
		return nil
	})
	s.arena, s.texts = s.arena[:0], s.texts[:0]
	return err
}

func (s *sorter) sortTexts() {
	slices.SortFunc(s.texts, func(a, b text) int { return cmp.Compare(a.line, b.line) })
}

// write appends what fill writes, texts of the lines from first to last in order, to the file: to the last run if
// they follow it, else as a new run.
func (s *sorter) write(first, last uint32, fill func(*bufio.Writer) error) error {
	if s.file == nil {
		file, err := s.temp.Create()
		if err != nil {
			return err
		}
		s.file = file
	}
	added, err := appendRun(s.file, fill)
	if err != nil {
		return err
	}
	if n := len(s.runs); n > 0 && first > s.last {
		s.runs[n-1].length += added.length
	} else {
		s.runs = append(s.runs, added)
	}
	s.last = last
	return nil
}

// appendRun writes what fill writes to the end of a file.
func appendRun(file *plan.TempFile, fill func(*bufio.Writer) error) (run, error) {
	offset := file.Size()
	w := bufio.NewWriterSize(file, mergeBuffer)
	if err := errors.Join(fill(w), w.Flush()); err != nil {
		return run{}, err
	}
	return run{offset: offset, length: file.Size() - offset}, nil
}

func writeHeader(w *bufio.Writer, line uint32, length int64) error {
	header := binary.LittleEndian.AppendUint32(w.AvailableBuffer(), line)
	_, err := w.Write(binary.LittleEndian.AppendUint64(header, uint64(length)))
	return err
}

// sort ends the adding and returns a reader of all texts in order. Nothing may be added afterwards. The reader fails
// if a line comes twice.
func (s *sorter) sort(ctx context.Context) (io.Reader, error) {
	if s.file == nil {
		s.sortTexts()
		return &memoryReader{sorter: s}, nil
	}
	if err := s.spill(); err != nil {
		return nil, err
	}
	s.arena, s.texts = nil, nil
	for len(s.runs) > s.fanIn() {
		if err := s.reduce(ctx); err != nil {
			return nil, err
		}
	}
	return newMerge(ctx, s.file, s.runs, s.memory)
}

// fanIn is how many runs one merge may read.
func (s *sorter) fanIn() int { return int(max(s.memory/mergeBuffer-1, 2)) }

// reduce replaces the file by one in which every group of runs is a single run.
func (s *sorter) reduce(ctx context.Context) error {
	into, err := s.temp.Create()
	if err != nil {
		return err
	}
	var runs []run
	for group := range slices.Chunk(s.runs, s.fanIn()) {
		m, err := newMerge(ctx, s.file, group, s.memory)
		if err == nil {
			var merged run
			merged, err = appendRun(into, m.copyRun)
			runs = append(runs, merged)
		}
		if err != nil {
			return errors.Join(err, into.Remove())
		}
	}
	old := s.file
	s.file, s.runs = into, runs
	return old.Remove()
}

// close removes the temporary file.
func (s *sorter) close() error {
	if s.file == nil {
		return nil
	}
	file := s.file
	s.file = nil
	return file.Remove()
}

// memoryReader reads the sorted texts of a sorter that never needed its file.
type memoryReader struct {
	*sorter
	// next is the text to read from, done how much of it was read.
	next, done int
}

// Read implements io.Reader.
func (r *memoryReader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && r.next < len(r.texts) {
		t := r.texts[r.next]
		if r.next > 0 && r.texts[r.next-1].line == t.line {
			return n, fmt.Errorf("%w: line %d comes twice", errLostLines, t.line)
		}
		copied := copy(p[n:], r.arena[t.start+r.done:t.start+t.length])
		n += copied
		if r.done += copied; r.done == t.length {
			r.next, r.done = r.next+1, 0
		}
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}
