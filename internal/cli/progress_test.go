package cli

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestProgressIsOneLineThatSaysEverything(t *testing.T) {
	t.Parallel()
	moving := &meter{}
	moving.observe(sample{at: start, done: 3880, tokens: 0})
	moving.observe(sample{at: at(10), done: 12_000, tokens: 250_000})
	for name, c := range map[string]struct {
		view  view
		rates *meter
		want  string
	}{
		"before the lines are counted": {
			view{status: "validating"}, &meter{}, "checking the input",
		},
		"under way": {
			view{status: "in_progress", total: 50_000, completed: 11_997, failed: 3, inFlight: 64},
			moving,
			"12,000/50,000 done, 3 failed, 64 in flight, 812 req/s, 25k output tok/s, 47 s left",
		},
		"lines that are put off for longer than the others take": {
			view{status: "in_progress", total: 50_000, completed: 12_000, inFlight: 64, retryIn: time.Hour},
			moving,
			"12,000/50,000 done, 0 failed, 64 in flight, 812 req/s, 25k output tok/s, 60 min left",
		},
		"where nobody knows what is in flight": {
			view{status: "in_progress", total: 10, inFlight: -1}, &meter{}, "0/10 done, 0 failed",
		},
		"the results": {
			view{status: "finalizing", total: 12_000, completed: 12_000},
			moving,
			"12,000/12,000 done, 0 failed, 812 req/s, 25k output tok/s, writing the results",
		},
		"an upstream that refuses": {
			view{status: "in_progress", total: 10, notes: []note{{"waiting: upstream answers 401 (denied)", "10 lines", `"no such key"`}}},
			&meter{},
			"0/10 done, 0 failed, 0 in flight; waiting: upstream answers 401 (denied), 10 lines: \"no such key\"",
		},
		"an end that is none": {
			view{status: "cancelled", total: 10, completed: 4}, &meter{}, "4/10 done, 0 failed, cancelled",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := describe(c.view, c.rates); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestPlainProgressIsALineEveryFewSecondsAndOneAtTheEnd(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	now := start
	d := newDisplay(&out, func() time.Time { return now })
	for i := range 121 { // twelve seconds
		now = at(float64(i) / 10)
		d.show(view{status: "in_progress", total: 1000, completed: int64(i), inFlight: 8})
	}
	d.close()
	got := strings.Split(strings.TrimSpace(out.String()), "\n")
	want := []string{
		"50/1,000 done, 0 failed, 8 in flight, 10 req/s, 95 s left",
		"100/1,000 done, 0 failed, 8 in flight, 10 req/s, 90 s left",
		"120/1,000 done, 0 failed, 8 in flight, 10 req/s, 88 s left",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestPlainProgressSaysNothingTwice(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	now := start
	d := newDisplay(&out, func() time.Time { return now })
	d.close()
	if out.Len() > 0 {
		t.Errorf("got %q before anything was shown", out.String())
	}
	now = at(6)
	d.show(view{status: "validating"})
	d.close()
	d.close()
	if out.String() != "checking the input\n" {
		t.Errorf("got %q", out.String())
	}
}

func TestLiveProgressShowsTheBarAndLetsLogLinesPass(t *testing.T) {
	t.Parallel()
	for name, done := range map[string]int64{"to the end": 10, "broken off": 4} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			d := &display{now: func() time.Time { return start }, live: newLiveBar(&out)}
			logs := d.logs(&out)
			fmt.Fprintln(logs, "a log line")
			d.show(view{status: "in_progress", total: 10, completed: done, inFlight: 2})
			d.close()
			fmt.Fprintln(logs, "after the end")
			for _, want := range []string{"a log line\n", fmt.Sprintf("%d/10 done, 0 failed, 2 in flight", done), "after the end\n"} {
				if !strings.Contains(out.String(), want) {
					t.Errorf("no %q in %q", want, out.String())
				}
			}
		})
	}
}
