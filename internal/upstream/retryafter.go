package upstream

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter bounds what an upstream may ask for. A longer wait is cut: asking again every ten minutes
// harms nobody, and a header that says 1e9 by mistake does not stop a batch.
const maxRetryAfter = 10 * time.Minute

// retryAfter reads how long the upstream asks us to stay away: "retry-after-ms", which is finer, else "Retry-After" in
// seconds or as a date. What is negative, past or unreadable counts as not said. Headers that tell of
// remaining requests or tokens are not read at all: they lie too often.
func retryAfter(h http.Header, now time.Time) time.Duration {
	millis, value := h.Get("Retry-After-Ms"), h.Get("Retry-After")
	if millis == "" && value == "" {
		return 0 // as nearly always, and the errors of parsing nothing would cost
	}
	if d, ok := number(millis, time.Millisecond); ok {
		return d
	}
	if d, ok := number(value, time.Second); ok {
		return d
	}
	if at, err := http.ParseTime(strings.TrimSpace(value)); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter)
	}
	return 0
}

// number reads a decimal number of units that is above zero.
func number(s string, unit time.Duration) (time.Duration, bool) {
	f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) || f <= 0 {
		return 0, false
	}
	if f >= float64(maxRetryAfter)/float64(unit) {
		return maxRetryAfter, true
	}
	return time.Duration(f * float64(unit)), true
}
