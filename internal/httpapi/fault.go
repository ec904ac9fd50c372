package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/dialect"
	"batchd/internal/store"
)

const (
	// statusClientGone is for the log and the metrics only: nobody is there to read it.
	statusClientGone = 499
	// unavailableFor is how long a client should wait when the server cannot take a call and does not know better.
	unavailableFor = 5 * time.Second
	// codeRate is the code of every limit that time alone lifts.
	codeRate = "rate_limit_exceeded"
	// codeStorage is the code of every limit that only deleting files lifts.
	codeStorage = "storage_limit_exceeded"
	// maxRetryAfter is the longest that a client is told to wait: SDKs do not come back at all when told more.
	maxRetryAfter = 2 * time.Minute
	// batchesEnd is how long to wait for room that the tenant's own batches make as they end. When that will be is not
	// known, so it is how often to look.
	batchesEnd = time.Minute
)

// answerError answers with err. Once part of the body has been sent the connection is cut instead, so that the client
// cannot take what it has for the whole.
func answerError(c *Call, err error) {
	status, fault := statusOf(c.Dialect, err)
	if c.Context().Err() != nil && errors.Is(err, context.Canceled) {
		status = statusClientGone
	}
	if fault == nil {
		if status != statusClientGone {
			c.LogFailure(err)
		}
		fault = &batch.Error{Message: "The server had an error while processing your request. Its request id is " + c.reply.requestID + "."}
	}
	if c.reply.status != 0 {
		panic(http.ErrAbortHandler)
	}
	if errors.Is(err, blob.ErrNoSpace) || errors.Is(err, store.ErrNoSpace) {
		c.server.Logger.LogAttrs(c.Context(), slog.LevelWarn, "request refused: the disk is full",
			slog.String("request_id", c.reply.requestID), slog.String("route", c.reply.route), slog.Any("error", err))
	}
	told := *fault
	if wantsBytes(err, fault) {
		told.Message += freeing(c)
	}
	if told.Class == batch.Unavailable {
		told.RetryAfter = cmp.Or(told.RetryAfter, unavailableFor)
	}
	told.RetryAfter = retryAfter(told.RetryAfter)
	advise(c.Header(), &told, status)
	var unknown *unknownPath
	if d, ok := c.Dialect.(dialect.NotFoundResponder); ok && errors.As(err, &unknown) {
		if body, contentType := d.UnknownPath(); body != nil {
			c.reply.whole(status, contentType, body)
			return
		}
	}
	c.reply.json(status, c.Dialect.Error(&told, status))
}

// wantsBytes reports whether fault is about bytes that there is no room for, so that it matters which ones go.
func wantsBytes(err error, fault *batch.Error) bool {
	var quota *store.QuotaError
	return fault.Class == batch.StorageFull || errors.As(err, &quota) && quota.Quota == store.QuotaStoredBytes
}

// freeing says which bytes the caller's tenant has deleted that are stored still, and when they go, as sentences that follow
// on others; "" if there are none. Other tenants' are no business of theirs.
func freeing(c *Call) string {
	if c.Who.Tenant == "" {
		return ""
	}
	f, err := c.server.Node.Freeing(c.Context(), c.Who.Tenant)
	if err != nil {
		// The refusal is true without it.
		c.server.Logger.LogAttrs(c.Context(), slog.LevelWarn, "deleted bytes not counted",
			slog.String("request_id", c.reply.requestID), slog.Any("error", err))
		return ""
	}
	var b strings.Builder
	if f.Bytes > 0 {
		fmt.Fprintf(&b, " %s bytes of your deleted files are still on the disk and go by %s UTC.",
			humanize.Comma(f.Bytes), f.By.UTC().Add(time.Second-1).Format(time.TimeOnly))
	}
	if f.Held > 0 {
		fmt.Fprintf(&b, " %s bytes of your deleted files are read by batches and go when these have ended.", humanize.Comma(f.Held))
	}
	return b.String()
}

// advise sets the headers by which a client's program knows what to do about fault: when to come back, and whether at all.
func advise(h http.Header, fault *batch.Error, status int) {
	switch {
	case fault.RetryAfter > 0:
		h.Set("Retry-After", strconv.FormatInt(int64(fault.RetryAfter/time.Second), 10))
	case fault.Class == batch.Conflict, fault.Class == batch.StorageFull, fault.Class == batch.RateLimited,
		fault.Class == batch.Unreadable:
		// SDKs send these statuses again of their own accord, which here can only fail again.
		h.Set("X-Should-Retry", "false")
	}
	if status == http.StatusUnauthorized {
		h.Set("Www-Authenticate", "Bearer")
	}
}

// retryAfter returns how long the client of a refused call is told to wait, in whole seconds; zero where waiting is no
// use.
func retryAfter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return min(roundUp(d, time.Second), maxRetryAfter)
}

// statusOf is the only place where an error becomes an HTTP status. The returned fault is what the client may be
// told, nil for an error that is the server's own.
func statusOf(d dialect.Dialect, err error) (int, *batch.Error) {
	var fault *batch.Error
	var quota *store.QuotaError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &fault):
	case errors.As(err, &quota):
		fault = quotaFault(quota)
	case errors.As(err, &tooLarge):
		fault = &batch.Error{Class: batch.TooLarge, Message: "The request body is too large."}
	case errors.Is(err, store.ErrBadCursor):
		fault = badCursor()
	case errors.Is(err, store.ErrUnavailable):
		fault = &batch.Error{Class: batch.Unavailable, Message: "The server can store nothing at the moment. Send the request again later."}
	case errors.Is(err, blob.ErrNoSpace):
		fault = storageFull()
	case errors.Is(err, store.ErrNoSpace):
		fault = diskFull()
	default:
		return http.StatusInternalServerError, nil
	}
	if status := d.Status(fault); status != 0 {
		return status, fault
	}
	if status, ok := statuses[fault.Class]; ok {
		return status, fault
	}
	return http.StatusInternalServerError, nil
}

// statuses are the HTTP statuses of faults, where a dialect has no other.
var statuses = map[batch.Class]int{
	batch.Invalid:             http.StatusBadRequest,
	batch.Unauthenticated:     http.StatusUnauthorized,
	batch.Forbidden:           http.StatusForbidden,
	batch.Misdirected:         http.StatusMisdirectedRequest,
	batch.NotFound:            http.StatusNotFound,
	batch.Conflict:            http.StatusConflict,
	batch.TooLarge:            http.StatusRequestEntityTooLarge,
	batch.StorageFull:         http.StatusInsufficientStorage,
	batch.Unavailable:         http.StatusServiceUnavailable,
	batch.RangeNotSatisfiable: http.StatusRequestedRangeNotSatisfiable,
	batch.MethodNotAllowed:    http.StatusMethodNotAllowed,
	batch.RateLimited:         http.StatusTooManyRequests,
	batch.Unreadable:          http.StatusInternalServerError,
	batch.Gone:                http.StatusGone,
	batch.TooSlow:             http.StatusRequestTimeout,
}

func storageFull() *batch.Error {
	return &batch.Error{Class: batch.StorageFull, Message: "The server has too little disk space left to take uploads. Try again once its operator has made room."}
}

// diskFull is about rows, which take room on the disk too: so it may answer any call that changes something.
func diskFull() *batch.Error {
	return &batch.Error{Class: batch.StorageFull, Message: "The server's disk is full, so nothing was changed. Try again once there is room."}
}

func badCursor() *batch.Error {
	return batch.Invalidf("after", "invalid_value", "Invalid 'after': no object has this id. Use the last_id of the page before.")
}

// quotaFault returns what the client is told of a limit that its tenant would pass: the limit, and what makes room.
func quotaFault(quota *store.QuotaError) *batch.Error {
	fault := &batch.Error{Class: batch.RateLimited, RetryAfter: quota.RetryAfter, Limit: quota.Limit, Remaining: max(0, quota.Limit-quota.Used)}
	switch quota.Quota {
	case store.QuotaStoredBytes:
		fault.Code, fault.RetryAfter = codeStorage, 0
		fault.Message = fmt.Sprintf("Storage limit reached: your files may have %s in all. Delete files that are not needed, then try again.", count(quota.Limit, "byte", "bytes"))
	case store.QuotaFiles:
		fault.Code, fault.RetryAfter = codeStorage, 0
		fault.Message = fmt.Sprintf("Storage limit reached: you may have %s. Delete files that are not needed, then try again.", count(quota.Limit, "file", "files"))
	case store.QuotaOpenBatches:
		fault.Code = "batch_limit_exceeded"
		fault.Message = fmt.Sprintf("Batch limit reached: %s may be under way at once. Wait for one to end, or cancel one, then try again.", count(quota.Limit, "batch", "batches"))
	case store.QuotaEnqueuedLines:
		if quota.Asked > quota.Limit {
			return batch.Invalidf("input_file_id", "enqueued_line_limit_exceeded",
				"The input file has %s. You may have %d under way at once, over all batches; split the file.", count(quota.Asked, "line", "lines"), quota.Limit)
		}
		fault.Code = "enqueued_line_limit_exceeded"
		fault.Message = fmt.Sprintf("Enqueued line limit reached: %s may be under way at once, over all batches. Wait for batches to end, or send fewer lines.", count(quota.Limit, "line", "lines"))
	case store.QuotaEnqueuedTokens:
		fault.Code = "token_limit_exceeded"
		fault.Message = fmt.Sprintf("Enqueued token limit reached: %s may be under way at once, over all batches. Wait for batches to end, or send fewer requests.", count(quota.Limit, "token", "tokens"))
	case store.QuotaBatchesPerHour:
		fault.Code = codeRate
		fault.Message = fmt.Sprintf("Rate limit reached: %s per hour. Try again in %s.", count(quota.Limit, "batch", "batches"), inWords(quota.RetryAfter))
	default:
		fault.Code, fault.Message = codeRate, fmt.Sprintf("Limit reached: %d %s.", quota.Limit, quota.Quota)
	}
	if fault.RetryAfter == 0 && fault.Code != codeStorage {
		fault.RetryAfter = batchesEnd
	}
	return fault
}

// roundUp returns the smallest multiple of unit that is not less than d.
func roundUp(d, unit time.Duration) time.Duration {
	down := d.Truncate(unit)
	if down < d {
		return down + unit
	}
	return down
}

// inWords writes how long to wait, as part of a sentence.
func inWords(d time.Duration) string {
	if d <= 0 {
		return "a while"
	}
	seconds := int64(math.Ceil(d.Seconds()))
	if seconds < 120 {
		return count(seconds, "second", "seconds")
	}
	return count((seconds+59)/60, "minute", "minutes")
}

// count writes a number with its noun, as part of a sentence.
func count(n int64, one, many string) string {
	if n == 1 {
		many = one
	}
	return strconv.FormatInt(n, 10) + " " + many
}
