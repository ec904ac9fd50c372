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
		p.recordBlanks(line)
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

// recordBlanks records the blank lines before a line: only now is it known that they are not at the end. Of a long
// run only the lines that can be among the lowest are looked at.
func (p *pass) recordBlanks(line jsonl.Line) {
	described := min(line.BlanksBefore, maxFaults)
	first := line.Number - line.BlanksBefore
	for n := first; n < first+described; n++ {
		p.faults.add(n, p.in.Dialect.BlankLine)
	}
	p.faults.total += line.BlanksBefore - described
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
	model, checked := p.resolve(parsed.Model)
	faulty := p.recordModel(line.Number, parsed.Model, checked)
	// A line with a fault still takes its id: a later line must not have it too.
	if err := p.ids.Add(idRecord(parsed.CustomID, line, faulty), nil); err != nil {
		return Entry{}, false, fmt.Errorf("sort custom ids: %w", err)
	}
	return Entry{
		Model: model, Line: uint32(line.Number), Offset: line.Offset, Length: uint32(line.Length),
	}, checked == modelGood, nil
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
