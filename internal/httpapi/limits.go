package httpapi

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"batchd/internal/batch"
	"batchd/internal/tenant"
)

// checkRate sets in the answer's header h where the call's tenant stands with its requests per minute, and returns the error
// of a call over the limit.
func checkRate(h http.Header, rate tenant.Rate) error {
	if rate.Limit <= 0 {
		return nil
	}
	// The names and the form by which OpenAI's SDKs know how many requests they have left.
	h.Set("X-Ratelimit-Limit-Requests", strconv.FormatInt(rate.Limit, 10))
	h.Set("X-Ratelimit-Remaining-Requests", strconv.FormatInt(max(rate.Remaining, 0), 10))
	h.Set("X-Ratelimit-Reset-Requests", shortDuration(rate.Reset))
	if rate.Wait <= 0 {
		return nil
	}
	return &batch.Error{
		Class: batch.RateLimited, Code: codeRate, RetryAfter: rate.Wait, Limit: rate.Limit,
		Message: fmt.Sprintf("Rate limit reached: %s per minute. Try again in %s.", count(rate.Limit, "request", "requests"), inWords(rate.Wait)),
	}
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
