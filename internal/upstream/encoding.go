package upstream

import (
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
)

// errEncoding says that an answer came in a content encoding that batchd does not read.
var errEncoding = errors.New("unknown content encoding")

// A decompressed answer may be so many times longer than what came over the wire, once it is too long for memory. Text
// and numbers stay far below; below the threshold any ratio passes, since a model that repeats itself compresses well.
const maxRatio = 200

// decoder undoes one gzip encoding. batchd asks for none, as the way to an upstream is short and its answers small, but
// proxies compress what they like.
type decoder struct {
	readers pool[gzip.Reader]
}

// open returns a reader of the decoded body, and a function to call when it is done with.
func (d *decoder) open(h http.Header, body io.Reader) (io.Reader, func(), error) {
	switch strings.ToLower(strings.TrimSpace(strings.Join(h["Content-Encoding"], ","))) {
	case "", "identity":
		return body, func() {}, nil
	case "gzip", "x-gzip":
	default:
		return nil, nil, errEncoding
	}
	counted := &counter{r: body}
	z := d.readers.take()
	if err := z.Reset(counted); errors.Is(err, io.EOF) {
		return nil, nil, io.ErrUnexpectedEOF
	} else if err != nil {
		return nil, nil, err
	}
	return &ratioGuard{z: z, wire: counted}, func() { d.readers.give(z) }, nil
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// ratioGuard stops a decompression bomb.
type ratioGuard struct {
	z    *gzip.Reader
	wire *counter
	n    int64
}

func (g *ratioGuard) Read(p []byte) (int, error) {
	n, err := g.z.Read(p)
	g.n += int64(n)
	if g.n > maxLargeBody && g.n/maxRatio > g.wire.n {
		return n, errTooLarge
	}
	return n, err
}
