package config

import (
	"testing"
	"time"
)

func TestSizesAreReadWithTheirUnits(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"0": 0, "1048576": 1 << 20, "200MB": 200e6, "16GiB": 16 << 30, "16 GiB": 16 << 30, "1KB": 1000, "1KiB": 1024,
		"5B": 5, "2TiB": 2 << 40, "1TB": 1e12, "3MiB": 3 << 20, "4GB": 4e9,
	} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("%q: got %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "MB", "-1", "+1", "1.5GB", "1kb", "1 B B", "9e3", "9999999999TiB", "1iB", "0x10"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q was read as %d", text, got)
		}
	}
}

func TestDurationsAreReadWithTheirUnits(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"0": 0, "60s": time.Minute, "24h": 24 * time.Hour, "7d": 168 * time.Hour, "1h30m": 90 * time.Minute, "0d": 0,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%q: got %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "60", "-1s", "-1d", "1.5d", "999999999d", "1w"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q was read as %s", text, got)
		}
	}
}
