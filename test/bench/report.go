package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// values are one figure over several runs.
type values []float64

func (v values) sorted() []float64 { return slices.Sorted(slices.Values(v)) }

// median returns the middle value.
func (v values) median() float64 { return v.sorted()[len(v)/2] }

// figure is a row of the table.
type figure struct {
	what string
	values
	// bar and aim are what was asked, in words; "" for a figure that only informs.
	bar, aim string
	// met reports whether a median passes; nil for a figure that only informs.
	met func(median float64) bool
}

// atLeast and atMost are the two kinds of bar.
func atLeast(bar float64) func(float64) bool { return func(v float64) bool { return v >= bar } }
func atMost(bar float64) func(float64) bool  { return func(v float64) bool { return v <= bar } }

// verdict says whether the bar is met, in one word.
func (f figure) verdict() string {
	switch {
	case f.met == nil:
		return ""
	case f.met(f.median()):
		return "met"
	default:
		return "**missed**"
	}
}

// row returns the figure as a row of a Markdown table.
func (f figure) row() string {
	s := f.sorted()
	return fmt.Sprintf("| %s | %s | %s to %s | %s | %s | %s |", f.what, number(f.median()), number(s[0]), number(s[len(s)-1]), f.bar, f.aim, f.verdict())
}

// number prints three digits that count.
func number(v float64) string {
	switch {
	case v >= 1000:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.3f", v)
	}
}

// report collects figures, prints each as it comes, and writes the table.
type report struct{ rows []string }

// add prints a figure and keeps its row. One without values, of a scenario that was left out, is no row.
func (r *report) add(f figure) {
	if len(f.values) == 0 {
		return
	}
	r.rows = append(r.rows, f.row())
	fmt.Println(f.row())
}

// table says how a table of the document looks, and where it stands: between marks that name the command that writes it.
type table struct{ command, title, head string }

// benchHead and levelHead are the heads of the tables.
const (
	benchHead = "| what | median | spread | bar | aim | |\n| --- | --- | --- | --- | --- | --- |\n"
	levelHead = "| scenario | what | figure | bar | |\n| --- | --- | --- | --- | --- |\n"
)

// machine says when and on what it was measured.
func machine() string {
	return fmt.Sprintf("%s, %s, %s/%s, %d cores shared by all processes",
		time.Now().UTC().Format("2006-01-02"), runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
}

// words prints a length of time as people write it.
func words(d time.Duration) string {
	switch {
	case d == 0:
		return "none"
	case d >= time.Minute && d%time.Minute == 0:
		return fmt.Sprintf("%d min", d/time.Minute)
	default:
		return fmt.Sprintf("%g s", d.Seconds())
	}
}

// write puts the table between its marks of the document at path.
func (r *report) write(path string, t table) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	begin, end := "<!-- figures: written by "+t.command+" -->", "<!-- /figures -->"
	head, rest, found := strings.Cut(string(raw), begin)
	_, tail, closed := strings.Cut(rest, end)
	if !found || !closed {
		return fmt.Errorf("%s: no place for the table between %q and %q", path, begin, end)
	}
	text := head + begin + "\n" + t.title + "\n\n" + t.head + strings.Join(r.rows, "\n") + "\n" + end + tail
	return os.WriteFile(path, []byte(text), 0o644)
}
