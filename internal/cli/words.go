package cli

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"
)

// count writes a number with commas between thousands.
func count(n int64) string { return humanize.Comma(n) }

// short writes a rate in at most four characters: 3.2, 812, 25k, 1.4M. The bounds lie where rounding would add a digit.
func short(f float64) string {
	switch {
	case f < 10:
		return strconv.FormatFloat(math.Round(f*10)/10, 'f', -1, 64)
	case f < 9_999.5:
		return strconv.FormatFloat(f, 'f', 0, 64)
	case f < 999_500:
		return strconv.FormatFloat(f/1e3, 'f', 0, 64) + "k"
	default:
		return strconv.FormatFloat(f/1e6, 'f', 1, 64) + "M"
	}
}

// formatLeft writes how long something will still take. It counts seconds up to two minutes and minutes up to two hours, so
// that the figure changes about as often as it is redrawn and no more digits are shown than the estimate is worth.
func formatLeft(d time.Duration) string {
	switch {
	case d < time.Second:
		return "1 s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Round(time.Second).Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Round(time.Minute).Minutes()))
	default:
		return fmt.Sprintf("%d h", int(d.Round(time.Hour).Hours()))
	}
}

// bytesOf writes a size in binary units, as the settings take it: below 10 with one decimal, above with none.
func bytesOf(n int64) string { return humanize.IBytes(uint64(max(0, n))) }

// formatUnix writes a time of the API, "-" for none.
func formatUnix(unix int64) string {
	if unix == 0 {
		return "-"
	}
	return time.Unix(unix, 0).Format("2006-01-02 15:04:05")
}

// plural writes a number with its noun.
func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return count(n) + " " + noun + "s"
}
