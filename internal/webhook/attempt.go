package webhook

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"batchd/internal/store"
)

const (
	// firstPause is the longest pause after the first attempt; it doubles with each further one up to longestPause.
	firstPause   = 5 * time.Second
	longestPause = 6 * time.Hour
	// shortestPause keeps a lucky draw from becoming two attempts in the same moment.
	shortestPause = time.Second
	// deliveryTTL is how long after its event a delivery is still tried again. It outlasts a receiver's weekend.
	deliveryTTL = 72 * time.Hour
	// maxReason is how much of an error is kept, in bytes.
	maxReason = 300
)

// judge decides what an attempt means for its delivery. A success ends it, and so does 410, by which a receiver says
// that it wants no more of this; after anything else it is tried again until it is too old.
func judge(d store.Delivery, a Answer, now time.Time) store.Attempt {
	t := store.Attempt{Delivery: d.ID, State: store.DeliveryPending, Status: a.Status, Error: reason(a), Now: now}
	switch {
	case a.OK():
		t.State = store.DeliveryDone
	case a.Status == http.StatusGone:
		t.State = store.DeliveryAbandoned
	default:
		t.NextAt = now.Add(max(pause(d.Attempts, rand.Float64()), min(a.RetryAfter, longestPause)))
		if t.NextAt.After(d.CreatedAt.Add(deliveryTTL)) {
			t.State, t.NextAt = store.DeliveryAbandoned, time.Time{}
		}
	}
	return t
}

// pause draws how long to wait after one more attempt than there were, between nearly nothing and a bound that
// doubles: receivers that failed together are not called together again. draw is from 0 to 1.
func pause(attempts int, draw float64) time.Duration {
	bound := longestPause
	if attempts < 13 { // 2^13 times the first pause is over the longest
		bound = min(firstPause<<attempts, longestPause)
	}
	return max(time.Duration(draw*float64(bound)), shortestPause)
}

// reason says why an attempt was no success, "" for one that was or whose status says it.
func reason(a Answer) string {
	if a.Err == nil {
		return ""
	}
	text := a.Err.Error()
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "…"
	}
	return text
}

// retryAfter reads how long a receiver asks to be left alone, as seconds or as a date. What is past or cannot be read
// counts as not said.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil {
		return time.Duration(min(seconds, uint64(longestPause/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), longestPause)
	}
	return 0
}
