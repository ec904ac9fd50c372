package retry

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"

	"batchd/internal/dialect"
	"batchd/internal/jsonl"
)

// customIDs reads the custom_id of input lines.
type customIDs struct {
	dialect dialect.Dialect
	rules   dialect.LineRules
}

// lines is a stream of the input lines that stand in the error file: it yields what next finds. It is read by one goroutine.
type lines struct {
	ids customIDs
	// scanner reads the input file, decoder the error file. Neither goes back: both files are in input order.
	scanner *jsonl.Scanner
	decoder *jsontext.Decoder
	// wanted is the custom_id of the error line whose input line comes next.
	wanted []byte
	// ready is what of the current line was not read yet.
	ready []byte
	line  bytes.Buffer
	found int64
	err   error
}

// Read reads the lines, each with a line break.
func (l *lines) Read(p []byte) (int, error) {
	for len(l.ready) == 0 {
		if l.err == nil {
			l.err = l.next()
		}
		if l.err != nil {
			return 0, l.err
		}
	}
	n := copy(p, l.ready)
	l.ready = l.ready[n:]
	return n, nil
}

// next makes the next line ready, or returns io.EOF after the last one.
func (l *lines) next() error {
	// A line that could not be read when it was to be run stands in the error file without its custom_id: it is passed over.
	for l.wanted = nil; l.wanted == nil; {
		var err error
		if l.wanted, err = customID(l.decoder); errors.Is(err, io.EOF) {
			return io.EOF
		} else if err != nil {
			return fmt.Errorf("read error file: %w", err)
		}
	}
	for {
		in, err := l.scanner.Next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("no input line has the custom_id %q of a result: %w", l.wanted, io.ErrUnexpectedEOF)
		}
		if err != nil {
			return fmt.Errorf("read input: %w", err)
		}
		parsed, err := l.ids.dialect.ParseLine(in.Bytes, l.ids.rules)
		if err != nil {
			continue // a line that cannot be read any more stands in the error file without its custom_id
		}
		if bytes.Equal(parsed.CustomID, l.wanted) {
			l.line.Reset()
			l.line.Write(in.Bytes)
			l.line.WriteByte('\n')
			l.ready = l.line.Bytes()
			l.found++
			return nil
		}
	}
}

// customID reads one result line and returns its custom_id, nil for null. Every dialect writes that member alike, and
// no answer is held in memory on the way.
func customID(d *jsontext.Decoder) ([]byte, error) {
	if _, err := d.ReadToken(); err != nil {
		return nil, err // io.EOF only here, between two lines
	}
	var id []byte
	for d.PeekKind() != jsontext.KindEndObject {
		name, err := d.ReadToken()
		if err != nil {
			return nil, cut(err)
		}
		if name.String() != "custom_id" {
			if err := d.SkipValue(); err != nil {
				return nil, cut(err)
			}
			continue
		}
		value, err := d.ReadToken()
		if err != nil {
			return nil, cut(err)
		}
		if value.Kind() == jsontext.KindString {
			id = []byte(value.String())
		}
	}
	_, err := d.ReadToken()
	return id, cut(err)
}

// cut keeps a file that ends inside a line from looking like one that ends after it.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
