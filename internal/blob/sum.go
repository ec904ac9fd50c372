package blob

import (
	"hash/crc32"
	"io"

	"batchd/internal/batch"
)

// castagnoli is the polynomial that processors have an instruction for.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// blocks returns how many checksums an object of size bytes has.
func blocks(size int64) int64 { return (size + batch.BlobBlock - 1) / batch.BlobBlock }

// summer passes a reader on and computes the checksum of each block of what it yields.
type summer struct {
	r    io.Reader
	size int64
	// sums are the checksums of the whole blocks so far, sum that of the block that is not whole yet.
	sums []uint32
	sum  uint32
}

// Read passes errors on untouched: one that looks like the end of the object must not become one.
func (s *summer) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	for rest := p[:n]; len(rest) > 0; {
		left := batch.BlobBlock - s.size%batch.BlobBlock
		part := rest[:min(int64(len(rest)), left)]
		s.sum = crc32.Update(s.sum, castagnoli, part)
		s.size += int64(len(part))
		if s.size%batch.BlobBlock == 0 {
			s.sums, s.sum = append(s.sums, s.sum), 0
		}
		rest = rest[len(part):]
	}
	return n, err
}

// blob returns the reference of everything that was read.
func (s *summer) blob(key string) batch.Blob {
	if s.size%batch.BlobBlock != 0 {
		s.sums, s.sum = append(s.sums, s.sum), 0
	}
	return batch.Blob{Key: key, Size: s.size, Sums: s.sums}
}
