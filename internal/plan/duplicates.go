package plan

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/extsort"
	"batchd/internal/jsonl"
)

// faultyBit marks, in the last field of an id's record, a line that has a fault already. Offsets never reach it.
const faultyBit = 1 << 63

// idRecord packs 128 bits of the hash of a line's custom_id with what is needed to find the line again. Records of
// equal ids come together, in the order of their lines.
func idRecord(customID []byte, line jsonl.Line, faulty bool) extsort.Record {
	sum := sha256.Sum256(customID)
	r := extsort.Record{
		A: binary.BigEndian.Uint64(sum[:8]),
		B: binary.BigEndian.Uint64(sum[8:16]),
		C: uint64(line.Number)<<32 | uint64(line.Length),
		D: uint64(line.Offset),
	}
	if faulty {
		r.D |= faultyBit
	}
	return r
}

// repetition is a line whose custom_id an earlier line has too.
type repetition struct {
	line, first    int64
	offset, length int64
}

// findRepetitions counts every line whose custom_id stands in an earlier one and that has no other fault.
func (p *pass) findRepetitions() error {
	if err := p.ids.Sort(p.ctx); err != nil {
		return fmt.Errorf("sort custom ids: %w", err)
	}
	var first extsort.Record
	for n := 0; ; n++ {
		if err := p.checkContext(n); err != nil {
			return err
		}
		r, err := p.ids.Next()
		if errors.Is(err, io.EOF) {
			return p.describeRepetitions()
		}
		if err != nil {
			return fmt.Errorf("sort custom ids: %w", err)
		}
		if n == 0 || r.A != first.A || r.B != first.B {
			first = r
			continue
		}
		if r.D&faultyBit == 0 {
			again := repetition{
				line: int64(r.C >> 32), first: int64(first.C >> 32),
				offset: int64(r.D), length: int64(uint32(r.C)),
			}
			if p.faults.count(again.line) { // described later: most are never shown
				p.faults.insert(fault{LineError: batch.LineError{Line: again.line}, again: &again})
			}
		}
	}
}

// describeRepetitions reads the lines that will be shown once more, for their ids: only hashes were kept.
func (p *pass) describeRepetitions() error {
	for i := range p.faults.lowest {
		f := &p.faults.lowest[i]
		if f.again == nil {
			continue
		}
		id, err := p.customID(*f.again)
		if err != nil {
			return err
		}
		e := p.in.Dialect.DuplicateCustomID(clip(id, maxFaultText/2), f.again.first)
		*f = fault{LineError: batch.LineError{
			Code: e.Code, Message: clip(e.Message, maxFaultText), Param: e.Param, Line: f.Line,
		}}
	}
	return nil
}

// customID reads one line of the input again.
func (p *pass) customID(r repetition) (string, error) {
	raw := make([]byte, r.length)
	reader := blob.NewReader(p.ctx, p.in.Blobs, p.in.Content, r.offset, r.length)
	defer reader.Close()
	if _, err := io.ReadFull(reader, raw); err != nil {
		return "", fmt.Errorf("read line %d again: %w", r.line, err)
	}
	line, err := p.in.Dialect.ParseLine(raw, p.in.Rules)
	if err != nil {
		return "", fmt.Errorf("parse line %d again: %w", r.line, err)
	}
	return string(line.CustomID), nil
}
