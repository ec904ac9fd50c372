package cli

import (
	"testing"
	"time"
)

func TestNumbersAreWrittenForPeople(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ got, want string }{
		{count(0), "0"},
		{count(999), "999"},
		{count(1000), "1,000"},
		{count(1234567), "1,234,567"},
		{count(-1234), "-1,234"},
		{short(0.04), "0"},
		{short(3.24), "3.2"},
		{short(812.4), "812"},
		{short(9_999), "9999"},
		{short(9_999.9), "10k"},
		{short(25_400), "25k"},
		{short(999_600), "1.0M"},
		{short(1_440_000), "1.4M"},
		{formatLeft(0), "1 s"},
		{formatLeft(47 * time.Second), "47 s"},
		{formatLeft(119 * time.Second), "119 s"},
		{formatLeft(5*time.Minute + 20*time.Second), "5 min"},
		{formatLeft(50 * time.Hour), "50 h"},
		{bytesOf(0), "0 B"},
		{bytesOf(1023), "1023 B"},
		{bytesOf(1536), "1.5 KiB"},
		{bytesOf(200 << 20), "200 MiB"},
		{bytesOf(5 << 40), "5.0 TiB"},
		{plural(1, "line"), "1 line"},
		{plural(1200, "line"), "1,200 lines"},
		{formatUnix(0), "-"},
		{quote("in.jsonl"), "in.jsonl"},
		{quote("http://a:1/v1"), "http://a:1/v1"},
		{quote("my file"), "'my file'"},
		{quote("it's"), `'it'\''s'`},
		{quote(""), "''"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}
