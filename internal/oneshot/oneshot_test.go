package oneshot_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"batchd/internal/app"
	"batchd/internal/batch"
	"batchd/internal/config"
	"batchd/internal/oneshot"
	"batchd/internal/sim"
)

// bench is an input file with an engine to run it against.
type bench struct {
	t     *testing.T
	dir   string
	job   oneshot.Job
	cfg   config.Config
	calls atomic.Int64
	// onCall, if set, is told of every call while it runs.
	onCall func(n int64)
}

func newBench(t *testing.T, lines int) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), cfg: config.Default()}
	engine, err := sim.New(sim.Options{OnCall: func(sim.Call) {
		n := b.calls.Add(1)
		if b.onCall != nil {
			b.onCall(n)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.Handler(engine))
	t.Cleanup(server.Close)
	b.cfg.Upstreams = []config.Upstream{{URL: server.URL + "/v1", Concurrency: 4}}
	b.job.Input = filepath.Join(b.dir, "in.jsonl")
	b.write(lines, "text")
	return b
}

// write replaces the input.
func (b *bench) write(lines int, text string) {
	b.t.Helper()
	var input bytes.Buffer
	for i := range lines {
		fmt.Fprintf(&input, `{"custom_id":"c%d","method":"POST","url":"/v1/embeddings","body":{"model":"m","input":"%s %d"}}`+"\n", i, text, i)
	}
	if err := os.WriteFile(b.job.Input, input.Bytes(), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) run(ctx context.Context) (oneshot.Summary, error) {
	return b.observed(ctx, func(oneshot.Progress) {})
}

// observed runs the job with the engine that the product has.
func (b *bench) observed(ctx context.Context, observe func(oneshot.Progress)) (oneshot.Summary, error) {
	return oneshot.Run(ctx, app.OneShot(b.cfg, slog.New(slog.DiscardHandler), observe), b.job)
}

// done runs the job to its end.
func (b *bench) done() oneshot.Summary {
	b.t.Helper()
	s, err := b.run(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// refused runs the job and checks that it is refused, for a reason with the given words.
func (b *bench) refused(words string) {
	b.t.Helper()
	before := b.calls.Load()
	_, err := b.run(b.t.Context())
	var fault *batch.Error
	if !errors.As(err, &fault) || fault.Class != batch.Invalid || !strings.Contains(fault.Message, words) {
		b.t.Errorf("got %v, want a refusal with %q", err, words)
	}
	if b.calls.Load() != before {
		b.t.Error("a refused job called the engine")
	}
}

// results checks that the output has every line of the input once and in order.
func (b *bench) results(lines int) {
	b.t.Helper()
	text, err := os.ReadFile(filepath.Join(b.dir, "in.output.jsonl"))
	if err != nil {
		b.t.Fatal(err)
	}
	n := 0
	for line := range bytes.Lines(text) {
		var result struct {
			CustomID string `json:"custom_id"`
		}
		if err := json.Unmarshal(line, &result); err != nil || result.CustomID != fmt.Sprintf("c%d", n) {
			b.t.Fatalf("line %d: got %q, %v", n, result.CustomID, err)
		}
		n++
	}
	if n != lines {
		b.t.Errorf("got %d results, want %d", n, lines)
	}
}

func TestARunThatIsDoneCallsNobodyAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, 50)
	first := b.done()
	if first.Total != 50 || first.Completed != 50 || first.Failed != 0 || first.Repeated || first.Errors != "" {
		t.Errorf("got %+v", first)
	}
	b.results(50)
	again := b.done()
	if !again.Repeated || again.Completed != 50 || again.Output != first.Output {
		t.Errorf("the second time got %+v", again)
	}
	if got := b.calls.Load(); got != 50 {
		t.Errorf("the engine was called %d times, want 50", got)
	}
}

func TestAnInterruptedRunGoesOnWithoutRepeats(t *testing.T) {
	t.Parallel()
	b := newBench(t, 60)
	ctx, interrupt := context.WithCancel(t.Context())
	b.onCall = func(n int64) {
		if n == 20 {
			interrupt()
		}
	}
	summary, err := b.run(ctx)
	if !errors.Is(err, oneshot.ErrInterrupted) {
		t.Fatalf("got %+v, %v, want an interrupt", summary, err)
	}
	if done := summary.Completed + summary.Failed; summary.Total != 60 || done < 16 || done >= 60 {
		t.Errorf("got %d of %d done", done, summary.Total)
	}
	if _, err := os.Stat(filepath.Join(b.dir, "in.output.jsonl")); err == nil {
		t.Error("there is an output file already")
	}
	b.done()
	b.results(60)
	if got := b.calls.Load(); got != 60 {
		t.Errorf("the engine was called %d times for 60 lines", got)
	}
}

func TestAnInterruptBeforeTheStartIsNoFault(t *testing.T) {
	t.Parallel()
	b := newBench(t, 3)
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	if _, err := b.run(ctx); !errors.Is(err, oneshot.ErrInterrupted) && !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	b.done()
	b.results(3)
}

func TestAChangedInputNeedsARestart(t *testing.T) {
	t.Parallel()
	b := newBench(t, 5)
	b.done()
	b.write(7, "other")
	b.refused("--restart")
	kept := filepath.Join(b.dir, "in.batchd", "lost", "x.journal")
	if err := errors.Join(os.Mkdir(filepath.Dir(kept), 0o700), os.WriteFile(kept, []byte("x"), 0o600)); err != nil {
		t.Fatal(err)
	}
	b.job.Restart = true
	b.done()
	b.results(7)
	if _, err := os.Stat(kept); err != nil {
		t.Errorf("a journal that was set aside is gone: %v", err)
	}
	if got := b.calls.Load(); got != 12 {
		t.Errorf("the engine was called %d times, want 12", got)
	}
}

func TestARestartThatWasCutShortIsFinishedByTheNext(t *testing.T) {
	t.Parallel()
	b := newBench(t, 5)
	b.done()
	record := filepath.Join(b.dir, "in.batchd", "run.json")
	raw, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	// As it is when the process ends after the new record and half of the clearing: no database, but blobs.
	raw = bytes.Replace(raw, []byte(`"batch": "batch_`), []byte(`"clearing": true, "batch": "batch_0`), 1)
	raw = bytes.Replace(raw, []byte(`"done"`), []byte(`"was"`), 1)
	if err := os.WriteFile(record, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(b.dir, "in.batchd", "batchd.db")); err != nil {
		t.Fatal(err)
	}
	b.done()
	b.results(5)
}

func TestFilesOfOthersAreLeftAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2)
	output := filepath.Join(b.dir, "in.output.jsonl")
	if err := os.WriteFile(output, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.refused("in.output.jsonl was not made by this run")
	b.job.Restart = true
	b.refused("in.output.jsonl was not made by this run")
	if text, err := os.ReadFile(output); err != nil || string(text) != "mine" {
		t.Errorf("the file holds %q, %v", text, err)
	}
	b.job.Restart = false
	b.job.State = b.dir
	b.job.Output = filepath.Join(b.dir, "elsewhere.jsonl")
	b.refused("is not the state of a run")
	if _, err := os.Stat(filepath.Join(b.dir, "in.batchd")); err == nil {
		t.Error("a refused run left a directory")
	}
}

func TestAFileThatAppearsMeanwhileIsLeftAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2)
	output := filepath.Join(b.dir, "in.output.jsonl")
	b.onCall = func(n int64) {
		if n == 1 {
			_ = os.WriteFile(output, []byte("mine"), 0o600) // the check below finds out
		}
	}
	_, err := b.run(t.Context())
	var fault *batch.Error
	if !errors.As(err, &fault) {
		t.Fatalf("got %v, want a refusal", err)
	}
	if text, err := os.ReadFile(output); err != nil || string(text) != "mine" {
		t.Errorf("the file holds %q, %v", text, err)
	}
	if err := os.Remove(output); err != nil {
		t.Fatal(err)
	}
	b.done()
	b.results(2)
	if got := b.calls.Load(); got != 2 {
		t.Errorf("the engine was called %d times, want 2", got)
	}
}

func TestADamagedRecordIsRefusedAndKept(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"cut":           {`{"version": 1, "inp`, "is damaged"},
		"later version": {`{"version": 2}`, "another version of batchd"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, 1)
			record := filepath.Join(b.dir, "in.batchd", "run.json")
			if err := os.Mkdir(filepath.Dir(record), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(record, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := b.run(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if got, err := os.ReadFile(record); err != nil || string(got) != c.text {
				t.Errorf("the record holds %q, %v", got, err)
			}
		})
	}
}

func TestAnInvalidInputIsSentNowhereAndMayBeTriedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2)
	line := `{"custom_id":"c%d","method":"POST","url":"/v1/embeddings","body":{"model":"%s","input":"x"}}` + "\n"
	if err := os.WriteFile(b.job.Input, []byte(fmt.Sprintf(line, 0, "a")+fmt.Sprintf(line, 1, "b")), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		summary, err := b.run(t.Context())
		if !errors.Is(err, oneshot.ErrInvalidInput) || len(summary.Faults) == 0 || summary.FaultCount != 1 {
			t.Fatalf("got %+v, %v", summary, err)
		}
	}
	if got := b.calls.Load(); got != 0 {
		t.Errorf("the engine was called %d times", got)
	}
	b.cfg.AllowMixedModels = true
	b.done()
	b.results(2)
}

func TestProgressNeverGoesBackAndEndsWithEverything(t *testing.T) {
	t.Parallel()
	b := newBench(t, 200)
	var last oneshot.Progress
	_, err := b.observed(t.Context(), func(p oneshot.Progress) {
		if p.Completed < last.Completed || p.Failed < last.Failed || p.OutputTokens < last.OutputTokens {
			t.Errorf("went from %+v to %+v", last, p)
		}
		last = p
	})
	if err != nil {
		t.Fatal(err)
	}
	if last.Completed != 200 || last.Total != 200 || last.Status != "completed" {
		t.Errorf("the last progress was %+v", last)
	}
}

func TestTheEndpointIsTheFirstURL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"url": "/v1/rerank"}` + "\n" + `{"url": "/v1/score"}`: "/v1/rerank",
		"not JSON\n\n" + `{"url": "/v1/score"}`:                 "/v1/score",
		`{"url": 5}` + "\n" + `{"url": ""}`:                     "/v1/chat/completions",
		"":                                                      "/v1/chat/completions",
	} {
		if got := oneshot.FirstURL(strings.NewReader(text)); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}
