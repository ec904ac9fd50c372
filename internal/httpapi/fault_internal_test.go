package httpapi

import (
	"testing"
	"time"
)

func TestClientsAreToldToWaitAtLeastASecondAndAtMostTwoMinutes(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]time.Duration{
		0: 0, -time.Second: 0, 1: time.Second, time.Second: time.Second, time.Second + 1: 2 * time.Second,
		119*time.Second + 1: 2 * time.Minute, time.Hour: 2 * time.Minute,
	} {
		if got := retryAfter(d); got != want {
			t.Errorf("%s: wait %s, want %s", d, got, want)
		}
	}
}

func TestWaitsAreSaidInWords(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "a while", 1: "1 second", time.Second: "1 second", 1500 * time.Millisecond: "2 seconds", time.Minute: "60 seconds",
		2 * time.Minute: "2 minutes", 39*time.Minute + 1: "40 minutes",
	} {
		if got := inWords(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}
