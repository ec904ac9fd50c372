package batch_test

import (
	"testing"
	"time"

	"batchd/internal/batch"
)

func TestI26OnlyWindowsOfTheGrammarAndWithinBoundsAreTaken(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"1s": time.Second, "90m": 90 * time.Minute, "24h": 24 * time.Hour, "48h": 48 * time.Hour,
		"7d": 7 * 24 * time.Hour, "30d": batch.MaxWindow, "720h": batch.MaxWindow,
		"background": batch.MaxWindow,
	} {
		if got, err := batch.ParseWindow(text); err != nil || got != want {
			t.Errorf("%q: got %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "h", "24", "0s", "0h", "-1h", "+1h", "1ms", "100y", "24H", "1e3h", "01h", "1.5h", " 24h", "24h ", "24 h", "Background",
		"1h30m", "31d", "721h", "99999999999999999999h", "9223372036854775807d", "२४h",
	} {
		if got, err := batch.ParseWindow(text); err == nil {
			t.Errorf("%q was taken as %s", text, got)
		}
	}
}
