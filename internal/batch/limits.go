package batch

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Sizes in bytes.
const (
	KiB = int64(1) << 10
	MiB = int64(1) << 20
	GiB = int64(1) << 30
)

// Limits bound what a user may hand in and what an upstream may answer.
type Limits struct {
	// MaxLines is the largest number of requests in a file; 0 means no limit.
	MaxLines int64
	// MaxFileBytes is the largest upload.
	MaxFileBytes int64
	// MaxLineBytes is the longest input line, without its line break.
	MaxLineBytes int64
	// MaxResponseBytes is the longest answer, after decompression.
	MaxResponseBytes int64
}

// DefaultLimits returns the limits of a server whose settings name none.
func DefaultLimits() Limits {
	return Limits{MaxFileBytes: 16 * GiB, MaxLineBytes: 16 * MiB, MaxResponseBytes: 64 * MiB}
}

// The bounds of a completion window.
const (
	MinWindow = time.Second
	MaxWindow = 30 * 24 * time.Hour
)

// Background is the completion window of work that is in no hurry: MaxWindow.
const Background = "background"

// ParseWindow reads a completion window: Background, or digits without a leading zero, then one of s, m, h, d; between
// MinWindow and MaxWindow. Nothing else is taken, so that "1e3h", "24H" or "-1h" cannot mean something by chance.
func ParseWindow(s string) (time.Duration, error) {
	if s == Background {
		return MaxWindow, nil
	}
	bad := fmt.Errorf("window %q: want a whole number and one of s, m, h, d, like 24h or 7d", s)
	if len(s) < 2 || s[0] < '1' || s[0] > '9' {
		return 0, bad
	}
	unit, ok := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour}[s[len(s)-1]]
	if !ok {
		return 0, bad
	}
	for _, c := range []byte(s[:len(s)-1]) {
		if c < '0' || c > '9' {
			return 0, bad
		}
	}
	n, err := strconv.ParseInt(s[:len(s)-1], 10, 64)
	if err != nil || n > math.MaxInt64/int64(unit) {
		return 0, fmt.Errorf("window %q: longer than %s", s, MaxWindow)
	}
	d := time.Duration(n) * unit
	if d > MaxWindow {
		return 0, fmt.Errorf("window %q: longer than 30d", s)
	}
	return d, nil
}
