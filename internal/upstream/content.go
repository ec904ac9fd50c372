package upstream

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"batchd/internal/batch"
)

const (
	// chunk is what every call may hold of its answer.
	chunk = 64 << 10
	// overdrawnMax is what a call may hold with a permit.
	overdrawnMax = 4 << 20
)

// Errors of reading an answer that the upstream's bytes alone do not explain.
var (
	errTooLarge = errors.New("answer longer than the limit")
	errSpool    = errors.New("spool answer")
)

// content is an answer's body.
type content struct {
	// body is fit to stand in a line. It is nil for a body that is no JSON and too long to be quoted.
	body batch.Body
	// isJSON says that the body was JSON as it came; found is then what it says.
	isJSON bool
	found  answer
}

// intake reads the bodies of answers into memory or files. It may be used concurrently.
type intake struct {
	max       int64
	overdraft *Overdraft
	spoolDir  string

	chunks   pool[[chunk]byte]
	scanners pool[scanner]
}

func newIntake(o Options) *intake {
	return &intake{max: o.MaxResponseBytes, overdraft: o.Overdraft, spoolDir: o.SpoolDir}
}

// read reads r to its end. Besides the errors of r it returns errTooLarge, and errSpool when the disk failed.
func (in *intake) read(r io.Reader) (content, error) {
	r = &capped{r: r, left: in.max}
	buf := in.chunks.take()
	defer in.chunks.give(buf)
	sc := in.scanners.take()
	defer in.scanners.give(sc)
	sc.reset()

	n, ended, err := fill(r, buf[:])
	switch {
	case err != nil:
		return content{}, err
	case ended:
		return in.settle(sc, buf[:n], bytes.Clone), nil
	case in.overdraft.tryAcquire():
		return in.overdraw(r, sc, buf)
	default:
		return in.startSpool(sc, buf[:]).drain(r, buf)
	}
}

// pool keeps values for the next call, whatever state they are in.
type pool[T any] struct{ free sync.Pool }

func (p *pool[T]) take() *T {
	if v, ok := p.free.Get().(*T); ok {
		return v
	}
	return new(T)
}

func (p *pool[T]) give(v *T) { p.free.Put(v) }

// fill reads until p is full or r has ended. Unlike io.ReadFull it keeps apart the end of r and r's own
// io.ErrUnexpectedEOF, which says that the answer was cut short; and like it, it takes for the end only io.EOF itself.
func fill(r io.Reader, p []byte) (n int, ended bool, err error) {
	for n < len(p) {
		m, err := r.Read(p[n:])
		n += m
		if err == io.EOF {
			return n, true, nil
		}
		if err != nil {
			return n, false, err
		}
	}
	return n, false, nil
}

// overdraw goes on in memory, under the permit that the caller took.
func (in *intake) overdraw(r io.Reader, sc *scanner, buf *[chunk]byte) (content, error) {
	raw := append(make([]byte, 0, 4*chunk), buf[:]...)
	for len(raw) < overdrawnMax {
		if len(raw) == cap(raw) {
			raw = append(make([]byte, 0, min(2*cap(raw), overdrawnMax)), raw...)
		}
		n, ended, err := fill(r, raw[len(raw):cap(raw)])
		raw = raw[:len(raw)+n]
		if ended {
			asIs := func(b []byte) []byte { return b }
			c := in.settle(sc, raw, asIs)
			c.body = newOverdrawn(c.body.Bytes(), in.overdraft)
			return c, nil
		}
		if err != nil {
			in.overdraft.release()
			return content{}, err
		}
	}
	w := in.startSpool(sc, raw)
	in.overdraft.release()
	return w.drain(r, buf)
}

// settle makes the content of a body that is wholly in memory. keep returns bytes that outlive raw.
func (in *intake) settle(sc *scanner, raw []byte, keep func([]byte) []byte) content {
	if !sc.write(raw) || !sc.close() {
		return content{body: quoted(raw)}
	}
	if sc.lineBreaks {
		joinLines(raw)
	}
	c := content{isJSON: true, found: sc.found}
	if utf8.Valid(raw) {
		c.body = batch.MemoryBody(keep(raw))
	} else {
		c.body = batch.MemoryBody(toUTF8(raw))
	}
	return c
}

// joinLines makes raw CR and LF spaces. In valid JSON they stand only between tokens.
func joinLines(raw []byte) {
	for i, c := range raw {
		if c == '\n' || c == '\r' {
			raw[i] = ' '
		}
	}
}

func toUTF8(raw []byte) []byte { return bytes.ToValidUTF8(raw, []byte("\uFFFD")) }

// quoted returns text that is not JSON as a JSON string; the empty text becomes null, since nothing was said.
func quoted(raw []byte) batch.Body {
	if len(raw) == 0 {
		return batch.MemoryBody("null")
	}
	// The error only tells that invalid UTF-8 was replaced, which is what we want.
	out, _ := jsontext.AppendQuote(nil, raw)
	return batch.MemoryBody(out)
}

// capped passes on at most left bytes, then fails with errTooLarge.
type capped struct {
	r    io.Reader
	left int64
}

func (c *capped) Read(p []byte) (int, error) {
	if c.left < 0 {
		return 0, errTooLarge
	}
	if int64(len(p)) > c.left+1 {
		p = p[:c.left+1]
	}
	n, err := c.r.Read(p)
	c.left -= int64(n)
	if c.left < 0 {
		return n, errTooLarge
	}
	return n, err
}
