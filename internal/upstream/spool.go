package upstream

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"unicode/utf8"

	"batchd/internal/batch"
)

var errNotJSON = errors.New("not JSON")

// spooler makes what is written to it fit for a line, and puts it into a file.
type spooler struct {
	file *spoolFile
	scan *scanner
	// err is the first thing that went wrong.
	err error
	// cut is the begin of a character whose rest is in the next piece.
	cut []byte
	// numbers takes out those that JSON does not have.
	numbers finite
	// fit is room for a piece without them.
	fit []byte
}

// startSpool puts what was read so far into a file. It fails in drain.
func (b *bodyReader) startSpool(sc *scanner, head []byte) *spooler {
	w := &spooler{scan: sc}
	w.file, w.err = newSpoolFile(b.spoolDir)
	w.write(head)
	return w
}

// drain takes the rest of the answer from r, by way of buf. A body that is found to be no JSON is not read further: it
// is too long to be quoted in a line.
func (w *spooler) drain(r io.Reader, buf *[chunk]byte) (content, error) {
	for ended := false; w.err == nil && !ended; {
		var n int
		var err error
		n, ended, err = fill(r, buf[:])
		if w.write(buf[:n]); w.err == nil {
			w.err = err
		}
	}
	w.put(w.cut) // a character that was cut for ever
	if w.err == nil && !w.scan.close() {
		w.err = errNotJSON
	}
	if w.err == nil {
		return content{body: w.file, isJSON: true, found: w.scan.found, notFinite: w.scan.notFinite, filled: w.scan.filled}, nil
	}
	if w.file != nil {
		_ = w.file.Close() // its bytes are given up
	}
	if errors.Is(w.err, errNotJSON) {
		return content{tooDeep: w.scan.tooDeep}, nil
	}
	return content{}, w.err
}

// write takes the next piece, whose bytes it may change. A character that the piece cuts is kept for the next one: each half
// by itself would be taken for damage.
func (w *spooler) write(p []byte) {
	if len(w.cut) > 0 {
		p = append(w.cut, p...)
	}
	whole := len(p) - cutCharacter(p)
	w.cut = append([]byte(nil), p[whole:]...)
	w.put(p[:whole])
}

// put checks, repairs and stores a piece of whole characters.
func (w *spooler) put(p []byte) {
	if w.err != nil {
		return
	}
	if !w.scan.write(p) {
		w.err = errNotJSON
		return
	}
	if w.scan.lineBreaks {
		joinLines(p)
		w.scan.lineBreaks = false
	}
	// Every piece, since a literal may be cut by the end of one.
	w.fit = w.numbers.append(w.fit[:0], p)
	p = w.fit
	if !utf8.Valid(p) {
		p = toUTF8(p)
	}
	w.err = w.file.append(batch.EscapeSeparators(p))
}

// cutCharacter returns how many bytes at the end of p are the begin of a character that is not whole.
func cutCharacter(p []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(p); n++ {
		c := p[len(p)-n]
		if utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(p[len(p)-n:]) {
				return n
			}
			return 0
		}
	}
	return 0
}

// spoolFile is a body in a temporary file. The file has no name from the start where the system allows that, so that
// a crash leaves nothing behind.
type spoolFile struct {
	file *os.File
	size int64
	// name is "" once the file's name is gone.
	name  string
	close func() error
}

var _ batch.Body = (*spoolFile)(nil)

func newSpoolFile(dir string) (*spoolFile, error) {
	file, err := os.CreateTemp(dir, "answer-*")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSpool, err)
	}
	f := &spoolFile{file: file, name: file.Name()}
	if os.Remove(f.name) == nil {
		f.name = ""
	}
	f.close = sync.OnceValue(func() error {
		err := f.file.Close()
		if f.name != "" {
			err = errors.Join(err, os.Remove(f.name))
		}
		return err
	})
	return f, nil
}

func (f *spoolFile) append(p []byte) error {
	n, err := f.file.Write(p)
	f.size += int64(n)
	if err != nil {
		return fmt.Errorf("%w: %w", errSpool, err)
	}
	return nil
}

// Len returns the number of bytes.
func (f *spoolFile) Len() int64 { return f.size }

// Bytes returns nil: the body is not in memory.
func (f *spoolFile) Bytes() []byte { return nil }

// ReadAt reads like io.ReaderAt.
func (f *spoolFile) ReadAt(p []byte, off int64) (int, error) { return f.file.ReadAt(p, off) }

// Close removes the file; a second call does nothing.
func (f *spoolFile) Close() error { return f.close() }
