package plan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/dialect"
	"batchd/internal/extsort"
)

// Dialect is the part of a vendor's dialect that validation needs.
type Dialect interface {
	ParseLine(raw []byte, rules dialect.LineRules) (dialect.Line, error)
	dialect.Faults
}

// UnitLimits bound a unit.
type UnitLimits struct {
	// MaxLines is the largest number of lines; 0 means 1,000.
	MaxLines int
	// MaxBytes is the largest sum of the lines' lengths; 0 means 8 MiB. A longer line is a unit of its own.
	MaxBytes int64
}

// Input is what validation works on.
type Input struct {
	Blobs   blob.Store
	Dialect Dialect
	// Content is the input file.
	Content batch.Manifest
	Rules   dialect.LineRules
	// MixedModels allows lines to name different models.
	MixedModels bool
	Limits      batch.Limits
	// KnownModel reports whether some upstream takes a model; nil means that any model is taken. It is called once
	// for each model.
	KnownModel func(model string) bool
	// PlanKey is the key under which the plan is put.
	PlanKey string
	Temp    extsort.Temp
	// SortMemory bounds each of the sorts, at most two at a time, in bytes; 0 means 8 MiB.
	SortMemory int64
	Unit       UnitLimits
	Logger     *slog.Logger
}

// Result is what validation found: a plan, or errors.
type Result struct {
	// Total is the number of lines, without blank ones.
	Total int64
	// Models are the distinct models as the lines spell them, in order of appearance. Model is the only one of them,
	// or "" if there are several.
	Models []string
	Model  string
	Plan   batch.Blob
	Units  []batch.UnitSpan
	// InLineOrder says that the plan's order is the file's order.
	InLineOrder bool

	// Errors are the errors of the 100 lowest bad lines in order, errors of the file as a whole first. When there
	// are more, a last entry says so. A line has at most one error. ErrorsTotal counts them all.
	Errors      []batch.LineError
	ErrorsTotal int64
}

// errFaulty is what a plan's reader returns, so that nothing is put, once the file is known to be bad.
var errFaulty = errors.New("input file has bad lines")

// Validate checks every line of a file in one streaming pass and, if all are good, puts the plan and cuts it into
// units. Bad lines are no error: they are in the result, and then no plan exists. An error means that nothing is
// known about the file: it could not be read (blob.ErrCorrupt among others), the plan could not be put, or ctx
// ended. Doing it again gives the same result and the same plan.
func Validate(ctx context.Context, in Input) (Result, error) {
	p, err := newPass(ctx, in)
	if err != nil {
		return Result{}, err
	}
	defer p.close()
	next := p.nextOfSound
	if in.MixedModels {
		if next, err = p.sorted(); err != nil {
			return Result{}, err
		}
	}
	plan := &planReader{next: next, cut: newCutter(in.Unit)}
	stored, err := in.Blobs.Put(ctx, in.PlanKey, plan)
	if errors.Is(plan.err, errFaulty) {
		return p.findings()
	}
	if err != nil {
		return Result{}, fmt.Errorf("store plan: %w", err)
	}
	return p.result(stored, plan.cut), nil
}

// sorted reads the whole file and returns a function that yields its entries in the plan's order.
func (p *pass) sorted() (func() (Entry, error), error) {
	p.entries = extsort.New(extsort.Options{Temp: p.in.Temp, MaxMemory: p.in.SortMemory})
	for {
		e, err := p.nextOfSound()
		if errors.Is(err, io.EOF) {
			break
		}
		if errors.Is(err, errFaulty) {
			return func() (Entry, error) { return Entry{}, errFaulty }, nil
		}
		if err != nil {
			return nil, err
		}
		if err := p.entries.Add(e.record(), nil); err != nil {
			return nil, fmt.Errorf("sort plan: %w", err)
		}
	}
	if err := p.entries.Sort(p.ctx); err != nil {
		return nil, fmt.Errorf("sort plan: %w", err)
	}
	return func() (Entry, error) {
		r, err := p.entries.Next()
		return entryOf(r), err
	}, nil
}

// nextOfSound returns the entries of a file as long as nothing is wrong with it: errFaulty after the first fault,
// io.EOF at the end of a file that has none.
func (p *pass) nextOfSound() (Entry, error) {
	e, err := p.next()
	if errors.Is(err, io.EOF) {
		if finishErr := p.finish(); finishErr != nil {
			return Entry{}, finishErr
		}
	}
	if (err == nil || errors.Is(err, io.EOF)) && p.faults.total > 0 {
		return Entry{}, errFaulty
	}
	return e, err
}

// findings reads the rest of a file that has faults and returns all of them.
func (p *pass) findings() (Result, error) {
	for {
		_, err := p.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Result{}, err
		}
	}
	if err := p.finish(); err != nil {
		return Result{}, err
	}
	return Result{
		Total:       p.lines,
		Models:      p.models.names,
		Errors:      p.faults.list(p.in.Dialect),
		ErrorsTotal: p.faults.total,
	}, nil
}

// result describes a file without faults.
func (p *pass) result(plan batch.Blob, cut *cutter) Result {
	r := Result{
		Total:       p.lines,
		Models:      p.models.names,
		Plan:        plan,
		Units:       cut.finish(),
		InLineOrder: cut.inLineOrder,
	}
	if len(r.Models) == 1 {
		r.Model = r.Models[0]
	}
	return r
}

// planReader encodes the entries of a plan as they are asked for, and cuts them into units on the way. Pulling
// rather than pushing lets a file of one model go straight into the blob store, with nothing in between on disk.
type planReader struct {
	next func() (Entry, error)
	cut  *cutter
	// unread is the rest of buf, which holds one encoded entry.
	buf, unread []byte
	// err is what next ended with.
	err error
}

// Read fills p as far as it can.
func (r *planReader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && (len(r.unread) > 0 || r.fill()) {
		copied := copy(p[n:], r.unread)
		r.unread = r.unread[copied:]
		n += copied
	}
	if n > 0 {
		return n, nil
	}
	return 0, r.err
}

// fill encodes the next entry and reports whether there was one.
func (r *planReader) fill() bool {
	if r.err != nil {
		return false
	}
	e, err := r.next()
	if err != nil {
		r.err = err
		return false
	}
	r.cut.add(e)
	r.buf = e.AppendTo(r.buf[:0])
	r.unread = r.buf
	return true
}
