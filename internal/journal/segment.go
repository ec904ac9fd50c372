package journal

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"batchd/internal/batch"
	"batchd/internal/vfs"
)

// inMemoryLimit is the largest journal whose segment is laid out in memory. For a larger one each line is read
// twice, once for the hash and once for the reader, and never held.
const inMemoryLimit = 8 << 20

// Segment is the sealed result of a unit: its output lines, then its error lines, each in line order and each
// followed by a line break, then an index (see ReadIndex).
type Segment struct {
	// Key is the prefix that was handed in and, in hexadecimal, the first 16 bytes of the SHA-256 of the
	// segment's bytes: whoever puts it again puts the same bytes under the same key.
	Key string
	// Size is the number of bytes, the index included.
	Size int64
	// OutputBytes and ErrorBytes are the bytes of the two parts, line breaks included.
	OutputBytes int64
	OutputLines int64
	ErrorBytes  int64
	ErrorLines  int64
	// Failed counts the error lines that were really tried.
	Failed int64
	// Usage is the sum over all lines.
	Usage batch.Usage
}

// Filler returns the synthetic record of a line that has none, such as one whose batch has expired. It is called
// once for each such line, in line order; its text must be small, and is closed once it is copied.
type Filler func(line uint32) (Record, error)

// Built is a segment that can be read. It does not change with the journal that it comes from.
type Built struct {
	Segment
	// Missing lists the lines without an outcome when the error was ErrMissing; then nothing else is set.
	Missing []uint32

	// data is the whole segment if it is in memory; else layout says how to read it from file.
	data   []byte
	layout *layout
	file   vfs.File
}

// Reader returns a reader of the segment's bytes from their beginning; several may be used, one after the other. It
// fails rather than return a text whose checksum no longer holds. It must not be used after Close.
func (b *Built) Reader() io.Reader {
	if b.layout == nil {
		return bytes.NewReader(b.data)
	}
	return b.layout.reader(b.file)
}

// Close frees what the segment holds. It may be called on any Built, also on one that came with an error.
func (b *Built) Close() error {
	f := b.file
	b.data, b.layout, b.file = nil, nil, nil
	if f == nil {
		return nil
	}
	return f.Close()
}

// Build makes the segment of the given lines, which are in ascending order. The same records give the same bytes
// and the same key. A line without a record whose checksum holds gets its record from fill; if fill is nil, the
// error is ErrMissing and Built.Missing lists the lines, so that they can be run again. Records of other lines are
// left out. The journal need not be synced, and stays as it is.
func (j *Journal) Build(prefix string, lines []uint32, fill Filler) (*Built, error) {
	built, err := j.build(prefix, lines, fill)
	if err != nil {
		return built, fmt.Errorf("build segment from journal %s: %w", j.path, err)
	}
	return built, nil
}

// BuildUnrun makes the segment of a unit that has no journal, because none of its lines was sent: every record
// comes from fill. Otherwise it is as Build.
func BuildUnrun(prefix string, lines []uint32, fill Filler) (*Built, error) {
	nothing := func(uint32) (piece, bool, error) { return piece{}, false, nil }
	built, err := arrangeInMemory(prefix, lines, fill, nothing)
	if err != nil {
		return built, fmt.Errorf("build segment of lines that were not run: %w", err)
	}
	return built, nil
}

func (j *Journal) build(prefix string, lines []uint32, fill Filler) (*Built, error) {
	f, size, err := j.reader()
	if err != nil {
		return &Built{}, err
	}
	s := newScanner(f, j.salt, j.start, size)
	if size <= j.inMemory {
		defer func() { _ = f.Close() }() // only read from
		return buildLoaded(prefix, lines, fill, s)
	}
	built, err := buildStreamed(prefix, lines, fill, s)
	if err != nil {
		_ = f.Close() // only read from
		return built, err
	}
	built.file = f
	return built, nil
}

// buildLoaded reads the whole journal at once.
func buildLoaded(prefix string, lines []uint32, fill Filler, s *scanner) (*Built, error) {
	if err := s.load(); err != nil {
		return &Built{}, err
	}
	winners, err := winningFrames(s)
	if err != nil {
		return &Built{}, err
	}
	return arrangeInMemory(prefix, lines, fill, func(line uint32) (piece, bool, error) {
		f, ok := winners[line]
		if !ok {
			return piece{}, false, nil
		}
		text, err := s.view(f.textOff(), f.textLen())
		return piece{line: line, kind: f.kind, usage: f.usage, text: text, size: f.textLen()}, true, err
	})
}

// buildStreamed finds the frames first, then reads their texts for the hash. A record that is changed between the
// two is missing even if there is a filler; a second Build sees it as the others.
func buildStreamed(prefix string, lines []uint32, fill Filler, s *scanner) (*Built, error) {
	winners, err := winningFrames(s)
	if err != nil {
		return &Built{}, err
	}
	l, missing, err := arrange(lines, fill, func(line uint32) (piece, bool, error) {
		f, ok := winners[line]
		return piece{line: line, kind: f.kind, usage: f.usage, size: f.textLen(), stored: &f}, ok, nil
	})
	if err != nil {
		return &Built{Missing: missing}, err
	}
	hash := sha256.New()
	size, err := io.Copy(hash, l.reader(s.src))
	if lost, ok := errors.AsType[lostError](err); ok {
		return &Built{Missing: []uint32{lost.line}}, fmt.Errorf("%w: %w", ErrMissing, err)
	}
	if err != nil {
		return &Built{}, err
	}
	return &Built{Segment: l.segment(prefix, size, hash.Sum(nil)), layout: l}, nil
}

// arrangeInMemory lays the whole segment out in one buffer.
func arrangeInMemory(prefix string, lines []uint32, fill Filler, find finder) (*Built, error) {
	l, missing, err := arrange(lines, fill, find)
	if err != nil {
		return &Built{Missing: missing}, err
	}
	data := l.bytes()
	sum := sha256.Sum256(data)
	return &Built{Segment: l.segment(prefix, int64(len(data)), sum[:]), data: data}, nil
}

// winningFrames returns the first whole outcome frame of each line.
func winningFrames(s *scanner) (map[uint32]frame, error) {
	winners := make(map[uint32]frame)
	for {
		f, ok, err := s.next()
		if err != nil || !ok {
			return winners, err
		}
		if _, again := winners[f.line]; !again && f.typ == typeOutcome {
			winners[f.line] = f
		}
	}
}
