package novita_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/dialect/novita"
)

// dialects are the two that differ in what they show.
func dialects() map[string]*novita.Dialect {
	return map[string]*novita.Dialect{
		"default": novita.New(novita.Options{}),
		"strict":  novita.New(novita.Options{Strict: true}),
	}
}

func decode(t *testing.T, raw []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(raw, v); err != nil {
		t.Fatalf("decode %s: %v", raw, err)
	}
}

// textOf returns a member that is a string.
func textOf(t *testing.T, object []byte, name string) string {
	t.Helper()
	var m map[string]any
	decode(t, object, &m)
	text, ok := m[name].(string)
	if !ok {
		t.Fatalf("%s is %v, want a string", name, m[name])
	}
	return text
}

func TestIDsAreInNovitasStyleAndDiffer(t *testing.T) {
	t.Parallel()
	d := novita.New(novita.Options{})
	const digits = "0123456789abcdefghijklmnopqrstuv"
	seen, used := make(map[string]bool), ""
	for range 1000 {
		for prefix, id := range map[string]string{"batch_": d.NewBatchID(), "file_": d.NewFileID()} {
			rest, ok := strings.CutPrefix(id, prefix)
			if !ok || len(rest) != 20 || strings.Trim(rest, digits) != "" {
				t.Fatalf("id %q", id)
			}
			if seen[rest] {
				t.Fatalf("%s came twice", rest)
			}
			seen[rest] = true
			used += rest
		}
	}
	for _, digit := range digits {
		if n := strings.Count(used, string(digit)); n < 900 || n > 1600 { // 1250 are expected, give or take 35
			t.Errorf("digit %c appears %d times among %d", digit, n, len(used))
		}
	}
}

func TestIDsComeFromTheGivenRandomness(t *testing.T) {
	t.Parallel()
	d := novita.New(novita.Options{Random: func(p []byte) {
		for i := range p {
			p[i] = byte(200 + i)
		}
	}})
	if got, want := d.NewFileID(), "file_89abcdefghijklmnopqr"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDialectIsNamedAndTakesNothingOfOthers(t *testing.T) {
	t.Parallel()
	for name, d := range dialects() {
		if d.Name() != "novita" || d.Extensions() != (name == "default") {
			t.Errorf("%s: name %q, extensions %t", name, d.Name(), d.Extensions())
		}
		if _, ok := any(d).(dialect.Uploader); ok {
			t.Errorf("%s offers uploads in parts, which Novita does not have", name)
		}
		for _, event := range batch.Events() {
			if !d.Announces(event) {
				t.Errorf("%s does not announce %s", name, event)
			}
		}
		if d.Announces(batch.EventTest) {
			t.Errorf("%s announces a test as if it were of a batch", name)
		}
	}
}

func TestUnknownStatusCaseIsRefused(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	novita.New(novita.Options{StatusCase: "Title"})
}

func TestStatusWordsAreOfOneCase(t *testing.T) {
	t.Parallel()
	want := map[batch.Status]string{
		batch.Validating: "VALIDATING", batch.InProgress: "PROGRESS", batch.Finalizing: "PROGRESS",
		batch.Completed: "COMPLETED", batch.Failed: "FAILED", batch.Expired: "EXPIRED",
		batch.Cancelling: "CANCELLING", batch.Cancelled: "CANCELLED",
	}
	upper, lower := novita.New(novita.Options{StatusCase: novita.UpperCase}), novita.New(novita.Options{StatusCase: novita.LowerCase})
	for _, status := range batch.Statuses() {
		b := validating()
		b.Status = status
		if got := textOf(t, upper.Batch(b), "status"); got != want[status] {
			t.Errorf("%s is shown as %s", status, got)
		}
		if got := textOf(t, lower.Batch(b), "status"); got != strings.ToLower(want[status]) {
			t.Errorf("%s is shown as %s in lower case", status, got)
		}
	}
	var list struct {
		Data []struct {
			Status string `json:"status"`
		} `json:"data"`
	}
	decode(t, lower.BatchList([]batch.Batch{completed(), running()}, false), &list)
	if list.Data[0].Status != "completed" || list.Data[1].Status != "progress" {
		t.Errorf("list shows %+v", list.Data)
	}
	if got := lower.CannotCancel(completed()).Message; !strings.Contains(got, "'completed'") {
		t.Errorf("an error says %q", got)
	}
}

func TestStatusWordsMeanTheStatesBehindThem(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]*novita.Dialect{
		"upper": novita.New(novita.Options{}), "lower": novita.New(novita.Options{StatusCase: novita.LowerCase}),
	} {
		for _, status := range batch.Statuses() {
			b := validating()
			b.Status = status
			shown := textOf(t, d.Batch(b), "status")
			want := []batch.Status{status}
			if strings.EqualFold(shown, "PROGRESS") {
				want = []batch.Status{batch.InProgress, batch.Finalizing}
			}
			for _, word := range []string{strings.ToUpper(shown), strings.ToLower(shown)} {
				got, err := d.ParseStatus(word)
				if diff := cmp.Diff(want, got); err != nil || diff != "" {
					t.Errorf("%s: %s (%v):\n%s", name, word, err, diff)
				}
			}
		}
		for _, word := range []string{"", "in_progress", "finalizing", "Progress", "PROGREſS", "canceled", strings.Repeat("x", 1<<16)} {
			got, err := d.ParseStatus(word)
			if e := wantFault(t, err); got != nil || e.Param != "status" || len(e.Message) > 400 {
				t.Errorf("%s: %.20q is taken for %v, fault %+v", name, word, got, e)
			}
		}
	}
}

func wantFault(t *testing.T, err error) *batch.Error {
	t.Helper()
	var e *batch.Error
	if !errors.As(err, &e) {
		t.Fatalf("got error %v (%T), want a *batch.Error", err, err)
	}
	return e
}
