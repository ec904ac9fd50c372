package sim

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/time/rate"
)

// rateLimits are a hosted provider's limits per minute, as full buckets that refill evenly.
type rateLimits struct {
	requests, tokens *bucket // nil: no limit
}

type bucket struct {
	unit    string // "requests" or "tokens", as in the headers
	perMin  int
	limiter *rate.Limiter
}

func newBucket(unit string, perMin int) *bucket {
	if perMin == 0 {
		return nil
	}
	return &bucket{unit: unit, perMin: perMin, limiter: rate.NewLimiter(rate.Limit(float64(perMin)/60), perMin)}
}

// take pays for one request. It returns the headers to show, nil without limits, or the refusal.
// As with the real ones, a request refused for its tokens has cost a request.
func (r *rateLimits) take(now time.Time, j job) (http.Header, *apiError) {
	if r.requests == nil && r.tokens == nil {
		return nil, nil
	}
	refusal := r.requests.pay(now, 1)
	if refusal == nil {
		refusal = r.tokens.pay(now, j.totalTokens())
	}
	h := make(http.Header)
	r.requests.show(h, now)
	r.tokens.show(h, now)
	if refusal != nil {
		refusal.header = h
	}
	return h, refusal
}

func (b *bucket) pay(now time.Time, n int) *apiError {
	if b == nil || b.limiter.AllowN(now, n) {
		return nil
	}
	wait := time.Duration((float64(n) - b.limiter.TokensAt(now)) / float64(b.limiter.Limit()) * float64(time.Second))
	return &apiError{
		status: http.StatusTooManyRequests, kind: b.unit, code: "rate_limit_exceeded",
		message:    fmt.Sprintf("Rate limit reached on %s per min: limit %d, requested %d. Please try again in %s.", b.unit, b.perMin, n, wait.Round(time.Millisecond)),
		retryAfter: max(wait, time.Millisecond),
	}
}

func (b *bucket) show(h http.Header, now time.Time) {
	if b == nil {
		return
	}
	left := max(0, b.limiter.TokensAt(now))
	reset := (float64(b.perMin) - left) / float64(b.limiter.Limit())
	h.Set("X-Ratelimit-Limit-"+b.unit, strconv.Itoa(b.perMin))
	h.Set("X-Ratelimit-Remaining-"+b.unit, strconv.Itoa(int(left)))
	h.Set("X-Ratelimit-Reset-"+b.unit, time.Duration(math.Ceil(reset*1000)*float64(time.Millisecond)).String())
}
