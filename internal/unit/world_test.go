package unit_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/blob/blobtest"
	"batchd/internal/blob/disk"
	"batchd/internal/dialect"
	"batchd/internal/dialect/openai"
	"batchd/internal/dispatch"
	"batchd/internal/extsort"
	"batchd/internal/plan"
	"batchd/internal/store"
	"batchd/internal/unit"
	"batchd/internal/vfs/memfs"
)

const batchID = "batch_0123456789abcdef0123456789abcdef"

// ledger is the metadata store as units see it: what it was told is durable at once.
type ledger struct {
	// mu guards following fields.
	mu     sync.Mutex
	batch  batch.Batch
	leases map[int]batch.LeaseID
	spans  []batch.UnitSpan
	seals  map[int]batch.Seal
}

func (l *ledger) BatchByID(context.Context, string) (batch.Batch, error) { return l.batch, nil }

func (l *ledger) SealUnits(_ context.Context, seals []batch.Seal, _ time.Time) (store.SealResult, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range seals {
		if _, sealed := l.seals[s.Ordinal]; sealed || l.leases[s.Ordinal] != s.Lease {
			return store.SealResult{}, store.ErrLeaseLost
		}
	}
	for _, s := range seals {
		l.seals[s.Ordinal] = s
	}
	return store.SealResult{Ready: len(l.seals) == len(l.spans)}, nil
}

func (l *ledger) AdoptUnit(_ context.Context, id batch.UnitID, from []batch.LeaseID, h store.Holder) (batch.Unit, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, sealed := l.seals[id.Ordinal]; sealed {
		return batch.Unit{}, store.ErrSealed
	}
	for _, lease := range from {
		if l.leases[id.Ordinal] == lease {
			l.leases[id.Ordinal] = h.Lease
			return batch.Unit{UnitID: id, UnitSpan: l.spans[id.Ordinal], Lease: h.Lease}, nil
		}
	}
	return batch.Unit{}, store.ErrLeaseLost
}

// lease leases a unit as the dispatcher would.
func (l *ledger) lease(ordinal int) batch.Unit {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leases[ordinal] = batch.NewLeaseID()
	return batch.Unit{
		UnitID: batch.UnitID{Batch: batchID, Ordinal: ordinal}, UnitSpan: l.spans[ordinal], Lease: l.leases[ordinal],
	}
}

// world is a planned batch on a disk that can fail, with a keeper over it.
type world struct {
	t        *testing.T
	disk     *memfs.FS
	sound    blob.Store
	blobs    blob.Store
	ledger   *ledger
	progress *unit.Progress
	keeper   *unit.Keeper
	input    *unit.Input
	logs     *bytes.Buffer
	rescues  *atomic.Int64
	hold     func() error // nil holds nothing
	strict   bool         // the dialect
}

// newWorld plans a batch of the given number of lines in units of at most perUnit. The input and the plan are on a
// disk of their own that never fails: faults are for journals and segments.
func newWorld(t *testing.T, lines, perUnit int) *world {
	t.Helper()
	sound := blob.NewStore(blobtest.NewMemory(), blob.Options{})
	var text strings.Builder
	for i := 1; i <= lines; i++ {
		fmt.Fprintf(&text, `{"custom_id":"c%d","method":"POST","url":"/v1/chat/completions","body":{"model":"m","messages":[{"role":"user","content":"%d"}]}}`+"\n", i, i)
	}
	file, err := sound.Put(t.Context(), "files/in", strings.NewReader(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	content := batch.Manifest{}.Append(file, 0, file.Size)
	result, err := plan.Validate(t.Context(), plan.Input{
		Blobs: sound, Dialect: openai.New(openai.Options{}), Content: content,
		Rules: dialect.LineRules{Endpoint: "/v1/chat/completions"}, Limits: batch.DefaultLimits(),
		PlanKey: "plans/p", Temp: extsort.Temp{FS: memfs.New(), Dir: "."}, Unit: plan.UnitLimits{MaxLines: perUnit},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil || result.ErrorsTotal > 0 {
		t.Fatalf("plan: %v, %v", err, result.Errors)
	}
	b := batch.Batch{
		ID: batchID, Dialect: openai.Name, Endpoint: "/v1/chat/completions", Plan: result.Plan, Models: result.Models,
		Units: len(result.Units), Counts: batch.Counts{Total: result.Total},
	}
	w := &world{
		t: t, sound: sound, input: unit.NewInput(b, content, sound), logs: &bytes.Buffer{}, rescues: &atomic.Int64{},
		ledger: &ledger{batch: b, leases: map[int]batch.LeaseID{}, spans: result.Units, seals: map[int]batch.Seal{}},
	}
	w.boot(memfs.New())
	return w
}

// boot starts a process over a disk.
func (w *world) boot(fsys *memfs.FS) {
	w.t.Helper()
	w.disk = fsys
	if err := w.tryBoot(fsys); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) tryBoot(fsys *memfs.FS) error {
	for _, dir := range []string{"journals", "blobs"} {
		if err := fsys.MkdirAll(dir); err != nil {
			return err
		}
	}
	if err := fsys.SyncDir("."); err != nil {
		return err
	}
	backend, err := disk.New(fsys, "blobs", disk.Options{})
	if err != nil {
		return err
	}
	w.blobs = blob.NewStore(backend, blob.Options{})
	w.progress = unit.NewProgress()
	w.progress.Load(batchID, batch.Counts{Total: w.ledger.batch.Counts.Total})
	w.keeper = w.newKeeper(w.ledger)
	return nil
}

// newKeeper returns a keeper over the disk and a store.
func (w *world) newKeeper(s unit.Store) *unit.Keeper {
	return unit.NewKeeper(unit.Options{
		Store: s, Blobs: w.blobs, Disk: w.disk, Dir: "journals",
		Dialect:  func(string) (dialect.Dialect, error) { return openai.New(openai.Options{Strict: w.strict}), nil },
		Progress: w.progress, Now: time.Now, Logger: slog.New(slog.NewTextHandler(w.logs, nil)),
		Hold: func() error {
			if w.hold == nil {
				return nil
			}
			return w.hold()
		},
		OnRescue: func() { w.rescues.Add(1) },
	})
}

// open leases and opens a unit.
func (w *world) open(ordinal int) *unit.Unit {
	w.t.Helper()
	u, err := w.keeper.Open(w.t.Context(), w.input, w.ledger.lease(ordinal))
	if err != nil {
		w.t.Fatal(err)
	}
	return u
}

// answer is the outcome of a line, the same each time.
func answer(line uint32) *batch.Outcome {
	o := &batch.Outcome{
		Status: 200, RequestID: fmt.Sprint("req", line), Body: batch.MemoryBody(fmt.Sprintf(`{"n": %d}`, line)),
		Usage: batch.Usage{Input: 1, Output: 2, Total: 3},
	}
	if line%3 == 0 {
		o.Status = 400
	}
	return o
}

// run takes n lines of the unit (all for n < 0) and records their answers.
func (w *world) run(u *unit.Unit, n int) {
	w.t.Helper()
	if err := tryRun(w.t.Context(), u, n); err != nil {
		w.t.Fatal(err)
	}
}

func tryRun(ctx context.Context, u *unit.Unit, n int) error {
	for _, l := range take(u, n) {
		loaded, err := u.Load(ctx, l)
		if err != nil {
			return err
		}
		if _, err := u.Record(l.Number, loaded.CustomID, answer(l.Number)); err != nil {
			return err
		}
	}
	return nil
}

// take takes n lines (all for n < 0), those that are kept back last.
func take(u *unit.Unit, n int) []dispatch.Line {
	var lines []dispatch.Line
	for len(lines) != n {
		l, ok := u.Take()
		if !ok {
			return append(lines, u.Controls()...)
		}
		lines = append(lines, l)
	}
	return lines
}

// seal seals the unit under no stop.
func (w *world) seal(u *unit.Unit) store.SealResult {
	w.t.Helper()
	r, err := u.Seal(w.t.Context(), batch.StopNone, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// results returns the output and the error lines of a sealed unit, as its segment holds them.
func (w *world) results(ordinal int) (output, failed string) {
	w.t.Helper()
	s, ok := w.ledger.seals[ordinal]
	if !ok {
		w.t.Fatalf("unit %d is not sealed", ordinal)
	}
	read := func(offset, length int64) string {
		raw, err := io.ReadAll(w.blobs.Open(w.t.Context(), s.Segment, offset, length))
		if err != nil {
			w.t.Fatal(err)
		}
		return string(raw)
	}
	return read(0, s.OutputBytes), read(s.OutputBytes, s.ErrorBytes)
}

// check fails the test unless the sealed unit holds the answers of lines first to last, each once, in order.
func (w *world) check(ordinal, first, last int) {
	w.t.Helper()
	output, failed := w.results(ordinal)
	var wantOutput, wantFailed []string
	for n := first; n <= last; n++ {
		if n%3 == 0 {
			wantFailed = append(wantFailed, fmt.Sprintf(`"custom_id":"c%d","response":{"status_code":400,"request_id":"req%d","body":{"n": %d}},"error":null}`, n, n, n))
		} else {
			wantOutput = append(wantOutput, fmt.Sprintf(`"custom_id":"c%d","response":{"status_code":200,"request_id":"req%d","body":{"n": %d}},"error":null}`, n, n, n))
		}
	}
	checkLines(w.t, "output", output, wantOutput)
	checkLines(w.t, "error", failed, wantFailed)
}

// checkLines compares the lines of a file with what each is to end in.
func checkLines(t *testing.T, name, got string, want []string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	if got == "" {
		lines = nil
	}
	if len(lines) != len(want) {
		t.Fatalf("%s: got %d lines, want %d:\n%s", name, len(lines), len(want), got)
	}
	for i, l := range lines {
		if !strings.HasSuffix(l, want[i]) {
			t.Fatalf("%s line %d: got %s, want … %s", name, i+1, l, want[i])
		}
	}
}
