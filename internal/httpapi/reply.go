package httpapi

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"batchd/internal/batch"
	"batchd/internal/tenant"
)

// reply is a response under way: it adds the headers that every response has and remembers what was sent.
type reply struct {
	http.ResponseWriter
	control *http.ResponseController
	// timeout is how long the client may take for each piece of the answer.
	timeout time.Duration
	// unsent counts the bytes of answers that are whole in memory and being sent, of all calls.
	unsent    *atomic.Int64
	now       func() time.Time
	start     time.Time
	requestID string
	// route is the pattern that was matched, for metrics; "" for none.
	route string
	// record is what is logged of a call by which somebody administers the server or acts for another tenant; level is
	// that of its line.
	record []slog.Attr
	level  slog.Level
	// compressors is nil unless the client takes gzip.
	compressors *sync.Pool
	// status is 0 until the header is written.
	status int
	bytes  int64
}

const (
	// sendPiece is how much of an answer a client must take at a time.
	sendPiece = 64 * int(batch.KiB)
	// maxUnsent is how many bytes answers may have that wait in memory for their clients to read them. Beyond that a client is
	// cut off that does not take a piece within hurriedTimeout: few are so slow, and all of those that read nothing.
	maxUnsent      = 32 * batch.MiB
	hurriedTimeout = time.Second
	// fullUnsent is how many bytes they may have at most: while there are as many, calls are told to come back.
	fullUnsent = 4 * maxUnsent
)

// newReply begins the reply to r, under a new request id. Every response names it, also one that a panic cuts short.
func (s *server) newReply(w http.ResponseWriter, r *http.Request) *reply {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails: crypto/rand ends the process first
	rep := &reply{
		ResponseWriter: w, control: http.NewResponseController(w), timeout: s.SendTimeout, unsent: &s.unsent,
		now: s.Now, start: s.Now(), requestID: "req_" + hex.EncodeToString(id[:]), level: slog.LevelDebug,
	}
	// The answer before, on the same connection, has left its deadline there, which is for what the server sent after its
	// handler. Deadlines are times of the machine's clock; a writer without a connection has none.
	_ = rep.control.SetWriteDeadline(time.Time{})
	if acceptsGzip(r.Header) {
		rep.compressors = &s.compressors
	}
	h := w.Header()
	h.Set("X-Request-Id", rep.requestID)
	h.Set("Openai-Version", "2020-10-01")
	return rep
}

// replyOf returns the reply that ServeHTTP has made of a response.
func replyOf(w http.ResponseWriter) *reply {
	return w.(*reply) //nolint:errcheck // ServeHTTP gives handlers nothing else
}

// log has the request's line in the log say who acted and for which tenant. One that changes something, or is about
// content, is logged for whoever wants to know later who did what, the others as any request is.
func (p *reply) log(who tenant.Identity, method string, content bool) {
	p.record = append(p.record, slog.String("key", who.KeyID))
	if who.Acting {
		p.record = append(p.record, slog.String("tenant", who.Tenant))
	}
	if content || method != http.MethodGet && method != http.MethodHead {
		p.level = slog.LevelInfo
	}
}

// WriteHeader sends the header, with the time it took to get there.
func (p *reply) WriteHeader(status int) {
	if p.status == 0 {
		p.status = status
		p.Header().Set("Openai-Processing-Ms", strconv.FormatInt(p.elapsed().Milliseconds(), 10))
	}
	p.hold()
	p.ResponseWriter.WriteHeader(status)
}

// hold lets the client take its time for what is sent next. The deadline stays when the handler is done: the end of a short
// answer is sent only then.
func (p *reply) hold() { _ = p.control.SetWriteDeadline(time.Now().Add(p.timeout)) }

// Write sends part of the body, each piece of it within its own time.
func (p *reply) Write(b []byte) (int, error) {
	if p.status == 0 {
		p.WriteHeader(http.StatusOK)
	}
	sent := 0
	for more := true; more; more = sent < len(b) {
		p.hold()
		n, err := p.ResponseWriter.Write(b[sent:min(sent+sendPiece, len(b))])
		sent += n
		p.bytes += int64(n)
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
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
	if p.unsent.Add(int64(len(body))) > maxUnsent {
		p.timeout = min(p.timeout, hurriedTimeout)
	}
	defer p.unsent.Add(-int64(len(body)))
	p.WriteHeader(status)
	_, _ = p.Write(body) // a client that has gone needs no answer
}

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
