package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"batchd/internal/batch"
)

// A journal file begins with
//
//	magic [8] | payload length u32 | CRC-32C of all the rest u32 | lease [16] | ordinal u64 | batch id
//
// little-endian, and goes on with frames (see frame.go). The magic's last byte is the version.
const (
	headerMagic    = "batchdj1"
	headerFixed    = len(headerMagic) + 8
	headerPayload  = 16 + 8 // what precedes the batch id
	maxBatchID     = 1024
	maxHeaderBytes = headerFixed + headerPayload + maxBatchID
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum continues the CRC-32C sum over b.
func checksum(sum uint32, b []byte) uint32 { return crc32.Update(sum, castagnoli, b) }

func encodeHeader(h Header) ([]byte, error) {
	if n := len(h.Unit.Batch); n > maxBatchID {
		return nil, fmt.Errorf("batch id of %d bytes: at most %d fit", n, maxBatchID)
	}
	b := make([]byte, 0, maxHeaderBytes)
	b = append(b, headerMagic...)
	b = binary.LittleEndian.AppendUint32(b, uint32(headerPayload+len(h.Unit.Batch)))
	b = append(b, 0, 0, 0, 0)
	b = append(b, h.Lease[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.Unit.Ordinal))
	b = append(b, h.Unit.Batch...)
	binary.LittleEndian.PutUint32(b[headerFixed-4:], headerSum(b))
	return b, nil
}

// headerSum is the CRC-32C of a whole header except for the four bytes that hold it.
func headerSum(b []byte) uint32 {
	return checksum(checksum(0, b[:headerFixed-4]), b[headerFixed:])
}

// readHeader reads the header of a file of the given length. It returns the salt of the file's frames, and
// where the first of them begins.
func readHeader(r io.ReaderAt, length int64) (h Header, salt uint32, start int64, err error) {
	b := make([]byte, min(length, int64(maxHeaderBytes)))
	if err := readFull(r, b, 0); err != nil {
		return Header{}, 0, 0, fmt.Errorf("read header: %w", err)
	}
	if len(b) < headerFixed+headerPayload || string(b[:len(headerMagic)]) != headerMagic {
		return Header{}, 0, 0, ErrForeign
	}
	payload := int64(binary.LittleEndian.Uint32(b[len(headerMagic):]))
	if payload < headerPayload || int64(headerFixed)+payload > int64(len(b)) {
		return Header{}, 0, 0, ErrForeign
	}
	b = b[:int64(headerFixed)+payload]
	if binary.LittleEndian.Uint32(b[headerFixed-4:]) != headerSum(b) {
		return Header{}, 0, 0, ErrForeign
	}
	p := b[headerFixed:]
	copy(h.Lease[:], p)
	h.Unit = batch.UnitID{
		Batch:   string(p[headerPayload:]),
		Ordinal: int(binary.LittleEndian.Uint64(p[16:])),
	}
	return h, checksum(0, b), int64(len(b)), nil
}

// readFull fills b from offset off.
func readFull(r io.ReaderAt, b []byte, off int64) error {
	n, err := r.ReadAt(b, off)
	switch {
	case n == len(b):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	default:
		return err
	}
}
