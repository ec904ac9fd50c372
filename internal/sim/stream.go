package sim

import (
	"bytes"
	"context"
	"io"
	"iter"
	"net/http"
	"strconv"
)

const (
	// minSize is the shortest sized body: its frame, and something in it.
	minSize = 16
	// bombBlock is what one member of a bomb expands to.
	bombBlock = 1 << 20

	paddingHead, paddingTail = `{"padding":"`, `"}`
)

// sized yields a JSON object of exactly n bytes, in blocks.
func sized(n int64) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if !yield([]byte(paddingHead)) {
			return
		}
		block := bytes.Repeat([]byte("a"), 64<<10)
		for left := n - int64(len(paddingHead)+len(paddingTail)); left > 0; left -= int64(len(block)) {
			if !yield(block[:min(left, int64(len(block)))]) {
				return
			}
		}
		yield([]byte(paddingTail))
	}
}

// bomb yields gzip that expands to a JSON object of at least n bytes. Readers take a gzip stream of many members as
// one, so a single compressed block is repeated: a bomb of any size costs next to nothing here.
func bomb(n int64) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if !yield(gzipped([]byte(paddingHead))) {
			return
		}
		block := gzipped(bytes.Repeat([]byte("a"), bombBlock))
		for left := n; left > 0; left -= bombBlock {
			if !yield(block) {
				return
			}
		}
		yield(gzipped([]byte(paddingTail)))
	}
}

// begin writes the head of an answer whose body follows; a length below 0 leaves it to chunks.
func (c *call) begin(rep reply, length int64) {
	h := c.w.Header()
	c.stamp(h)
	for k, vs := range rep.header {
		h[k] = vs
	}
	if length >= 0 {
		h.Set("Content-Length", strconv.FormatInt(length, 10))
	}
	c.Status = rep.status
	c.w.WriteHeader(rep.status)
}

// sendStream writes a body of blocks until it ends, the client leaves or the engine goes down.
func (c *call) sendStream(ctx context.Context, rep reply, length int64, blocks iter.Seq[[]byte]) error {
	if length < 0 {
		rep.header.Set("Content-Encoding", "gzip")
	}
	c.begin(rep, length)
	for block := range blocks {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if _, err := c.w.Write(block); err != nil {
			return err
		}
	}
	return nil
}

// sendSlowly writes a body piece by piece.
func (c *call) sendSlowly(ctx context.Context, rep reply, d Drip) error {
	c.begin(rep, int64(len(rep.body)))
	flusher := http.NewResponseController(c.w)
	_ = flusher.Flush() // a writer that cannot flush is only less slow
	for body := bytes.NewReader(rep.body); body.Len() > 0; {
		if err := sleep(ctx, d.Every); err != nil {
			return err
		}
		if _, err := io.CopyN(c.w, body, int64(min(d.Bytes, body.Len()))); err != nil {
			return err
		}
		_ = flusher.Flush()
	}
	return nil
}
