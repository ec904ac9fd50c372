package dispatchbench

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"time"
)

// The marks between which the figures stand in the document.
const (
	begin = "<!-- figures: written by make bench-dispatch -->"
	end   = "<!-- /figures -->"
)

// column is a column of a scenario's table.
type column struct {
	title  string
	figure func(o *outcome) *figure
	// format prints a value.
	format string
}

// columns are those that mean something in the scenario.
func (c *comparison) columns() []column {
	unit := "seats"
	if c.seats == 0 {
		unit = "best"
	}
	list := []column{
		{"throughput", func(o *outcome) *figure { return &o.share }, "%.0f%%"},
		{"80% after", func(o *outcome) *figure { return &o.slow }, "%.0f s"},
		{"in flight ÷ " + unit, func(o *outcome) *figure { return &o.inFlight }, "%.2f"},
		{"peak", func(o *outcome) *figure { return &o.peak }, "%.1f"},
		{"queue", func(o *outcome) *figure { return &o.queue }, "%.0f"},
	}
	if c.bounded {
		list = append(list, column{"refused per 1,000", func(o *outcome) *figure { return &o.refused }, "%.1f"})
	}
	if c.online {
		list = append(list, column{"p99 first token", func(o *outcome) *figure { return &o.firstToken }, "%.2f s"})
	}
	if len(c.come) > 1 {
		list = append(list, column{"smaller share", func(o *outcome) *figure { return &o.smaller }, "%.0f%%"})
	}
	return list
}

// cell prints the median, and in brackets the worst if that reads differently.
func (f *figure) cell(format string) string {
	print := func(v float64) string {
		if math.IsInf(v, 1) {
			return "never"
		}
		return fmt.Sprintf(format, v)
	}
	median, worst := print(f.median()), print(f.worst(f.values))
	if median == worst {
		return median
	}
	return median + " (" + worst + ")"
}

// section is the part of the document about one scenario.
func (c *comparison) section() string {
	columns := c.columns()
	head, rule := "| |", "| --- |"
	for _, col := range columns {
		head += " " + col.title + " |"
		rule += " ---: |"
	}
	lines := []string{"### " + c.title, "", c.what, "", fmt.Sprintf("![Calls in flight over time](dispatch/%s.svg)", c.name), ""}
	lines = append(lines, head+" bars |", rule+" --- |")
	for i := range c.outcomes {
		o := &c.outcomes[i]
		row := "| " + o.label() + " |"
		for _, col := range columns {
			row += " " + col.figure(o).cell(col.format) + " |"
		}
		lines = append(lines, row+" "+c.verdict(o)+" |")
	}
	return strings.Join(lines, "\n")
}

// label is the contender's name, with the limit that it has here.
func (c *contender) label() string {
	if c.limit == 0 {
		return c.name
	}
	return fmt.Sprintf("%s (%d)", c.name, c.limit)
}

// summary is the table of all scenarios.
func summary(all []*comparison) string {
	head, rule := "| |", "| --- |"
	for _, o := range all[0].outcomes {
		head += " " + o.name + " |"
		rule += " ---: |"
	}
	lines := []string{head, rule}
	for _, c := range all {
		row := "| " + c.title + " |"
		for i := range c.outcomes {
			o := &c.outcomes[i]
			row += fmt.Sprintf(" %.0f%%, %.2f × |", o.share.median(), o.inFlight.median())
		}
		lines = append(lines, row)
	}
	return strings.Join(lines, "\n")
}

// figures is what stands between the marks.
func figures(all []*comparison) string {
	parts := []string{
		fmt.Sprintf("Measured on %s with %s in virtual time; medians of %d runs, the worst in brackets.",
			time.Now().UTC().Format("2006-01-02"), runtime.Version(), seeds),
		"Throughput in percent of the best fixed limit's, and mean calls in flight in multiples of the seats:",
		summary(all),
	}
	for _, c := range all {
		parts = append(parts, c.section())
	}
	return strings.Join(parts, "\n\n")
}

// replace puts text between the marks of the document at path.
func replace(path, text string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	head, rest, found := strings.Cut(string(raw), begin)
	_, tail, closed := strings.Cut(rest, end)
	if !found || !closed {
		return fmt.Errorf("%s: no place for the figures between %q and %q", path, begin, end)
	}
	return os.WriteFile(path, []byte(head+begin+"\n"+text+"\n"+end+tail), 0o644)
}
