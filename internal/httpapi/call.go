package httpapi

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"batchd/internal/batch"
	"batchd/internal/clock"
	"batchd/internal/dialect"
	"batchd/internal/store"
	"batchd/internal/tenant"
)

const (
	// MaxID is the longest id that is looked up. Every dialect's own are far shorter.
	MaxID = 128
	// maxJSONBody bounds the body of a JSON call, in bytes. It has room above 1 MiB so that one oversized value gets an error
	// that names it.
	maxJSONBody = batch.MiB + 64*batch.KiB
	// detachedFor bounds writes that must happen also when the client has gone.
	detachedFor = 30 * time.Second
	// drainFor is how long the rest of a refused upload is read, so that a client that does not listen before it
	// has sent everything sees the reason rather than a broken connection.
	drainFor = 10 * time.Second
)

// Call is one API request under way, as its handler sees it: who calls, in which dialect, and the ways to answer. It is
// for one goroutine, and ends with the handler.
type Call struct {
	// Profile is that of the dialect that the call speaks.
	dialect.Profile
	// Who calls; zero on a route that is open to anybody.
	Who     tenant.Identity
	Request *http.Request

	server *server
	mount  *Mount
	reply  *reply
}

// Now returns the time that is shown and stored: the wall clock's.
func (c *Call) Now() time.Time { return c.server.Now() }

// Time returns that time beside the one that decides.
func (c *Call) Time() clock.Time { return c.server.Time() }

// Steady returns the time that decides what has expired.
func (c *Call) Steady() time.Time { return c.Time().Steady }

// Context ends when the client goes away.
func (c *Call) Context() context.Context { return c.Request.Context() }

// Detached returns a context that goes on for a while when the client goes away, for writes that must not be left half
// done. The caller cancels it.
func (c *Call) Detached() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(c.Context()), detachedFor)
}

// Tidy runs remove, which deletes what a refused call has stored, also if the client has gone. An error is logged and no more:
// sweeping finds what is left.
func (c *Call) Tidy(remove func(ctx context.Context) error) {
	ctx, cancel := c.Detached()
	defer cancel()
	if err := remove(ctx); err != nil {
		c.server.Logger.LogAttrs(ctx, slog.LevelWarn, "remains of a refused call not removed",
			slog.String("request_id", c.reply.requestID), slog.Any("error", err))
	}
}

// ID returns the id in the path. One that cannot be any dialect's is not looked up: the answer is the same.
func (c *Call) ID(kind string) (string, error) {
	id := c.Request.PathValue("id")
	if !PlausibleID(id) {
		return "", c.Dialect.NotFound(kind, id)
	}
	return id, nil
}

// PlausibleID reports whether id could be an id of any dialect: short, and of letters, digits, "-" and "_".
func PlausibleID(id string) bool {
	const characters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
	return id != "" && len(id) <= MaxID && strings.Trim(id, characters) == ""
}

// Missing returns the dialect's error for the store's ErrNotFound; it wraps any other error with the object's name, and
// returns nil for nil.
func (c *Call) Missing(err error, kind, id string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrNotFound):
		return c.Dialect.NotFound(kind, id)
	default:
		return fmt.Errorf("%s %s: %w", kind, id, err)
	}
}

// RefuseEncoding returns the error of a request body that is compressed, nil for any other: no client compresses, and the
// length of such a body bounds nothing.
func (c *Call) RefuseEncoding() error {
	if e := c.Request.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return batch.Invalidf("", "", "Request bodies with a Content-Encoding are not accepted. Send the body uncompressed.")
	}
	return nil
}

// Body reads the body of a JSON call, which may be empty.
func (c *Call) Body() ([]byte, error) {
	if err := c.RefuseEncoding(); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.reply, c.Request.Body, maxJSONBody))
	var tooLarge *http.MaxBytesError
	var fault *batch.Error
	switch {
	case err == nil:
		return body, nil
	case errors.As(err, &tooLarge), errors.As(err, &fault): // the latter of a body that came too slowly
		return nil, fmt.Errorf("read request body: %w", err)
	default:
		return nil, batch.Invalidf("", "", "The request body ended early. Send the request again.")
	}
}

// PageLimit returns how many objects the call asks for at most.
func (c *Call) PageLimit(bounds dialect.PageBounds) (int, error) {
	const param = "limit"
	raw := c.Request.URL.Query().Get(param)
	if raw == "" {
		return bounds.Default, nil
	}
	// A number too large for int saturates, with an error that the bounds below word better.
	n, err := strconv.Atoi(raw)
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange):
		return 0, batch.Invalidf(param, "invalid_type", "Invalid 'limit': expected an integer.")
	case n >= 1 && n <= bounds.Max:
		return n, nil
	case c.Paging.Clamp:
		return min(max(n, 1), bounds.Max), nil
	case n < 1:
		return 0, batch.Invalidf(param, "integer_below_min_value", "Invalid 'limit': integer below minimum value. Expected a value >= 1, but got %s instead.", Clip(raw))
	default:
		return 0, batch.Invalidf(param, "integer_above_max_value", "Invalid 'limit': integer above maximum value. Expected a value <= %d, but got %s instead.", bounds.Max, Clip(raw))
	}
}

// After returns the id after which the page that the call asks for begins, "" for the first page.
func (c *Call) After() (string, error) {
	after := c.Request.URL.Query().Get("after")
	if after != "" && !PlausibleID(after) {
		return "", badCursor()
	}
	return after, nil
}

// RefuseUnread returns err for a call whose body was not read to its end. What the client is still sending is read first,
// within bounds.
func (c *Call) RefuseUnread(err error) error {
	if body, ok := c.Request.Body.(*pacedBody); ok {
		body.drain(drainFor)
	}
	c.Header().Set("Connection", "close")
	return err
}

// CheckRoom refuses a call that would store bytes while the server has too little disk space.
func (c *Call) CheckRoom() error {
	err := c.server.Node.StorageFull()
	if err == nil {
		return nil
	}
	var fault *batch.Error
	if errors.As(err, &fault) {
		return fault
	}
	c.server.Logger.LogAttrs(c.Context(), slog.LevelWarn, "upload refused",
		slog.String("request_id", c.reply.requestID), slog.Any("error", err))
	return storageFull()
}

// Header returns the header of the answer.
func (c *Call) Header() http.Header { return c.reply.Header() }

// Response returns the answer, for a handler that writes it piece by piece.
func (c *Call) Response() http.ResponseWriter { return c.reply }

// maxPacking is how many downloads are packed at once. Each takes more than a megabyte for as long as its client takes to read
// it; any other is sent as it is.
const maxPacking = 32

// TakeGzip reports whether an answer that is sent piece by piece may be packed in gzip: its client takes that, and there is
// memory for it. Then GiveGzip must be called once it is sent.
func (c *Call) TakeGzip() bool {
	if c.reply.compressors == nil {
		return false
	}
	if c.server.packing.Add(1) > maxPacking {
		c.GiveGzip()
		return false
	}
	return true
}

// GiveGzip ends what TakeGzip has allowed.
func (c *Call) GiveGzip() { c.server.packing.Add(-1) }

// Gzip returns a writer that compresses to dst, for a client that takes gzip. It has to be closed where the answer is
// complete, and released in any case.
func (c *Call) Gzip(dst io.Writer) (z *gzip.Writer, release func()) {
	z = compressor(c.reply.compressors, dst)
	return z, func() { giveBack(c.reply.compressors, z) }
}

// RequestID returns the id by which client and operator can speak of the call.
func (c *Call) RequestID() string { return c.reply.requestID }

// JSON writes an object and status 200. It returns an error while too many answers wait for their clients to read them.
func (c *Call) JSON(body []byte) error {
	if c.server.unsent.Load() > fullUnsent {
		return &batch.Error{
			Class:   batch.Unavailable,
			Message: "Too many answers wait to be read by those who asked for them. Send the request again later.",
		}
	}
	c.reply.json(http.StatusOK, body)
	return nil
}

// LogFailure logs an error that is the server's own. The transport does so for every such error that a handler returns.
func (c *Call) LogFailure(err error) {
	c.server.Logger.LogAttrs(c.Context(), slog.LevelError, "request failed",
		slog.String("request_id", c.reply.requestID), slog.String("route", c.reply.route), slog.Any("error", err))
}
