package journal

import (
	"encoding/binary"
	"fmt"
	"io"

	"batchd/internal/batch"
)

// A segment ends with its index:
//
//	one entry per line, in the order of their texts: text length u32 | line u32 | kind u8
//	number of entries u32 | CRC-32C of the entries and that number u32 | magic [8]
//
// little-endian. Where a text begins follows from the lengths before it, so that the index cannot contradict itself,
// and their sum must be what stands before the index. The magic's last byte is the version.
const (
	indexMagic   = "batchds1"
	entrySize    = 4 + 4 + 1
	trailerSize  = 4 + 4 + len(indexMagic)
	indexPreload = 16 << 10 // holds the index of 1,000 lines
)

// IndexEntry says where a segment has a line.
type IndexEntry struct {
	Line uint32
	Kind batch.Kind
	// Offset and Length give the text without its line break, which follows it.
	Offset int64
	Length int64
}

func appendIndex(b []byte, pieces []piece) []byte {
	for _, p := range pieces {
		b = binary.LittleEndian.AppendUint32(b, uint32(p.size))
		b = binary.LittleEndian.AppendUint32(b, p.line)
		b = append(b, byte(p.kind))
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(pieces)))
	b = binary.LittleEndian.AppendUint32(b, checksum(0, b))
	return append(b, indexMagic...)
}

// ReadIndex reads the index of a segment of the given size: its lines in the order of their texts, output lines
// first. It fails with ErrIndex if there is none that holds together, and else with r's error.
func ReadIndex(r io.ReaderAt, size int64) ([]IndexEntry, error) {
	tail := make([]byte, max(0, min(size, indexPreload)))
	if err := readFull(r, tail, size-int64(len(tail))); err != nil {
		return nil, fmt.Errorf("read segment index: %w", err)
	}
	if len(tail) < trailerSize || string(tail[len(tail)-len(indexMagic):]) != indexMagic {
		return nil, fmt.Errorf("%w: it does not end as one", ErrIndex)
	}
	count := int64(binary.LittleEndian.Uint32(tail[len(tail)-trailerSize:]))
	length := count*entrySize + int64(trailerSize)
	if length > size {
		return nil, fmt.Errorf("%w: %d entries do not fit", ErrIndex, count)
	}
	if length > int64(len(tail)) {
		tail = make([]byte, length)
		if err := readFull(r, tail, size-length); err != nil {
			return nil, fmt.Errorf("read segment index: %w", err)
		}
	}
	return parseIndex(tail[int64(len(tail))-length:], size-length)
}

// parseIndex reads a whole index; texts is the number of bytes that stand before it.
func parseIndex(b []byte, texts int64) ([]IndexEntry, error) {
	covered := len(b) - trailerSize + 4
	if binary.LittleEndian.Uint32(b[covered:]) != checksum(0, b[:covered]) {
		return nil, fmt.Errorf("%w: its checksum does not hold", ErrIndex)
	}
	entries := make([]IndexEntry, 0, (covered-4)/entrySize)
	var off int64
	for ; len(b) > trailerSize; b = b[entrySize:] {
		e := IndexEntry{
			Line:   binary.LittleEndian.Uint32(b[4:]),
			Kind:   batch.Kind(b[8]),
			Offset: off,
			Length: int64(binary.LittleEndian.Uint32(b)),
		}
		off += e.Length + 1
		if !validKind(e.Kind) || off > texts || len(entries) > 0 && !follows(entries[len(entries)-1], e) {
			return nil, fmt.Errorf("%w: entry %d is not possible", ErrIndex, len(entries))
		}
		entries = append(entries, e)
	}
	if off != texts {
		return nil, fmt.Errorf("%w: it describes %d bytes of %d", ErrIndex, off, texts)
	}
	return entries, nil
}

// follows reports whether b may stand after a: in a later part, or on a later line of the same one.
func follows(a, b IndexEntry) bool {
	aOut, bOut := a.Kind == batch.KindOutput, b.Kind == batch.KindOutput
	return aOut == bOut && a.Line < b.Line || aOut && !bOut
}
