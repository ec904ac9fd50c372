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
	// chunk is what every call may hold of its answer: nearly all answers fit, and 4,096 calls at once hold 256 MiB at most.
	chunk = 64 << 10
	// maxLargeBody is what a call may hold with a permit of the LargeBodyBudget. Longer answers go to a file.
	maxLargeBody = 4 << 20
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
	// notFinite counts the numbers that JSON does not have, which are null in body. tooDeep says that nesting is why the body is
	// not taken for JSON.
	notFinite int
	tooDeep   bool
	// filled says which members of an answer hold something.
	filled [memberChoices + 1]bool
}

// LargeBodyBudget bounds a node's memory for answers over 64 KiB. Every call may hold 64 KiB of its answer; one that
// grows past that takes a permit, good for 4 MiB, and one that finds none free goes on in a file. Nobody ever waits for a
// permit, so that neither many long answers nor a slow one can stop the others. It may be used concurrently.
type LargeBodyBudget struct {
	// permits holds one element for each permit taken.
	permits chan struct{}
}

// NewLargeBodyBudget returns a budget of n permits, at least one.
func NewLargeBodyBudget(n int) *LargeBodyBudget {
	return &LargeBodyBudget{permits: make(chan struct{}, max(n, 1))}
}

func (l *LargeBodyBudget) tryAcquire() bool {
	select {
	case l.permits <- struct{}{}:
		return true
	default:
		return false
	}
}

func (l *LargeBodyBudget) release() { <-l.permits }

// InUse returns how many permits are taken.
func (l *LargeBodyBudget) InUse() int { return len(l.permits) }

// largeBody is a body in memory that holds a permit until it is closed.
type largeBody struct {
	batch.MemoryBody
	release func()
}

// Close gives the permit back; a second call does nothing.
func (b *largeBody) Close() error {
	b.release()
	return nil
}

// bodyReader reads the bodies of answers into memory or files. It may be used concurrently.
type bodyReader struct {
	// max is the longest body in bytes, after decompression.
	max      int64
	budget   *LargeBodyBudget
	spoolDir string

	chunks   pool[[chunk]byte]
	scanners pool[scanner]
}

func newBodyReader(o Options) *bodyReader {
	return &bodyReader{max: o.MaxResponseBytes, budget: o.LargeBodies, spoolDir: o.SpoolDir}
}

// byteOrderMark is UTF-8's. RFC 8259 forbids it and lets a reader ignore it.
var byteOrderMark = []byte("\xef\xbb\xbf")

// read reads r to its end, without a byte order mark. Besides the errors of r it returns errTooLarge, and errSpool when the disk failed.
func (b *bodyReader) read(r io.Reader) (content, error) {
	r = &capped{r: r, left: b.max}
	buf := b.chunks.take()
	defer b.chunks.give(buf)
	sc := b.scanners.take()
	defer b.scanners.give(sc)
	sc.reset()

	n, ended, err := fill(r, buf[:])
	head := bytes.TrimPrefix(buf[:n], byteOrderMark)
	switch {
	case err != nil:
		return content{}, err
	case ended:
		return contentOf(sc, head, bytes.Clone), nil
	case b.budget.tryAcquire():
		return b.readLarge(r, sc, head, buf)
	default:
		return b.startSpool(sc, head).drain(r, buf)
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

// readLarge goes on from head in memory, under the permit that the caller took.
func (b *bodyReader) readLarge(r io.Reader, sc *scanner, head []byte, buf *[chunk]byte) (content, error) {
	raw := append(make([]byte, 0, 4*chunk), head...)
	for len(raw) < maxLargeBody {
		if len(raw) == cap(raw) {
			raw = append(make([]byte, 0, min(2*cap(raw), maxLargeBody)), raw...)
		}
		n, ended, err := fill(r, raw[len(raw):cap(raw)])
		raw = raw[:len(raw)+n]
		if ended {
			asIs := func(raw []byte) []byte { return raw }
			c := contentOf(sc, raw, asIs)
			c.body = &largeBody{MemoryBody: c.body.Bytes(), release: sync.OnceFunc(b.budget.release)}
			return c, nil
		}
		if err != nil {
			b.budget.release()
			return content{}, err
		}
	}
	w := b.startSpool(sc, raw)
	b.budget.release()
	return w.drain(r, buf)
}

// contentOf makes the content of a body that is wholly in memory. keep returns bytes that outlive raw.
func contentOf(sc *scanner, raw []byte, keep func([]byte) []byte) content {
	if !sc.write(raw) || !sc.close() {
		return content{body: quoted(raw), tooDeep: sc.tooDeep}
	}
	c := content{isJSON: true, found: sc.found, notFinite: sc.notFinite, filled: sc.filled}
	if sc.lineBreaks {
		joinLines(raw)
	}
	fit := raw
	if sc.notFinite > 0 {
		fit = new(finite).append(nil, fit)
	}
	if !utf8.Valid(fit) {
		fit = toUTF8(fit)
	}
	fit = batch.EscapeSeparators(fit)
	if len(fit) > 0 && &fit[0] == &raw[0] {
		fit = keep(raw)
	}
	c.body = batch.MemoryBody(fit)
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
	return batch.MemoryBody(batch.EscapeSeparators(out))
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
