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

func (r *report) add(f figure) {
	if len(f.values) == 0 {
		return
	}
	r.rows = append(r.rows, f.row())
	fmt.Println(f.row())
}

// The marks between which the table stands in the document.
const (
	begin = "<!-- figures: written by make bench -->"
	end   = "<!-- /figures -->"
)

// write puts the table between the marks of the document at path.
func (r *report) write(path string, pairs int) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	head, rest, found := strings.Cut(string(raw), begin)
	_, tail, closed := strings.Cut(rest, end)
	if !found || !closed {
		return fmt.Errorf("%s: no place for the table between %q and %q", path, begin, end)
	}
	title := fmt.Sprintf("Measured on %s, %s, %s/%s, %d cores shared by batchd, the loop and the server; medians of %d runs or alternating pairs.",
		time.Now().UTC().Format("2006-01-02"), runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), pairs)
	table := "| what | median | spread | bar | aim | |\n| --- | --- | --- | --- | --- | --- |\n" + strings.Join(r.rows, "\n")
	text := head + begin + "\n" + title + "\n\n" + table + "\n" + end + tail
	return os.WriteFile(path, []byte(text), 0o644)
}
