package httpapi

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"batchd/internal/batch"
)

// pacedBody is a request's body that has to keep coming: a client from which too few bytes arrive while the server
// waits is cut off. Only waiting counts, so a slow disk is never the client's fault. All of it is on the machine's
// clock, as the deadlines of connections are.
type pacedBody struct {
	io.ReadCloser
	control *http.ResponseController
	// quantum is how many bytes must arrive within patience; got of them have, and left of the patience is left.
	quantum  int64
	patience time.Duration
	got      int64
	left     time.Duration
	// unasked is set while the client waits for "100 Continue", which the first Read sends.
	unasked bool
	// alone is set where the request has the connection to itself, as in HTTP/1.
	alone bool
	// err is set once the client was too slow.
	err error
}

// pace bounds how long the body of a request may take to arrive: rate bytes a second, over patience. The bound also holds for
// a handler that leaves the body unread, because the server then reads on before it takes the next request.
func pace(w http.ResponseWriter, r *http.Request, rate int64, patience time.Duration) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	b := &pacedBody{
		ReadCloser: r.Body, control: http.NewResponseController(w),
		quantum: rate * int64(patience/time.Millisecond) / 1000, patience: patience,
		left: patience, alone: r.ProtoMajor == 1, unasked: strings.EqualFold(r.Header.Get("Expect"), "100-continue"),
	}
	// A writer without a connection has no deadline to set, and needs none: nothing is waited for.
	_ = b.control.SetReadDeadline(time.Now().Add(b.left))
	r.Body = b
}

// Read reads from the body, or returns a *batch.Error once the client has been too slow.
func (b *pacedBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	start := time.Now()
	if b.unasked {
		b.unasked = false
		if b.alone { // else the deadline would be that of the whole exchange
			_ = b.control.SetWriteDeadline(start.Add(b.patience)) // for a client that does not read that it may go on
		}
	}
	_ = b.control.SetReadDeadline(start.Add(b.left))
	n, err := b.ReadCloser.Read(p)
	b.count(int64(n), time.Since(start))
	switch {
	case errors.Is(err, io.EOF):
		// From here on the server watches the connection for the client's leaving, which a deadline would look like.
		_ = b.control.SetReadDeadline(time.Time{})
		return n, err
	case errors.Is(err, os.ErrDeadlineExceeded) || b.left <= 0:
		b.err = &batch.Error{
			Class:   batch.TooSlow,
			Message: "The request body arrived too slowly, and was given up. Send the request again over a faster connection.",
		}
		return n, b.err
	default:
		return n, err
	}
}

// count takes note of n bytes that were waited for. Enough of them bring back the whole patience.
func (b *pacedBody) count(n int64, waited time.Duration) {
	b.left -= waited
	if b.got += n; b.got >= b.quantum {
		b.got, b.left = 0, b.patience
	}
}

// drain reads what the client still sends, for at most limit. A client that was too slow has been waited for enough, and one
// that still waits for "100 Continue" sends nothing.
func (b *pacedBody) drain(limit time.Duration) {
	if b.err != nil || b.unasked {
		return
	}
	if b.control.SetReadDeadline(time.Now().Add(limit)) != nil {
		return
	}
	if _, err := io.Copy(io.Discard, b.ReadCloser); err == nil {
		_ = b.control.SetReadDeadline(time.Time{})
	}
}
