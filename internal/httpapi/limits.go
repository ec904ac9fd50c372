package httpapi

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
	"batchd/internal/tenant"
)

const (
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

// checkRate says in the answer's header h where the call's tenant stands with its requests per minute. A call over the
// limit is refused.
func checkRate(h http.Header, rate tenant.Rate) error {
	if rate.Limit <= 0 {
		return nil
	}
	showRate(h, rate)
	if rate.Wait <= 0 {
		return nil
	}
	return &batch.Error{
		Class: batch.RateLimited, Code: codeRate, RetryAfter: rate.Wait, Limit: rate.Limit,
		Message: fmt.Sprintf("Rate limit reached: %s per minute. Try again in %s.", count(rate.Limit, "request", "requests"), inWords(rate.Wait)),
	}
}

// showRate sets the headers by which OpenAI's clients know how many requests they have left.
func showRate(h http.Header, r tenant.Rate) {
	h.Set("X-Ratelimit-Limit-Requests", strconv.FormatInt(r.Limit, 10))
	h.Set("X-Ratelimit-Remaining-Requests", strconv.FormatInt(max(r.Remaining, 0), 10))
	h.Set("X-Ratelimit-Reset-Requests", shortDuration(r.Reset))
}

// shortDuration writes d the way OpenAI does: "20ms", "1s", "6m0s", in whole milliseconds and never too short.
func shortDuration(d time.Duration) string {
	return max(roundUp(d, time.Millisecond), 0).String()
}

// roundUp returns the smallest multiple of unit that is not less than d.
func roundUp(d, unit time.Duration) time.Duration {
	down := d.Truncate(unit)
	if down < d {
		return down + unit
	}
	return down
}

// retryAfter returns how long the client of a refused call is told to wait, in whole seconds; zero where waiting is no
// use.
func retryAfter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return min(roundUp(d, time.Second), maxRetryAfter)
}

// inWords says how long to wait, as part of a sentence.
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

// count says how many, as part of a sentence.
func count(n int64, one, many string) string {
	if n == 1 {
		many = one
	}
	return strconv.FormatInt(n, 10) + " " + many
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
