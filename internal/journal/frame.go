package journal

import (
	"encoding/binary"

	"batchd/internal/batch"
)

// A frame is a head of fixed size and a body:
//
//	CRC-32C of the rest of the head u32 | body length u32 | CRC-32C of the body u32 | line u32 | type u8 | kind u8
//	body of an outcome:   usage, five uvarints | text
//	body of an adoption:  lease [16]
//
// The head has a checksum of its own so that a reader that has lost its place can tell a frame's beginning from
// other bytes without reading a body for every guess. That checksum starts from the salt, which is the CRC-32C
// of the file's header and so depends on its random lease id: blocks of a removed journal that a file system
// hands out again, or a frame that someone got a model to print, are not taken for frames of this file. Random
// bytes pass for a frame with a probability of 2^-64 at each offset (2^-32 for the head, 2^-32 for the body).
//
// The body's checksum stands before the body. So a spooled text is read twice, once for the checksum, and in return
// a frame is complete or not by what is in the file alone, and one write makes a whole one.
const (
	headSize = 18
	// maxBody keeps a frame's length, and an entry of a segment's index, within 32 bits.
	maxBody = 1 << 30
	// maxUsage is the greatest number of bytes that five uvarints take.
	maxUsage = 5 * binary.MaxVarintLen64
	minUsage = 5
)

type frameType uint8

// The types of frame. The numbers stand in journals: never change one.
const (
	typeOutcome  frameType = 1
	typeAdoption frameType = 2
)

type head struct {
	bodyLen uint32
	bodySum uint32
	line    uint32
	typ     frameType
	kind    batch.Kind
}

// put writes the head to the first headSize bytes of b.
func (h head) put(b []byte, salt uint32) {
	binary.LittleEndian.PutUint32(b[4:], h.bodyLen)
	binary.LittleEndian.PutUint32(b[8:], h.bodySum)
	binary.LittleEndian.PutUint32(b[12:], h.line)
	b[16], b[17] = byte(h.typ), byte(h.kind)
	binary.LittleEndian.PutUint32(b, checksum(salt, b[4:headSize]))
}

// parseHead reads a head from the first headSize bytes of b, and reports whether it is one. What no head can say is
// refused before the checksum is made: a search tries every offset.
func parseHead(b []byte, salt uint32) (head, bool) {
	b = b[:headSize]
	h := head{
		bodyLen: binary.LittleEndian.Uint32(b[4:]),
		bodySum: binary.LittleEndian.Uint32(b[8:]),
		line:    binary.LittleEndian.Uint32(b[12:]),
		typ:     frameType(b[16]),
		kind:    batch.Kind(b[17]),
	}
	if !h.plausible() || binary.LittleEndian.Uint32(b) != checksum(salt, b[4:]) {
		return head{}, false
	}
	return h, true
}

func (h head) plausible() bool {
	switch h.typ {
	case typeOutcome:
		return validKind(h.kind) && h.line > 0 && h.bodyLen >= minUsage && h.bodyLen <= maxBody
	case typeAdoption:
		return h.kind == 0 && h.line == 0 && h.bodyLen == uint32(len(batch.LeaseID{}))
	default:
		return false
	}
}

func validKind(k batch.Kind) bool { return k >= batch.KindOutput && k <= batch.KindUnrun }

func appendUsage(b []byte, u batch.Usage) []byte {
	for _, n := range [...]int64{u.Input, u.Cached, u.Output, u.Reasoning, u.Total} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return b
}

// parseUsage returns the usage at the beginning of b and the number of bytes it takes, 0 if b does not begin
// with one.
func parseUsage(b []byte) (u batch.Usage, n int) {
	for _, field := range [...]*int64{&u.Input, &u.Cached, &u.Output, &u.Reasoning, &u.Total} {
		v, size := binary.Uvarint(b[n:])
		if size <= 0 {
			return batch.Usage{}, 0
		}
		*field = int64(v)
		n += size
	}
	return u, n
}

// frame is a whole frame found in a file.
type frame struct {
	head
	off int64
	// usage, its length and the checksum over its bytes are those of an outcome; lease is that of an adoption.
	usage    batch.Usage
	usageLen int64
	usageSum uint32
	lease    batch.LeaseID
}

func (f *frame) end() int64     { return f.off + headSize + int64(f.bodyLen) }
func (f *frame) textOff() int64 { return f.off + headSize + f.usageLen }
func (f *frame) textLen() int64 { return int64(f.bodyLen) - f.usageLen }
