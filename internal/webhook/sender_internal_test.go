package webhook

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"batchd/internal/store"

	"github.com/google/go-cmp/cmp"
)

func TestPausesDoubleUpToSixHours(t *testing.T) {
	t.Parallel()
	for attempts, want := range map[int]time.Duration{
		0: 5 * time.Second, 1: 10 * time.Second, 2: 20 * time.Second, 6: 320 * time.Second, 12: 20_480 * time.Second,
		13: 6 * time.Hour, 14: 6 * time.Hour, 1000: 6 * time.Hour,
	} {
		if got := DefaultTimers().pause(attempts, 1); got != want {
			t.Errorf("%d attempts: at most %s, want %s", attempts, got, want)
		}
		if got := DefaultTimers().pause(attempts, 0.5); got != want/2 {
			t.Errorf("%d attempts: half of it is %s, want %s", attempts, got, want/2)
		}
		if got := DefaultTimers().pause(attempts, 0); got != time.Second {
			t.Errorf("%d attempts: at least %s, want 1 s", attempts, got)
		}
	}
}

func TestRetryAfterIsSecondsOrADateAndBounded(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "120": 2 * time.Minute, " 7 ": 7 * time.Second, "0": 0, "-5": 0, "soon": 0, "1.5": 0, "86400": 6 * time.Hour,
		"18446744073709551615": 6 * time.Hour, "99999999999999999999999": 0,
		now.Add(time.Hour).Format(http.TimeFormat):      time.Hour,
		now.Add(-time.Hour).Format(http.TimeFormat):     0,
		now.Add(48 * time.Hour).Format(http.TimeFormat): 6 * time.Hour,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: got %s, want %s", value, got, want)
		}
	}
}

// judging returns a sender that judges at now.
func judging(now time.Time) *Sender {
	clock := func() time.Time { return now }
	return &Sender{o: Options{Now: clock, Steady: clock, Timers: DefaultTimers()}}
}

func TestPausesFollowTheTimersAndNeverOverflow(t *testing.T) {
	t.Parallel()
	timers := Timers{FirstPause: time.Minute, LongestPause: 300 * 24 * time.Hour}
	for attempts, want := range map[int]time.Duration{
		0: time.Minute, 1: 2 * time.Minute, 10: 1024 * time.Minute, 40: timers.LongestPause, 1000: timers.LongestPause,
	} {
		if got := timers.pause(attempts, 1); got != want {
			t.Errorf("%d attempts: at most %s, want %s", attempts, got, want)
		}
	}
}

func TestAnAnswerDecidesWhatBecomesOfADelivery(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	young := store.Delivery{ID: "wh_1", CreatedAt: now.Add(-time.Minute)}
	old := store.Delivery{ID: "wh_1", CreatedAt: now.Add(-72 * time.Hour), Attempts: 30}
	for name, c := range map[string]struct {
		d    store.Delivery
		a    Answer
		want store.Attempt
	}{
		"success":          {young, Answer{Status: 204}, store.Attempt{State: store.DeliveryDone, Status: 204}},
		"late success":     {old, Answer{Status: 200}, store.Attempt{State: store.DeliveryDone, Status: 200}},
		"gone":             {young, Answer{Status: 410}, store.Attempt{State: store.DeliveryAbandoned, Status: 410}},
		"asked for a wait": {young, Answer{Status: 503, RetryAfter: time.Hour}, store.Attempt{State: store.DeliveryPending, Status: 503, NextAt: now.Add(time.Hour)}},
		"asked for ever":   {young, Answer{Status: 429, RetryAfter: 24 * time.Hour}, store.Attempt{State: store.DeliveryPending, Status: 429, NextAt: now.Add(6 * time.Hour)}},
		"too old":          {old, Answer{Err: errors.New("refused")}, store.Attempt{State: store.DeliveryAbandoned, Error: "refused"}},
		"too old by its wait": {
			store.Delivery{ID: "wh_1", CreatedAt: now.Add(-71 * time.Hour)},
			Answer{Status: 503, RetryAfter: 2 * time.Hour},
			store.Attempt{State: store.DeliveryAbandoned, Status: 503},
		},
	} {
		c.want.Delivery, c.want.Now = "wh_1", now
		c.want.Gone = name == "gone"
		if diff := cmp.Diff(c.want, judging(now).judge(c.d, c.a)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestALongReasonIsCutToValidText(t *testing.T) {
	t.Parallel()
	got := judging(time.Now()).judge(store.Delivery{}, Answer{Err: errors.New(strings.Repeat("ü", 400))}).Error
	if len(got) > maxReason+len("…") || !utf8.ValidString(got) || !strings.HasSuffix(got, "ü…") {
		t.Errorf("got %q", got)
	}
}
