package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// The bars: what we mean to stay below, or above.
const (
	mostSingle  = 0.20 // of all functions are unexported and have exactly one caller
	mostApart   = 0.10 // of these have it in another file
	leastSaid   = 0.13 // of the lines that are not blank have a comment
	longFile    = 800
	longFunc    = 60
	tooLongFunc = 100
)

// report writes what was counted.
type report struct {
	counts []counts
	worst  int
	list   bool
	stale  []string
}

// row is one measure of our tree, and what it is elsewhere; "" is unknown.
type row struct {
	name, ours                           string
	river, alertmanager, litestream, nsq string
}

// write prints the table, then the bars, the words, and the places if they are asked for. What is missed is no error: the
// figures are for people to judge.
func (r *report) write(w io.Writer) error {
	var all counts
	for _, c := range r.counts {
		all.add(c)
	}
	var out strings.Builder
	const form = "%-38s %-22s %-16s %-16s %-16s %s\n"
	fmt.Fprintf(&out, form, "", "batchd", "river", "alertmanager", "litestream", "nsq")
	for _, r := range rows(all) {
		fmt.Fprintf(&out, form, r.name, r.ours, r.river, r.alertmanager, r.litestream, r.nsq)
	}
	r.writeBars(&out, all)
	r.writeWords(&out, all)
	if r.list {
		writePlaces(&out, "Functions with one caller", all.single)
		writePlaces(&out, "Functions with one caller, in another file", all.apart)
		writePlaces(&out, "Words", all.words)
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// rows are the measures. The figures of the others were counted by the same rules, from trees of 2025 and 2026.
func rows(c counts) []row {
	lines := 0
	for _, n := range c.files {
		lines += n
	}
	return []row{
		{"code files / lines", fmt.Sprintf("%d / %d", len(c.files), lines), "110 / 29123", "162 / 32183", "69 / 30298", "91 / 14143"},
		{"file: median, p90, max", spread(c.files), "114, 674, 3025", "141, 378, 1503", "190, 915, 3408", "73, 398, 1059"},
		{"function: median, p90, max", spread(c.functions), "8, 39", "10, 45", "15, 59", "10, 48"},
		{"functions over 60, over 100 lines", over(c.functions, longFunc) + ", " + over(c.functions, tooLongFunc), "4.8%, 1.7%", "5.9%, 1.4%", "9.8%, 3.0%", "5.7%, 1.2%"},
		{"functions per 1,000 lines", strconv.Itoa(len(c.functions) * 1000 / max(1, lines)), "32", "34", "32", "41"},
		{"unexported and with one caller", share(len(c.single), len(c.functions)), "13%", "22%", "20%", "15%"},
		{"of these, caller in another file", share(len(c.apart), len(c.single)), "13%", "20%", "2%", "17%"},
		{"… nor in the file of its type", share(len(c.loose), len(c.single)), "9%", "10%", "1%", "5%"},
		{"comments, of lines that are not blank", share(c.comment, c.nonBlank), "25%", "18%", "11%", "4%"},
		{"exported names documented", share(c.documented, c.exported), "42%", "80%", "70%", "15%"},
		{"test files / inside the package", fmt.Sprintf("%d / %d", c.tests, c.inside), "", "", "", ""},
		{"words of our own left", strconv.Itoa(len(c.words)), "", "", "", ""},
	}
}

// writeBars says of each bar whether it is met, and which packages lack most of what it asks for.
func (r *report) writeBars(out *strings.Builder, all counts) {
	type line struct {
		lack       int
		dir, shown string
	}
	bar := func(name string, met bool, figure func(counts) (lack int, shown string)) {
		word := "met"
		if !met {
			word = "MISSED"
		}
		fmt.Fprintf(out, "\n%s: %s\n", name, word)
		var lines []line
		for _, c := range r.counts {
			if lack, shown := figure(c); lack > 0 {
				lines = append(lines, line{lack, c.dir, shown})
			}
		}
		slices.SortFunc(lines, func(a, b line) int { return cmp.Or(b.lack-a.lack, cmp.Compare(a.dir, b.dir)) })
		for _, l := range lines[:min(len(lines), r.worst)] {
			fmt.Fprintf(out, "  %-28s %-22s %d too far\n", l.dir, l.shown, l.lack)
		}
	}
	bar("At most 20% of all functions are unexported and have exactly one caller", within(len(all.single), len(all.functions), mostSingle),
		func(c counts) (int, string) {
			return len(c.single) - int(mostSingle*float64(len(c.functions))), figure(len(c.single), len(c.functions))
		})
	bar("At most 10% of these have it in another file", within(len(all.apart), len(all.single), mostApart),
		func(c counts) (int, string) {
			return len(c.apart) - int(mostApart*float64(len(c.single))), figure(len(c.apart), len(c.single))
		})
	bar("At most 10% of these stand neither in the file of their caller nor in that of their type", within(len(all.loose), len(all.single), mostApart),
		func(c counts) (int, string) {
			return len(c.loose) - int(mostApart*float64(len(c.single))), figure(len(c.loose), len(c.single))
		})
	bar("At least 13% of the lines are comments", !within(all.comment, all.nonBlank, leastSaid),
		func(c counts) (int, string) {
			return int(leastSaid*float64(c.nonBlank)) - c.comment, figure(c.comment, c.nonBlank)
		})
	// A conformance suite is a table of cases: long, and easy to read.
	tooLong := func(c counts) (int, string) {
		n := longer(c.files, longFile)
		if !strings.HasSuffix(c.dir, "test") {
			n += longer(c.functions, tooLongFunc)
		}
		return n, strconv.Itoa(n)
	}
	met := !slices.ContainsFunc(r.counts, func(c counts) bool { n, _ := tooLong(c); return n > 0 })
	bar(fmt.Sprintf("No file over %d lines, no function over %d outside of suites", longFile, tooLongFunc), met, tooLong)
}

// writeWords lists the words that we do not use, by package.
func (r *report) writeWords(out *strings.Builder, all counts) {
	fmt.Fprintf(out, "\nWords of our own left in internal/ and cmd/: %d\n", len(all.words))
	for _, c := range r.counts {
		if len(c.words) == 0 {
			continue
		}
		byWord := make(map[string]int)
		for _, p := range c.words {
			byWord[p.what]++
		}
		var shown []string
		for word, n := range byWord {
			shown = append(shown, fmt.Sprintf("%s %d", word, n))
		}
		slices.Sort(shown)
		fmt.Fprintf(out, "  %-28s %s\n", c.dir, strings.Join(shown, ", "))
	}
	for _, entry := range r.stale {
		fmt.Fprintf(out, "  allowed.txt has an entry that nothing needs: %s\n", entry)
	}
}

// writePlaces lists places as an editor follows them, in the order of the tree.
func writePlaces(out *strings.Builder, title string, places []place) {
	fmt.Fprintf(out, "\n%s\n", title)
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.at.Filename, b.at.Filename), a.at.Line-b.at.Line)
	})
	for _, p := range places {
		fmt.Fprintf(out, "  %s:%d: %s\n", p.at.Filename, p.at.Line, p.what)
	}
}

// spread writes median, ninth decile and largest of some lengths.
func spread(lengths []int) string {
	if len(lengths) == 0 {
		return "-"
	}
	sorted := slices.Sorted(slices.Values(lengths))
	return fmt.Sprintf("%d, %d, %d", sorted[len(sorted)/2], sorted[len(sorted)*9/10], sorted[len(sorted)-1])
}

// longer is how many lengths are above a bound.
func longer(lengths []int, most int) int {
	n := 0
	for _, l := range lengths {
		if l > most {
			n++
		}
	}
	return n
}

// over is longer as a share of all.
func over(lengths []int, most int) string {
	return fmt.Sprintf("%.1f%%", 100*float64(longer(lengths, most))/float64(max(1, len(lengths))))
}

// share prints a part of a whole; of nothing it is 0%.
func share(n, of int) string { return fmt.Sprintf("%.1f%%", 100*float64(n)/float64(max(1, of))) }

// figure prints a part of a whole in numbers, and as a share.
func figure(n, of int) string { return fmt.Sprintf("%d of %d, %s", n, of, share(n, of)) }

// within reports whether n is at most such a share.
func within(n, of int, most float64) bool { return float64(n) <= most*float64(of) }
