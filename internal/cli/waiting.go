package cli

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"batchd/internal/client"
	"batchd/internal/oneshot"
)

// wait is one reason why lines of a batch are not in flight, wherever it was learned.
type wait struct {
	reason, detail string
	since, next    time.Time
	status         int
	code, message  string
	lines          int64
	// upstream is what it is called, "" where there is one only.
	upstream, model string
}

// waitsOf returns what a server says that a batch waits for.
func waitsOf(b client.Batch) []wait {
	var all []wait
	for _, w := range b.WaitingFor {
		all = append(all, wait{
			w.Reason, w.Detail, unix(w.Since), unix(w.NextTry), w.Status, w.Code, w.Message, w.Lines, w.Upstream, w.Model,
		})
	}
	return all
}

// waitsIn returns what a run waits for.
func waitsIn(p oneshot.Progress) []wait {
	var all []wait
	for _, w := range p.Waiting {
		all = append(all, wait{
			w.Kind, w.Detail, w.Since, w.NextTry, w.Status, w.Code, w.Message, w.Lines, w.Upstream, w.Model,
		})
	}
	return all
}

// unix is a time of the API, the zero time for none.
func unix(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}

// note is a remark below the progress: text in two halves, which may stand on two lines, and an upstream's own words.
type note struct{ text, more, words string }

// line returns the whole note.
func (n note) line() string {
	line := n.text
	if n.more != "" {
		line += ", " + n.more
	}
	if n.words != "" {
		line += ": " + n.words
	}
	return line
}

// rows returns the note in lines that fit a width: only an upstream's words are ever cut.
func (n note) rows(width int) []string {
	head := n.text
	if n.more != "" {
		head += ", " + n.more
	}
	rows := []string{head}
	if columns(head) > width && n.more != "" {
		rows = append(wrap(n.text+",", width), wrap("  "+n.more, width)...)
	} else if columns(head) > width {
		rows = wrap(head, width)
	}
	if n.words != "" {
		rows = append(rows, clip("  "+n.words, width))
	}
	return rows
}

// retryIn is how long it takes until the last of what waits is due for its next try.
func retryIn(waits []wait, now time.Time) time.Duration {
	var longest time.Duration
	for _, w := range waits {
		if !w.next.IsZero() {
			longest = max(longest, w.next.Sub(now))
		}
	}
	return longest
}

// mostNotes is how many reasons are shown at a time: those that concern most lines. Each takes up to three lines of a terminal,
// and a bar that does not fit on it cannot be drawn over.
const mostNotes = 3

// notesOf says what is waited for. That every permit is in use is left out: it is how a batch runs well.
func notesOf(waits []wait, now time.Time) []note {
	models := make(map[string]bool)
	for _, w := range waits {
		models[w.model] = true
	}
	var notes []note
	for _, w := range waits {
		if w.reason == "concurrency" {
			continue
		}
		n := w.note(now, len(models) > 1)
		n.text = "waiting: " + n.text
		if len(notes) == mostNotes {
			return append(notes, note{text: "waiting: there are more reasons"})
		}
		notes = append(notes, n)
	}
	return notes
}

// note says one reason. naming is set where the lines that wait are of several models.
func (w wait) note(now time.Time, naming bool) note {
	n := note{text: w.cause()}
	if naming && w.model != "" {
		n.text += fmt.Sprintf(" for model %q", clip(w.model, 40))
	}
	if !w.since.IsZero() {
		n.text += " since " + clock(w.since, now)
	}
	var more []string
	if w.lines > 0 { // what a batch waits for as a whole is about no line
		more = append(more, plural(w.lines, "line"))
	}
	switch {
	case !w.next.IsZero():
		more = append(more, "next try in "+formatLeft(w.next.Sub(now)))
	case w.upstream != "" || w.status != 0 || w.reason == "unreachable":
		if !w.since.IsZero() {
			more = append(more, "trying now") // nothing is due since a call is out
		}
	}
	n.more = strings.Join(more, ", ")
	if w.message != "" {
		n.words = fmt.Sprintf("%q", w.message)
	}
	return n
}

// The words for reasons that are batchd's own, and for the details of two others. The keys are the API's; one that a newer
// server has, and this program does not know, is shown as it is.
var (
	reasonWords = map[string]string{
		"disk":            "the disk is nearly full, so no new work is started",
		"waiting_turn":    "other batches have their turn",
		"concurrency":     "as many calls are in flight as may be",
		"memory":          "the memory for calls in flight is in use",
		"blob_unreadable": "stored bytes cannot be read",
	}
	unreachableWords = map[string]string{
		"dns": "its name is not known", "refused": "connection refused", "tls": "TLS failed", "timeout": "no connection in time",
		"descriptors": "batchd has no file descriptor left for it",
	}
	failingWords = map[string]string{
		"reset": "connection lost", "truncated": "answer cut short", "timeout": "no answer in time",
		"encoding": "answer not decompressible", "protocol": "answer is no HTTP",
	}
)

// cause says what holds lines up, in words. A status says more than anything that follows from it, so it comes first.
func (w wait) cause() string {
	who := w.upstream
	if who == "" {
		who = "upstream"
	}
	kind := strings.ReplaceAll(w.reason, "_", " ")
	switch {
	case w.status != 0:
		words := fmt.Sprintf("%s answers %d", who, w.status)
		if w.code != "" {
			words += " " + w.code
		}
		return words + " (" + kind + ")"
	case w.reason == "unreachable":
		words := who + " cannot be reached"
		if why, ok := unreachableWords[w.detail]; ok {
			words += " (" + why + ")"
		}
		return words
	case w.reason == "failing":
		return "calls to " + who + " break off (" + cmp.Or(failingWords[w.detail], "failing") + ")"
	case w.reason == "probing":
		return who + " is being tried"
	}
	switch words, ok := reasonWords[w.reason]; {
	case ok:
		return words
	case w.detail != "":
		return w.detail + " (" + kind + ")"
	default:
		return kind
	}
}

// clock writes a time of today in few letters, another one with its day.
func clock(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04")
	}
	return t.Format("2006-01-02 15:04")
}

// columns is how much room a text takes on a terminal, at least.
func columns(s string) int {
	n := 0
	for _, r := range s {
		n += columnsOf(r)
	}
	return n
}

// columnsOf is 2 for what may be drawn wide: scripts of East Asia, and pictures. Some are drawn narrow; to count too much only
// leaves room, to count too little breaks the line, and with it the bar.
func columnsOf(r rune) int {
	if r >= 0x1100 && (r < 0x2000 || r >= 0x2300) {
		return 2
	}
	return 1
}

// clip cuts a text to a width, saying so with an ellipsis.
func clip(s string, width int) string {
	if columns(s) <= width {
		return s
	}
	used := 1 // the ellipsis
	for i, r := range s {
		if used += columnsOf(r); used > width {
			return s[:i] + "…"
		}
	}
	return s
}

// wrap breaks a text at spaces into lines of a width; a word that is longer is cut. Lines after the first are indented.
func wrap(s string, width int) []string {
	var rows []string
	indent := s[:len(s)-len(strings.TrimLeft(s, " "))]
	row := ""
	for word := range strings.FieldsSeq(s) {
		switch {
		case row == "":
			row = indent + word
		case columns(row)+1+columns(word) <= width:
			row += " " + word
		default:
			rows = append(rows, clip(row, width))
			row = "  " + word
		}
	}
	return append(rows, clip(row, width))
}
