package cli

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/batch"
	"batchd/internal/client"
	"batchd/internal/oneshot"
)

// noon is a time of day in the zone of whoever runs the tests.
func noon() time.Time { return time.Date(2026, 11, 28, 12, 4, 0, 0, time.Local) }

// spent is the wait for an upstream whose customer's money is used up.
func spent() wait {
	return wait{
		reason: "account", status: 429, code: "insufficient_quota", message: "You exceeded your current quota", since: noon(),
		next: noon().Add(84 * time.Second), lines: 1998, model: "m",
	}
}

func TestWhatIsWaitedForIsSaidInWords(t *testing.T) {
	t.Parallel()
	now := noon().Add(time.Minute)
	for want, w := range map[string]wait{
		`waiting: upstream answers 429 insufficient_quota (account) since 12:04, 1,998 lines, next try in 24 s: "You exceeded your current quota"`: spent(),
		`waiting: upstream-2 answers 404 (misconfigured) since 2026-11-27 12:04, 1 line, trying now`: {
			reason: "misconfigured", status: 404, since: noon().Add(-24 * time.Hour), lines: 1, upstream: "upstream-2",
		},
		"waiting: upstream cannot be reached (its name is not known) since 12:04, 5 lines, next try in 2 s": {
			reason: "unreachable", detail: "dns", since: noon(), next: now.Add(2 * time.Second), lines: 5,
		},
		"waiting: upstream cannot be reached, 5 lines":            {reason: "unreachable", detail: "by some other way", lines: 5},
		"waiting: calls to upstream break off (failing), 5 lines": {reason: "failing", lines: 5},
		"waiting: calls to upstream break off (no answer in time), 5 lines": {
			reason: "failing", detail: "timeout", lines: 5,
		},
		"waiting: no upstream lists the model (misconfigured), 5 lines": {reason: "misconfigured", detail: "no upstream lists the model", lines: 5},
		"waiting: the disk is nearly full, so no new work is started since 12:04, 7,000 lines, next try in 1 s": {
			reason: "disk", since: noon(), next: now, lines: 7000,
		},
		"waiting: other batches have their turn, 5 lines": {reason: "waiting_turn", lines: 5},
		"waiting: stored bytes cannot be read since 12:04, next try in 30 s": {
			reason: "blob_unreadable", since: noon(), next: now.Add(30 * time.Second),
		},
		"waiting: a later version's word, 5 lines": {reason: "a_later_version's_word", lines: 5},
	} {
		if got := notesOf([]wait{w}, now)[0].line(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	if got := notesOf([]wait{{reason: "concurrency", lines: 5}}, now); got != nil {
		t.Errorf("a batch that is being worked on waits for %v", got)
	}
}

func TestOnlyTheFirstReasonsAreShownAndModelsNamedWhereThereAreSeveral(t *testing.T) {
	t.Parallel()
	waits := []wait{spent()}
	for i := range 4 {
		waits = append(waits, wait{reason: "failing", status: 500, model: fmt.Sprintf("m\n%d", i)})
	}
	notes := notesOf(waits, noon())
	if len(notes) != 4 || notes[1].text != `waiting: upstream answers 500 (failing) for model "m\n0"` || notes[3].text != "waiting: there are more reasons" {
		t.Errorf("notes %q", notes)
	}
}

func TestNothingImportantIsCutAt80Columns(t *testing.T) {
	t.Parallel()
	long := spent()
	long.message = strings.Repeat("quota ", 33)
	wide := spent()
	wide.message = strings.Repeat("残高不足", 40)
	bar := &barText{
		figures: figures(view{status: "in_progress", total: 1_200_000, completed: 997_000, failed: 12, inFlight: 16_384}, moving()),
		notes:   notesOf([]wait{long, wide}, noon().Add(time.Minute)),
	}
	beside, _ := bar.split(80)
	if beside != "997,012/1,200,000 done, 12 failed, 16,384 in flight" {
		t.Errorf("beside the bar: %q", beside)
	}
	want := []string{
		"  812 req/s, 25k output tok/s, 4 min left",
		"waiting: upstream answers 429 insufficient_quota (account) since 12:04,",
		"  1,998 lines, next try in 24 s",
		`  "` + strings.Repeat("quota ", 12) + "quot…",
		"waiting: upstream answers 429 insufficient_quota (account) since 12:04,",
		"  1,998 lines, next try in 24 s",
		`  "` + strings.Repeat("残高不足", 9) + "残高…",
	}
	if diff := cmp.Diff(want, bar.rows(80)); diff != "" {
		t.Errorf("below the bar (-want +got):\n%s", diff)
	}
	for _, width := range []int{1, 5, 20, 40, 60, 120, 300} {
		for _, row := range bar.rows(width) {
			if columns(row) > width {
				t.Errorf("at %d columns: %q has %d", width, row, columns(row))
			}
		}
	}
	if beside, below := bar.split(200); below != "" || !strings.HasSuffix(beside, "left") {
		t.Errorf("at 200 columns: %q and %q", beside, below)
	}
}

// moving is a meter that has seen a batch of 1,200,000 lines come along.
func moving() *meter {
	m := &meter{}
	m.observe(sample{at: start, done: 997_012 - 8120, tokens: 0})
	m.observe(sample{at: at(10), done: 997_012, tokens: 250_000})
	return m
}

func TestWaitsOfARunAndOfAServerReadTheSame(t *testing.T) {
	t.Parallel()
	w := spent()
	here := waitsIn(oneshot.Progress{Waiting: []batch.Waiting{{Lines: w.lines, Model: w.model, Reason: batch.Reason{
		Kind: w.reason, Since: w.since, Status: w.status, Code: w.code, Message: w.message, NextTry: w.next,
	}}}})
	there := waitsOf(client.Batch{WaitingFor: []client.Waiting{{
		Reason: w.reason, Since: w.since.Unix(), Status: w.status, Code: w.code, Message: w.message, NextTry: w.next.Unix(),
		Lines: w.lines, Model: w.model,
	}}})
	if diff := cmp.Diff(here, there, cmp.AllowUnexported(wait{})); diff != "" {
		t.Errorf("of a server (-run +server):\n%s", diff)
	}
}

func TestABatchIsShownWithWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := &invocation{Process: Process{Stdout: &out}}
	b := client.Batch{ID: "batch_1", Status: "in_progress", WaitingFor: []client.Waiting{
		{Reason: "denied", Status: 401, Lines: 20, Upstream: "upstream-1", Message: "Incorrect API key provided"}, {Reason: "memory", Lines: 3},
	}}
	if err := s.showBatch(b, false); err != nil {
		t.Fatal(err)
	}
	want := "waiting:   upstream-1 answers 401 (denied)\n           20 lines\n           \"Incorrect API key provided\"\n" +
		"           the memory for calls in flight is in use\n           3 lines\n"
	if !strings.HasSuffix(out.String(), want) {
		t.Errorf("shown as\n%s", out.String())
	}
}

func TestARunThatWasRefusedSaysWhyAndWhatToDo(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := &invocation{Process: Process{Stderr: &out, Args: []string{"run", "in.jsonl", "--upstream", "http://a:1"}}}
	refused := &oneshot.RefusedError{Upstreams: []oneshot.Refusal{
		{Host: "a:1", Reason: batch.Reason{Kind: "misconfigured", Status: 404, Message: "Not Found"}},
		{Host: "b:1/v1", Reason: batch.Reason{Kind: "unreachable", Detail: "refused"}},
	}}
	s.sayRefused(refused, oneshot.Summary{})
	want := `batchd: given up: no call was served
  a:1 answers 404 (misconfigured)
  "Not Found"
  Check --upstream: the URL ends in /v1 for most servers, and this one does not.
  b:1/v1 cannot be reached (connection refused)
  Check that it is running, and host and port in --upstream.
Nothing was recorded. Go on with the same command (--wait keeps trying):
  batchd run in.jsonl --upstream http://a:1
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("said (-want +got):\n%s", diff)
	}
	out.Reset()
	s.sayRefused(refused, oneshot.Summary{Progress: oneshot.Progress{Total: 10, Completed: 3, Failed: 1}})
	if !strings.Contains(out.String(), "\n4 of 10 lines are done and kept. Go on") {
		t.Errorf("said\n%s", out.String())
	}
	for kind, part := range map[string]string{"denied": "--upstream-key-env", "account": "balance", "misconfigured": "nothing takes requests"} {
		if got := remedy(wait{reason: kind}, "a:1/v1"); !strings.Contains(got, part) {
			t.Errorf("%s: %s", kind, got)
		}
	}
	for status, part := range map[int]string{407: "HTTPS_PROXY", 451: "legal reasons"} {
		got := remedy(wait{reason: "denied", status: status}, "a:1/v1")
		if !strings.Contains(got, part) || strings.Contains(got, "key") {
			t.Errorf("%d: %s", status, got)
		}
	}
	for detail, part := range map[string]string{"dns": "host name", "tls": "https://", "timeout": "running"} {
		if got := remedy(wait{reason: "unreachable", detail: detail}, "a:1/v1"); !strings.Contains(got, part) {
			t.Errorf("%s: %s", detail, got)
		}
	}
}

func TestABatchEndsNoSoonerThanItsLinesAreRetried(t *testing.T) {
	t.Parallel()
	waits := []wait{{reason: "concurrency"}, {reason: "denied", next: at(15)}, {reason: "broken", next: at(60)}, {reason: "no_room", next: at(1)}}
	if got := retryIn(waits, start); got != time.Minute {
		t.Errorf("got %s, want 1m", got)
	}
	if got := retryIn(waits[:1], start); got != 0 {
		t.Errorf("nothing is put off: got %s", got)
	}
}
