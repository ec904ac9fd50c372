package batch_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"batchd/internal/batch"
)

// span is the line span of s by its definition.
func span(s string) batch.LineSpan {
	filled := func(line string) bool { return strings.Trim(line, " \t\r") != "" }
	lines := strings.Split(s, "\n")
	first, last := lines[0], lines[len(lines)-1]
	if len(lines) == 1 {
		return batch.LineSpan{Head: filled(first), Tail: filled(first)}
	}
	sp := batch.LineSpan{Broken: true, Head: filled(first), Tail: filled(last)}
	for _, line := range lines[1 : len(lines)-1] {
		if filled(line) {
			sp.Whole++
		}
	}
	return sp
}

func TestLineSpansJoinToTheSpanOfTheWholeHoweverItIsCut(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pieces := rapid.SliceOf(rapid.StringMatching(`[x \n\r]{0,6}`)).Draw(t, "pieces")
		var joined batch.LineSpan
		for _, p := range pieces {
			joined = joined.Join(span(p))
		}
		whole := strings.Join(pieces, "")
		if want := span(whole); joined != want {
			t.Fatalf("span of %q = %+v, want %+v", whole, joined, want)
		}
		var want int64
		for line := range strings.SplitSeq(whole, "\n") {
			if strings.Trim(line, " \r") != "" {
				want++
			}
		}
		if got := joined.Lines(); got != want {
			t.Fatalf("%q has %d lines, want %d", whole, got, want)
		}
	})
}

func TestLineSpansMayBeJoinedInAnyGrouping(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		piece := rapid.Custom(func(t *rapid.T) batch.LineSpan { return span(rapid.StringMatching(`[x \n]{0,4}`).Draw(t, "piece")) })
		a, b, c := piece.Draw(t, "a"), piece.Draw(t, "b"), piece.Draw(t, "c")
		if left, right := a.Join(b).Join(c), a.Join(b.Join(c)); left != right {
			t.Fatalf("(a b) c = %+v, a (b c) = %+v", left, right)
		}
	})
}

func TestPendingUploadExpiresByItself(t *testing.T) {
	t.Parallel()
	end := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	u := batch.Upload{Status: batch.UploadPending, ExpiresAt: end}
	if got := u.StatusAt(end.Add(-1)); got != batch.UploadPending {
		t.Errorf("before its end it is %s", got)
	}
	if got := u.StatusAt(end); got != batch.UploadExpired {
		t.Errorf("at its end it is %s", got)
	}
	u.Status = batch.UploadCompleted
	if got := u.StatusAt(end); got != batch.UploadCompleted {
		t.Errorf("a completed one is %s later", got)
	}
}

func TestEachTerminalStateHasItsEvent(t *testing.T) {
	t.Parallel()
	var events []batch.Event
	for _, s := range batch.Statuses() {
		if e := s.Event(); e != "" {
			events = append(events, e)
		}
	}
	if len(events) != len(batch.Events()) {
		t.Errorf("events %v, want %v in some order", events, batch.Events())
	}
	for _, e := range batch.Events() {
		if !strings.HasPrefix(string(e), "batch.") {
			t.Errorf("event %q", e)
		}
	}
}
