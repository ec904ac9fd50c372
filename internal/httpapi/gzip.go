package httpapi

import (
	"compress/gzip"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"batchd/internal/batch"
)

// MinGzip is the longest body that is always sent as it is, in bytes: below that, compressing costs more than it saves.
const MinGzip = batch.KiB

// acceptsGzip reports whether a client asks for gzip and does not prefer plain bytes, which is what a client gets that asks
// for nothing.
func acceptsGzip(h http.Header) bool {
	// Below zero is what the header does not name.
	packed, plain, rest := -1.0, -1.0, -1.0
	for item := range strings.SplitSeq(strings.Join(h.Values("Accept-Encoding"), ","), ",") {
		coding, parameters, _ := strings.Cut(item, ";")
		q := quality(parameters)
		switch strings.ToLower(strings.TrimSpace(coding)) {
		case "gzip", "x-gzip":
			packed = max(packed, q)
		case "identity":
			plain = max(plain, q)
		case "*":
			rest = q
		}
	}
	if packed < 0 {
		packed = rest
	}
	return packed > 0 && packed >= plain
}

// quality reads the weight of a coding: 1 if there is none, 0 if it means nothing.
func quality(parameters string) float64 {
	name, value, ok := strings.Cut(parameters, "=")
	if !ok || !strings.EqualFold(strings.TrimSpace(name), "q") {
		return 1
	}
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err != nil || !(q >= 0 && q <= 1) { // so written, it refuses what is no number too
		return 0
	}
	return q
}

// compressor takes a writer from the pool and points it at dst. Speed matters more than the last percents: results are
// text, which the fastest level packs well.
func compressor(pool *sync.Pool, dst io.Writer) *gzip.Writer {
	z, ok := pool.Get().(*gzip.Writer)
	if !ok {
		z, _ = gzip.NewWriterLevel(nil, gzip.BestSpeed) // fails for unknown levels only
	}
	z.Reset(dst)
	return z
}

// giveBack returns a writer to the pool. What was not closed stays unfinished, so that nobody takes it for whole.
func giveBack(pool *sync.Pool, z *gzip.Writer) {
	z.Reset(nil)
	pool.Put(z)
}
