package httpapi

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// reply is a response under way: it adds the headers that every response has and remembers what was sent.
type reply struct {
	http.ResponseWriter
	now       func() time.Time
	start     time.Time
	requestID string
	// route is the pattern that was matched, for metrics; "" for none.
	route string
	// compressors is nil unless the client takes gzip.
	compressors *sync.Pool
	// status is 0 until the header is written.
	status int
	bytes  int64
}

// newReply begins a reply, under a new request id. Every response names it, also one that a panic cuts short.
func newReply(w http.ResponseWriter, now func() time.Time) *reply {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails: crypto/rand ends the process first
	rep := &reply{ResponseWriter: w, now: now, start: now(), requestID: "req_" + hex.EncodeToString(id[:])}
	h := w.Header()
	h.Set("X-Request-Id", rep.requestID)
	h.Set("Openai-Version", "2020-10-01")
	return rep
}

// replyOf returns the reply that ServeHTTP has made of a response.
func replyOf(w http.ResponseWriter) *reply {
	return w.(*reply) //nolint:errcheck // ServeHTTP gives handlers nothing else
}

// WriteHeader sends the header, with the time it took to get there.
func (p *reply) WriteHeader(status int) {
	if p.status == 0 {
		p.status = status
		p.Header().Set("Openai-Processing-Ms", strconv.FormatInt(p.elapsed().Milliseconds(), 10))
	}
	p.ResponseWriter.WriteHeader(status)
}

// Write sends part of the body.
func (p *reply) Write(b []byte) (int, error) {
	if p.status == 0 {
		p.WriteHeader(http.StatusOK)
	}
	n, err := p.ResponseWriter.Write(b)
	p.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (p *reply) Unwrap() http.ResponseWriter { return p.ResponseWriter }

func (p *reply) elapsed() time.Duration { return p.now().Sub(p.start) }

// json sends a whole JSON response.
func (p *reply) json(status int, body []byte) { p.whole(status, "application/json", body) }

// whole sends a response that is all in memory, packed if the client takes that and it is worth it.
func (p *reply) whole(status int, contentType string, body []byte) {
	h := p.Header()
	h.Set("Content-Type", contentType)
	if int64(len(body)) > MinGzip {
		h.Add("Vary", "Accept-Encoding")
		if p.compressors != nil {
			h.Set("Content-Encoding", "gzip")
			var packed bytes.Buffer
			z := compressor(p.compressors, &packed)
			_, _ = z.Write(body) // a buffer takes everything
			_ = z.Close()
			giveBack(p.compressors, z)
			body = packed.Bytes()
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	p.WriteHeader(status)
	_, _ = p.Write(body) // a client that has gone needs no answer
}
