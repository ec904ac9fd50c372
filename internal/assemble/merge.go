package assemble

import (
	"context"
	"errors"
	"fmt"
	"io"

	"batchd/internal/extsort"
)

// errLostLines means that what a merge put out is not what went in.
var errLostLines = errors.New("merge does not add up")

// sortedLines reads the payloads of a sorter one after the other. It keeps its context because it is read as an
// io.Reader.
type sortedLines struct {
	ctx    context.Context
	sorter *extsort.Sorter
	// last is the line that was begun last, 0 before the first.
	last uint64
	// err is what ended the reading, io.EOF included.
	err error
}

// Read fills p as far as it can. A line that comes twice is an error: some other one would be missing.
func (l *sortedLines) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && l.err == nil {
		var got int
		got, l.err = l.sorter.Read(p[n:])
		n += got
		if !errors.Is(l.err, io.EOF) {
			continue
		}
		if l.ctx.Err() != nil {
			l.err = context.Cause(l.ctx)
			break
		}
		var r extsort.Record
		if r, l.err = l.sorter.Next(); l.err == nil {
			if r.A <= l.last {
				l.err = fmt.Errorf("%w: line %d comes twice", errLostLines, r.A)
			}
			l.last = r.A
		}
	}
	if n > 0 {
		return n, nil
	}
	return 0, l.err
}
