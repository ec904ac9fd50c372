package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// plainEvery is the pause between two lines of progress where there is no terminal: often enough to see that a run is
// alive, seldom enough for a log file.
const plainEvery = 5 * time.Second

// view is what is to be shown of a batch, wherever it runs.
type view struct {
	status string
	total  int64
	// completed and failed are what is done.
	completed int64
	failed    int64
	// inFlight is below 0 where it is not known: a server does not say it of a batch.
	inFlight int
	tokens   int64
	// retryIn is how long it takes until every line that is put off has been due: the batch cannot end before.
	retryIn time.Duration
	notes   []note
}

func (v view) done() int64 { return v.completed + v.failed }

// describe puts a view into one line, for where there is no terminal. rates may have seen nothing yet.
func describe(v view, rates *meter) string {
	sentences := []string{strings.Join(figures(v, rates), ", ")}
	for _, n := range v.notes {
		sentences = append(sentences, n.line())
	}
	return strings.Join(sentences, "; ")
}

// figures says how far a batch is, what matters most first.
func figures(v view, rates *meter) []string {
	if v.total == 0 {
		return []string{phase(v.status)}
	}
	parts := []string{fmt.Sprintf("%s/%s done", count(v.done()), count(v.total)), count(v.failed) + " failed"}
	if v.inFlight > 0 || v.inFlight == 0 && v.status == "in_progress" {
		parts = append(parts, count(int64(v.inFlight))+" in flight")
	}
	if rate := rates.requests(); rate > 0 {
		parts = append(parts, short(rate)+" req/s")
	}
	if rate := rates.tokens(); rate > 0 {
		parts = append(parts, short(rate)+" output tok/s")
	}
	if left, ok := rates.left(v.total); ok && v.done() < v.total {
		parts = append(parts, formatLeft(max(left, v.retryIn))+" left")
	}
	if v.status != "in_progress" {
		parts = append(parts, phase(v.status))
	}
	return parts
}

// phase says in words what a batch with this status is doing; a status that says it itself stays as it is.
func phase(status string) string {
	switch status {
	case "validating":
		return "checking the input"
	case "finalizing":
		return "writing the results"
	default:
		return status
	}
}

// display shows how a batch comes along. One goroutine calls it; a live display is drawn by another.
type display struct {
	// live or plain is set, the other is nil.
	rates meter
	now   func() time.Time
	live  *liveBar
	plain *plainLines
}

// newDisplay returns a live display if w is a terminal, else one that writes a line now and then.
func newDisplay(w io.Writer, now func() time.Time) *display {
	d := &display{now: now}
	if drawable(w) {
		d.live = newLiveBar(w)
	} else {
		d.plain = &plainLines{w: w, last: now()}
	}
	return d
}

// drawable reports whether w is a terminal that knows its size: on one of no lines a bar would never be seen.
func drawable(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return false
	}
	width, height, err := term.GetSize(int(f.Fd()))
	return err == nil && width > 0 && height > 0
}

// show takes what is to be shown now.
func (d *display) show(v view) {
	d.rates.observe(sample{at: d.now(), done: v.done(), tokens: v.tokens})
	if d.live != nil {
		d.live.show(v, figures(v, &d.rates))
	} else {
		d.plain.show(describe(v, &d.rates), d.now())
	}
}

// close shows the last state for good. Nothing may be shown afterwards.
func (d *display) close() {
	if d.live != nil {
		d.live.close()
	} else {
		d.plain.close()
	}
}

// logs returns where log lines go so that they do not tear the display.
func (d *display) logs(w io.Writer) io.Writer {
	if d.live == nil {
		return w
	}
	return besides{bar: d.live.progress, w: w}
}

// plainLines writes progress as lines, not more often than every few seconds.
type plainLines struct {
	w    io.Writer
	last time.Time
	// line is the newest; shown is set once it was written.
	line  string
	shown bool
}

// show takes a line, and writes it if the last one was long enough ago.
func (p *plainLines) show(line string, now time.Time) {
	p.line, p.shown = line, false
	if now.Sub(p.last) >= plainEvery {
		p.last = now
		p.close()
	}
}

// close writes the line that stands, unless it was written.
func (p *plainLines) close() {
	if !p.shown && p.line != "" {
		p.shown = true
		fmt.Fprintln(p.w, p.line)
	}
}

// liveBar is a bar that is drawn over and over in the same place, with lines below it.
type liveBar struct {
	progress *mpb.Progress
	bar      *mpb.Bar
	// text is what to write beside the bar and below it, which the drawing goroutine reads.
	text atomic.Pointer[barText]
	// all is set while everything is done: then close leaves a full bar behind, and else what there is.
	all bool
}

// barText is what stands beside a bar and below it.
type barText struct {
	figures []string
	notes   []note
}

const (
	// barWidth leaves more than half of a line of 80 columns to the figures.
	barWidth = 24
	// besideBar is what a line has beside the figures: the bar and the spaces around it.
	besideBar = barWidth + 4
)

// newLiveBar draws on w until close. The functions that it hands to mpb run in the drawing goroutine, and read text only.
func newLiveBar(w io.Writer) *liveBar {
	b := &liveBar{progress: mpb.New(mpb.WithOutput(w), mpb.WithAutoRefresh())}
	b.text.Store(&barText{figures: []string{"starting"}})
	beside := decor.Any(func(s decor.Statistics) string {
		first, _ := b.text.Load().split(s.AvailableWidth)
		return " " + first
	})
	below := mpb.BarFillerFunc(func(w io.Writer, s decor.Statistics) error {
		for _, row := range b.text.Load().rows(s.AvailableWidth) {
			fmt.Fprintln(w, row)
		}
		return nil
	})
	b.bar = b.progress.New(0, mpb.BarStyle().Tip(">"), mpb.BarWidth(barWidth), mpb.AppendDecorators(beside), mpb.BarExtender(below, false))
	return b
}

// split returns the figures that fit beside the bar on a line of a width, and those that do not.
func (t *barText) split(width int) (beside, below string) {
	n := len(t.figures)
	for n > 1 && columns(strings.Join(t.figures[:n], ", "))+besideBar > width {
		n--
	}
	return strings.Join(t.figures[:n], ", "), strings.Join(t.figures[n:], ", ")
}

// rows returns the lines below the bar.
func (t *barText) rows(width int) []string {
	var rows []string
	if _, below := t.split(width); below != "" {
		rows = wrap("  "+below, width)
	}
	for _, n := range t.notes {
		rows = append(rows, n.rows(width)...)
	}
	return rows
}

// show takes what is drawn from now on. The text goes first, so that no bar is drawn with figures older than itself.
func (b *liveBar) show(v view, figures []string) {
	b.text.Store(&barText{figures, v.notes})
	b.all = v.total > 0 && v.done() == v.total
	// One more than there is to do: a bar that is full ends itself, and the results are still to be written.
	b.bar.SetTotal(v.total+1, false)
	b.bar.SetCurrent(v.done())
}

// close draws the last state and waits for the drawing goroutine: afterwards the terminal is free.
func (b *liveBar) close() {
	if b.all {
		b.bar.SetTotal(-1, true) // what is there becomes all there is
	} else {
		b.bar.Abort(false)
	}
	b.progress.Wait()
}

// besides writes above the bar while there is one.
type besides struct {
	bar *mpb.Progress
	w   io.Writer
}

// Write implements io.Writer.
func (b besides) Write(p []byte) (int, error) {
	n, err := b.bar.Write(p)
	if errors.Is(err, mpb.ErrDone) {
		return b.w.Write(p) // the bar is gone, so nothing can be torn
	}
	return n, err
}
