package unit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"

	"batchd/internal/batch"
	"batchd/internal/dialect"
)

// dialectResult puts what is known of a line's outcome in the form that dialects write.
func dialectResult(batchID string, line uint32, customID []byte, o *batch.Outcome) dialect.Result {
	return dialect.Result{
		ID: resultID(batchID, line), CustomID: customID,
		Status: o.Status, RequestID: o.RequestID, Code: o.Code, Message: o.Message,
	}
}

// resultID returns the id of a line's result. It is a pure function of batch and line, so that the same line has
// the same id however often its result is made.
func resultID(batchID string, line uint32) string {
	raw := make([]byte, 0, 64)
	raw = append(raw, batchID...)
	raw = append(raw, 0)
	raw = binary.LittleEndian.AppendUint32(raw, line)
	sum := sha256.Sum256(raw)
	return "batch_req_" + hex.EncodeToString(sum[:16])
}

// joined returns before, body and after as one body: copied together if body is in memory, else read through.
func joined(before []byte, body batch.Body, after []byte) batch.Body {
	if mem := body.Bytes(); mem != nil || body.Len() == 0 {
		text := make([]byte, 0, len(before)+len(mem)+len(after))
		text = append(text, before...)
		text = append(text, mem...)
		return batch.MemoryBody(append(text, after...))
	}
	return framedBody{before: before, body: body, after: after}
}

// framedBody is a large body between two short pieces of text.
type framedBody struct {
	before []byte
	body   batch.Body
	after  []byte
}

// Len returns the number of bytes.
func (f framedBody) Len() int64 { return int64(len(f.before)) + f.body.Len() + int64(len(f.after)) }

// Bytes returns nil: the middle is in a file.
func (f framedBody) Bytes() []byte { return nil }

// Close closes the middle.
func (f framedBody) Close() error { return f.body.Close() }

// ReadAt reads like io.ReaderAt across the three pieces.
func (f framedBody) ReadAt(p []byte, off int64) (int, error) {
	head, middle := int64(len(f.before)), f.body.Len()
	pieces := io.NewSectionReader(concat{
		{0, batch.MemoryBody(f.before)}, {head, f.body}, {head + middle, batch.MemoryBody(f.after)},
	}, 0, f.Len())
	return pieces.ReadAt(p, off)
}

// concat reads several bodies as one; each piece knows where it starts.
type concat []piece

type piece struct {
	start int64
	body  batch.Body
}

// ReadAt fills p from position off on, across pieces.
func (c concat) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for _, piece := range c {
		at := off + int64(done) - piece.start
		if at < 0 || at >= piece.body.Len() || done == len(p) {
			continue
		}
		part := p[done:min(len(p), done+int(piece.body.Len()-at))]
		n, err := piece.body.ReadAt(part, at)
		done += n
		if n < len(part) {
			return done, err
		}
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}
