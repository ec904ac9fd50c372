package upstream

import (
	"net/http"
	"testing"
	"time"
)

func TestU13RetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	cases := map[string]struct {
		name, value string
		want        time.Duration
	}{
		"seconds":                {"Retry-After", "7", 7 * time.Second},
		"a fraction":             {"Retry-After", " 1.5 ", 1500 * time.Millisecond},
		"milliseconds":           {"Retry-After-Ms", "250", 250 * time.Millisecond},
		"a date":                 {"Retry-After", "Sun, 01 Mar 2026 12:00:30 GMT", 30 * time.Second},
		"a date in an old form":  {"Retry-After", "Sunday, 01-Mar-26 12:00:30 GMT", 30 * time.Second},
		"a date in the past":     {"Retry-After", "Sun, 01 Mar 2026 11:00:00 GMT", 0},
		"a date far off":         {"Retry-After", "Sun, 01 Mar 2099 11:00:00 GMT", maxRetryAfter},
		"zero":                   {"Retry-After", "0", 0},
		"negative":               {"Retry-After", "-5", 0},
		"huge":                   {"Retry-After", "1e9", maxRetryAfter},
		"huger":                  {"Retry-After", "99999999999999999999999", maxRetryAfter},
		"infinite":               {"Retry-After", "inf", 0},
		"not a number":           {"Retry-After", "NaN", 0},
		"garbage":                {"Retry-After", "soon", 0},
		"missing":                {"Other", "1", 0},
		"huge in milliseconds":   {"Retry-After-Ms", "1e300", maxRetryAfter},
		"garbage in millisecond": {"Retry-After-Ms", "x", 0},
	}
	for name, tc := range cases {
		if got := retryAfter(http.Header{tc.name: {tc.value}}, now); got != tc.want {
			t.Errorf("%s: got %v, want %v", name, got, tc.want)
		}
	}
	both := http.Header{"Retry-After": {"2"}, "Retry-After-Ms": {"1500"}}
	if got := retryAfter(both, now); got != 1500*time.Millisecond {
		t.Errorf("both: got %v", got)
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"", "1", "-1", "1e9", "Sun, 01 Mar 2026 12:00:30 GMT", "0x1p-2", "9223372036854775807", "nan"} {
		f.Add(s, s)
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, seconds, millis string) {
		got := retryAfter(http.Header{"Retry-After": {seconds}, "Retry-After-Ms": {millis}}, now)
		if got < 0 || got > maxRetryAfter {
			t.Errorf("%q, %q: %v", seconds, millis, got)
		}
	})
}
