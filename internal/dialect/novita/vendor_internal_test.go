package novita

import (
	"testing"
	"time"
)

func TestTimeZoneIsANameOrAnOffset(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 9, 21, 14, 0, 0, 0, time.UTC)
	for zone, want := range map[string]string{
		"": "2026-09-21T14:00:00Z", "UTC": "2026-09-21T14:00:00Z",
		"+08:00": "2026-09-21T22:00:00+08:00", "Asia/Jakarta": "2026-09-21T21:00:00+07:00",
	} {
		got, err := parseZone(zone)
		if err != nil || at.In(got).Format(time.RFC3339) != want {
			t.Errorf("%q: %v, %v, want %s", zone, at.In(got), err, want)
		}
	}
}
