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
