package batch_test

import (
	"testing"

	"batchd/internal/batch"
)

func TestD6OnlyTheDocumentedMovesAreLegal(t *testing.T) {
	t.Parallel()
	legal := map[batch.Status][]batch.Status{
		batch.Validating: {batch.InProgress, batch.Failed, batch.Cancelling, batch.Expired},
		batch.InProgress: {batch.Finalizing, batch.Cancelling, batch.Expired},
		batch.Finalizing: {batch.Completed, batch.Cancelling},
		batch.Cancelling: {batch.Cancelled},
	}
	for _, from := range batch.Statuses() {
		allowed := map[batch.Status]bool{}
		for _, to := range legal[from] {
			allowed[to] = true
		}
		for _, to := range batch.Statuses() {
			if got := from.CanMoveTo(to); got != allowed[to] {
				t.Errorf("%s to %s: got %v, want %v", from, to, got, allowed[to])
			}
		}
		if got, want := from.Terminal(), len(allowed) == 0; got != want {
			t.Errorf("%s terminal: got %v, want %v", from, got, want)
		}
	}
}

func TestStopDecidesTheTerminalStateAndTheCodeOfUnrunLines(t *testing.T) {
	t.Parallel()
	for stop, want := range map[batch.Stop]struct {
		status batch.Status
		code   batch.Code
	}{
		batch.StopNone:   {batch.Completed, ""},
		batch.StopCancel: {batch.Cancelled, batch.CodeCancelled},
		batch.StopExpire: {batch.Expired, batch.CodeExpired},
	} {
		if got := stop.Closed(); got != want.status {
			t.Errorf("%s closes as %s, want %s", stop, got, want.status)
		}
		if got := stop.Code(); got != want.code {
			t.Errorf("%s gives code %q, want %q", stop, got, want.code)
		}
	}
}

func TestOutcomeKindDecidesTheFileAndTheCount(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		outcome batch.Outcome
		want    batch.Kind
	}{
		"success":            {batch.Outcome{Status: 200}, batch.KindOutput},
		"created":            {batch.Outcome{Status: 201}, batch.KindOutput},
		"the user's mistake": {batch.Outcome{Status: 400}, batch.KindFailed},
		"server error":       {batch.Outcome{Status: 500}, batch.KindFailed},
		"redirect":           {batch.Outcome{Status: 307}, batch.KindFailed},
		"timeout":            {batch.Outcome{Code: batch.CodeRequestTimeout}, batch.KindFailed},
		"expired":            {batch.Outcome{Code: batch.CodeExpired}, batch.KindUnrun},
		"cancelled":          {batch.Outcome{Code: batch.CodeCancelled}, batch.KindUnrun},
	} {
		if got := c.outcome.Kind(); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}
