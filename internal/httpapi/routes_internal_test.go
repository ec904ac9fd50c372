package httpapi

import (
	"testing"
	"time"
)

func TestDurationsAreWrittenAsOpenAIDoesAndNeverTooShort(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0s", -time.Second: "0s", 20 * time.Millisecond: "20ms", time.Second: "1s", 6 * time.Minute: "6m0s",
		time.Microsecond: "1ms", time.Second + time.Nanosecond: "1.001s", 90*time.Minute + time.Second: "1h30m1s",
	} {
		if got := shortDuration(d); got != want {
			t.Errorf("%d ns: %q, want %q", d, got, want)
		}
	}
}
