package batch

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
)

// LeaseID names one lease: the right to run a unit, or to validate or finalize a batch, as one process holds it for a time.
// Every write made on its behalf names it; a stale one is refused. Random ids, unlike counters, cannot be
// handed out twice after a failover that lost the last claims.
type LeaseID [16]byte

// NewLeaseID returns a fresh random lease id.
func NewLeaseID() LeaseID {
	var id LeaseID
	_, _ = rand.Read(id[:]) // never fails: crypto/rand ends the process first
	return id
}

// String returns the id as 32 hexadecimal digits.
func (id LeaseID) String() string { return hex.EncodeToString(id[:]) }

// ParseLeaseID reverses String.
func ParseLeaseID(s string) (LeaseID, error) {
	var id LeaseID
	raw, err := hex.DecodeString(s)
	if err != nil || len(raw) != len(id) {
		return id, fmt.Errorf("parse lease id %q: want 32 hexadecimal digits", s)
	}
	copy(id[:], raw)
	return id, nil
}

// UnitID names a unit: the Ordinal-th of its batch, counting from 0.
type UnitID struct {
	Batch   string
	Ordinal int
}

// String returns the unit's name for logs and errors.
func (u UnitID) String() string { return fmt.Sprintf("%s/%d", u.Batch, u.Ordinal) }

// UnitSpan is a run of plan entries of one model: what is leased, journalled and sealed.
type UnitSpan struct {
	// First and Count give the run of plan entries.
	First int64
	Count int
	// Model is the ordinal of the unit's model in Batch.Models.
	Model int
	// Bytes is the sum of the lines' lengths.
	Bytes int64
}

// Unit is a leased unit.
type Unit struct {
	UnitID
	UnitSpan
	Lease LeaseID
}

// Seal is the result of a unit: its segment, and what the segment holds. Output lines come first, then error
// lines, each in line order.
type Seal struct {
	UnitID
	Lease       LeaseID
	Segment     Blob
	OutputBytes int64
	OutputLines int64
	ErrorBytes  int64
	ErrorLines  int64
	// Failed counts the error lines that were really tried; the others were cancelled or expired.
	Failed int64
	Usage  Usage
}

// Counts returns what the sealed unit adds to the batch's counts.
func (s Seal) Counts() Counts { return Counts{Completed: s.OutputLines, Failed: s.Failed} }
