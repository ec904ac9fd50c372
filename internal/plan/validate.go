package plan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/dialect"
	"batchd/internal/extsort"
	"batchd/internal/jsonl"
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

// Input configures one validation.
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

// errFaulty ends the reading of a plan once the file is known to be bad, so that no plan is stored.
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
	plan := &planReader{next: next, cut: cutter{limits: p.in.Unit, inLineOrder: true}}
	stored, err := in.Blobs.Put(ctx, in.PlanKey, plan)
	if errors.Is(plan.err, errFaulty) {
		return p.findings()
	}
	if err != nil {
		return Result{}, fmt.Errorf("store plan: %w", err)
	}
	return p.result(stored, &plan.cut), nil
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
	r := Result{Total: p.lines, Models: p.models.names, ErrorsTotal: p.faults.total}
	for _, f := range p.faults.lowest {
		r.Errors = append(r.Errors, f.LineError)
	}
	if p.faults.total > int64(len(p.faults.lowest)) {
		r.Errors = append(r.Errors, p.in.Dialect.MoreErrors(p.faults.total))
	}
	return r, nil
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

// contextCheck is how many lines are handled between two looks at the context.
const contextCheck = 256

// pass is the one reading of an input file. It keeps its context because it is read from behind an io.Reader.
type pass struct {
	ctx     context.Context
	in      Input
	content io.ReadCloser
	scanner *jsonl.Scanner
	// lines counts the lines that are not blank.
	lines    int64
	maxLines int64
	models   modelTable
	faults   faultList
	ids      *extsort.Sorter
	// entries sorts the plan where models may be mixed, else it is nil.
	entries *extsort.Sorter
	// ended is set when no line is to be read any more, finished when the ids have been compared.
	ended, finished bool
}

func newPass(ctx context.Context, in Input) (*pass, error) {
	if in.Limits.MaxLineBytes <= 0 {
		in.Limits.MaxLineBytes = batch.DefaultLimits().MaxLineBytes
	}
	if in.Limits.MaxLineBytes > math.MaxInt32 {
		return nil, fmt.Errorf("validate: a line limit of %d bytes is more than a plan can hold", in.Limits.MaxLineBytes)
	}
	if in.Unit.MaxLines <= 0 {
		in.Unit.MaxLines = defaultUnitLines
	}
	if in.Unit.MaxBytes <= 0 {
		in.Unit.MaxBytes = defaultUnitBytes
	}
	if in.Logger == nil {
		in.Logger = slog.New(slog.DiscardHandler)
	}
	maxLines := in.Limits.MaxLines
	if maxLines <= 0 {
		maxLines = maxLineNumber
	}
	content := blob.NewReader(ctx, in.Blobs, in.Content, 0, in.Content.Size())
	return &pass{
		ctx: ctx, in: in, content: content, maxLines: maxLines,
		scanner: jsonl.NewScanner(content, in.Limits.MaxLineBytes),
		ids:     extsort.New(extsort.Options{Temp: in.Temp, MaxMemory: in.SortMemory}),
	}, nil
}

// close gives back what the pass holds. What cannot be removed is swept at the next start, so it is only logged.
func (p *pass) close() {
	err := errors.Join(p.content.Close(), p.ids.Close())
	if p.entries != nil {
		err = errors.Join(err, p.entries.Close())
	}
	if err != nil {
		p.in.Logger.Warn("validation left temporary files", slog.Any("error", err))
	}
}

// next returns the entry of the next line without a fault, recording the faults of those before it, or io.EOF.
func (p *pass) next() (Entry, error) {
	for !p.ended {
		if err := p.checkContext(int(p.lines)); err != nil {
			return Entry{}, err
		}
		line, err := p.scanner.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Entry{}, fmt.Errorf("read input: %w", err)
		}
		// Only now is it known that the blank lines before this one are not at the end of the file. Of a long run only the
		// lines that can be among the lowest are described.
		described := min(line.BlanksBefore, maxFaults)
		first := line.Number - line.BlanksBefore
		for n := first; n < first+described; n++ {
			p.faults.add(n, p.in.Dialect.BlankLine)
		}
		p.faults.total += line.BlanksBefore - described
		if p.lines == p.maxLines || line.Number > maxLineNumber {
			p.faults.add(fileFault, func() batch.LineError { return p.in.Dialect.TooManyLines(p.maxLines) })
			break
		}
		p.lines++
		if e, ok, err := p.check(line); ok || err != nil {
			return e, err
		}
	}
	p.ended = true
	return Entry{}, io.EOF
}

// check looks at one line. It returns the line's entry if nothing is wrong with it, and records the first fault
// otherwise.
func (p *pass) check(line jsonl.Line) (Entry, bool, error) {
	if line.TooLong {
		p.faults.add(line.Number, func() batch.LineError {
			return p.in.Dialect.LineTooLong(p.in.Limits.MaxLineBytes)
		})
		return Entry{}, false, nil
	}
	parsed, err := p.in.Dialect.ParseLine(line.Bytes, p.in.Rules)
	if err != nil {
		var bad *dialect.LineFault
		if !errors.As(err, &bad) {
			return Entry{}, false, fmt.Errorf("parse line %d: %w", line.Number, err)
		}
		p.faults.add(line.Number, func() batch.LineError { return bad.LineError })
		return Entry{}, false, nil
	}
	model, good, faulty := p.resolve(line.Number, parsed.Model)
	// A line with a fault still takes its id: a later line must not have it too.
	if err := p.ids.Add(idRecord(parsed.CustomID, line, faulty), nil); err != nil {
		return Entry{}, false, fmt.Errorf("sort custom ids: %w", err)
	}
	return Entry{
		Model: model, Line: uint32(line.Number), Offset: line.Offset, Length: uint32(line.Length),
	}, good, nil
}

// finish does, once, what can only be done after the last line.
func (p *pass) finish() error {
	if p.finished {
		return nil
	}
	p.finished = true
	if p.lines == 0 && p.faults.total == 0 {
		p.faults.add(fileFault, p.in.Dialect.EmptyFile)
	}
	return p.findRepetitions()
}

// checkContext looks at the context every few calls: n counts them.
func (p *pass) checkContext(n int) error {
	if n%contextCheck != 0 {
		return nil
	}
	return context.Cause(p.ctx)
}
