package plan_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/blob/blobtest"
	"batchd/internal/dialect"
	"batchd/internal/dialect/openai"
	"batchd/internal/plan"
	"batchd/internal/vfs/memfs"
)

const (
	endpoint = "/v1/embeddings"
	planKey  = "plans/batch_1-lease"
)

// bench is everything a validation needs, in memory.
type bench struct {
	backend *blobtest.Memory
	blobs   blob.Store
	disk    *memfs.FS
	in      plan.Input
}

// newBench uploads file; all settings may be changed before validate.
func newBench(t testing.TB, file string) *bench {
	t.Helper()
	b := &bench{backend: blobtest.NewMemory()}
	b.blobs = blob.NewStore(b.backend, blob.Options{CacheBlocks: -1})
	disk, temp := newTemp()
	b.disk = disk
	b.in = plan.Input{
		Blobs: b.blobs, Dialect: openai.New(openai.Options{}),
		Content: upload(t, b.blobs, strings.NewReader(file), 1000),
		Rules:   dialect.LineRules{Endpoint: endpoint},
		PlanKey: planKey, Temp: temp,
	}
	return b
}

// validate runs a validation and checks what holds for every one.
func (b *bench) validate(t testing.TB) plan.Result {
	t.Helper()
	got, err := plan.Validate(t.Context(), b.in)
	if err != nil {
		t.Fatal(err)
	}
	wantNoTemp(t, b.disk)
	if stored := exists(t, b.backend, planKey); stored != (got.ErrorsTotal == 0) {
		t.Errorf("plan stored: %t with %d errors", stored, got.ErrorsTotal)
	}
	return got
}

// entries reads the whole plan.
func (b *bench) entries(t testing.TB, r plan.Result) []plan.Entry {
	t.Helper()
	entries, err := plan.ReadEntries(t.Context(), b.blobs, r.Plan, 0, int(r.Total))
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// request is a good input line.
func request(id, model string) string {
	return fmt.Sprintf(`{"custom_id":%q,"method":"POST","url":%q,"body":{"model":%q,"input":"hello"}}`, id, endpoint, model)
}

func requests(n int, model func(i int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(request(fmt.Sprint("r", i), model(i)) + "\n")
	}
	return b.String()
}

func oneModel(int) string { return "m" }

func TestGoodFileOfOneModelIsPlannedInItsOwnOrder(t *testing.T) {
	t.Parallel()
	file := "\ufeff" + requests(2500, oneModel) + "\n\n"
	b := newBench(t, file)
	got := b.validate(t)
	want := plan.Result{
		Total: 2500, Models: []string{"m"}, Model: "m", InLineOrder: true,
		Units: []batch.UnitSpan{
			{First: 0, Count: 1000}, {First: 1000, Count: 1000}, {First: 2000, Count: 500},
		},
	}
	got.Plan = batch.Blob{}
	for i := range got.Units {
		got.Units[i].Bytes = 0
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("result differs (-want +got):\n%s", diff)
	}
	if b.disk.Ops() != 0 {
		t.Errorf("%d operations on the disk: nothing needs sorting", b.disk.Ops())
	}
	for i, e := range b.entries(t, b.validate(t)) {
		if text := file[e.Offset : e.Offset+int64(e.Length)]; e.Line != uint32(i+1) || text != request(fmt.Sprint("r", i), "m") {
			t.Fatalf("entry %d is line %d, %q", i, e.Line, text)
		}
	}
}

func TestValidatingAgainGivesTheSamePlan(t *testing.T) {
	t.Parallel()
	b := newBench(t, requests(500, func(i int) string { return fmt.Sprint("m", i%7) }))
	b.in.MixedModels, b.in.SortMemory = true, 1024
	first := b.validate(t)
	if diff := gocmp.Diff(first, b.validate(t)); diff != "" {
		t.Errorf("second result differs (-first +second):\n%s", diff)
	}
}

// TestPlanEqualsANaiveOne compares plan, units and errors with what is computed with the whole file in memory.
func TestPlanEqualsANaiveOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		line := rapid.OneOf(
			rapid.Custom(func(r *rapid.T) string {
				id := rapid.IntRange(0, 400).Draw(r, "id")
				return request(fmt.Sprint("r", id), fmt.Sprint("m", rapid.IntRange(0, 3).Draw(r, "model")))
			}),
			rapid.SampledFrom([]string{"", " ", "{", "\xff", `{"custom_id":"x"}`, strings.Repeat("x", 300)}),
		)
		// Most files should have no bad line at all.
		n := rapid.IntRange(0, 60).Draw(r, "lines")
		var lines []string
		for i := range n {
			if rapid.IntRange(0, 99).Draw(r, "bad") == 0 {
				lines = append(lines, line.Draw(r, "line"))
			} else {
				lines = append(lines, request(fmt.Sprint("u", i), fmt.Sprint("m", rapid.IntRange(0, 2).Draw(r, "model"))))
			}
		}
		b := newBench(t, strings.Join(lines, rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(r, "break")))
		b.in.MixedModels = rapid.Bool().Draw(r, "mixed")
		b.in.SortMemory = rapid.Int64Range(1, 2000).Draw(r, "memory")
		b.in.Limits.MaxLineBytes = 250
		b.in.Unit = plan.UnitLimits{
			MaxLines: rapid.IntRange(1, 20).Draw(r, "unit lines"), MaxBytes: rapid.Int64Range(1, 2000).Draw(r, "unit bytes"),
		}
		compareWithNaive(r, t, b, lines)
	})
}

func compareWithNaive(r *rapid.T, t *testing.T, b *bench, lines []string) {
	got := b.validate(t)
	entries, models, bad := naive(b.in, lines)
	if got.ErrorsTotal != int64(len(bad)) {
		r.Fatalf("%d errors, want %d: %v", got.ErrorsTotal, len(bad), got.Errors)
	}
	if diff := gocmp.Diff(bad, badLines(got.Errors)); diff != "" {
		r.Fatalf("bad lines differ (-want +got):\n%s", diff)
	}
	if len(bad) > 0 {
		return
	}
	type key struct{ Model, Line uint32 }
	var order []key
	for _, e := range b.entries(t, got) {
		order = append(order, key{e.Model, e.Line})
	}
	var want []key
	for _, e := range entries {
		want = append(want, key{e.Model, e.Line})
	}
	if diff := gocmp.Diff(want, order); diff != "" {
		r.Fatalf("plan differs (-want +got):\n%s", diff)
	}
	inOrder := slices.IsSortedFunc(entries, func(x, y plan.Entry) int { return cmp.Compare(x.Line, y.Line) })
	if !slices.Equal(models, got.Models) || got.Total != int64(len(entries)) || got.InLineOrder != inOrder {
		r.Fatalf("models %v, total %d, in line order %t", got.Models, got.Total, got.InLineOrder)
	}
	checkUnits(r, b.in.Unit, got.Units, entries)
}

func badLines(errs []batch.LineError) []int64 {
	var lines []int64
	for _, e := range errs {
		lines = append(lines, e.Line)
	}
	return lines
}

// naive returns the plan, without offsets, the models and the bad lines.
func naive(in plan.Input, lines []string) (entries []plan.Entry, models []string, bad []int64) {
	for len(lines) > 0 && strings.TrimSpace(lines[len(lines)-1]) == "" {
		lines = lines[:len(lines)-1]
	}
	if len(lines) == 0 {
		return nil, nil, []int64{0}
	}
	seen := map[string]bool{}
	for i, text := range lines {
		parsed, err := in.Dialect.ParseLine([]byte(text), in.Rules)
		if err != nil || int64(len(text)) > in.Limits.MaxLineBytes {
			bad = append(bad, int64(i+1))
			continue
		}
		model := slices.Index(models, string(parsed.Model))
		mismatched := model < 0 && len(models) > 0 && !in.MixedModels
		if model < 0 && !mismatched {
			model, models = len(models), append(models, string(parsed.Model))
		}
		if mismatched || seen[string(parsed.CustomID)] {
			bad = append(bad, int64(i+1))
		}
		seen[string(parsed.CustomID)] = true
		entries = append(entries, plan.Entry{Model: uint32(model), Line: uint32(i + 1), Length: uint32(len(text))})
	}
	slices.SortStableFunc(entries, func(x, y plan.Entry) int { return cmp.Compare(x.Model, y.Model) })
	return entries, models, bad
}

// checkUnits checks that units cover the plan without a gap, keep to one model and to the limits, and that no two
// neighbours could have been one.
func checkUnits(r *rapid.T, limits plan.UnitLimits, units []batch.UnitSpan, entries []plan.Entry) {
	next := int64(0)
	for i, u := range units {
		if u.First != next || u.Count < 1 || u.Count > limits.MaxLines {
			r.Fatalf("unit %d is %+v after entry %d", i, u, next)
		}
		var size int64
		for _, e := range entries[u.First : u.First+int64(u.Count)] {
			size += int64(e.Length)
			if int(e.Model) != u.Model {
				r.Fatalf("unit %d of model %d has a line of model %d", i, u.Model, e.Model)
			}
		}
		if size != u.Bytes || size > limits.MaxBytes && u.Count > 1 {
			r.Fatalf("unit %d is %+v, its lines have %d bytes", i, u, size)
		}
		next += int64(u.Count)
		if i > 0 && u.Model == units[i-1].Model {
			first := entries[u.First]
			if before := units[i-1]; before.Count < limits.MaxLines && before.Bytes+int64(first.Length) <= limits.MaxBytes {
				r.Fatalf("unit %d could have held the first line of unit %d", i-1, i)
			}
		}
	}
	if next != int64(len(entries)) {
		r.Fatalf("units cover %d entries of %d", next, len(entries))
	}
}

func TestCancelledValidationStops(t *testing.T) {
	t.Parallel()
	b := newBench(t, requests(1000, oneModel))
	ctx, cancel := context.WithCancel(t.Context())
	b.in.KnownModel = func(string) bool { cancel(); return true } // on the first line
	_, err := plan.Validate(ctx, b.in)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want context.Canceled", err)
	}
	wantNoTemp(t, b.disk)
}

func TestDamagedInputIsAnErrorAndNoFaultOfTheLines(t *testing.T) {
	t.Parallel()
	for _, mixed := range []bool{false, true} {
		b := newBench(t, requests(1000, oneModel))
		b.in.MixedModels = mixed
		damage(t, b.backend, "upload/3", 17)
		if _, err := plan.Validate(t.Context(), b.in); !errors.Is(err, blob.ErrCorrupt) {
			t.Errorf("mixed %t: error = %v, want blob.ErrCorrupt", mixed, err)
		}
		if err := b.backend.Delete(t.Context(), "upload/3"); err != nil {
			t.Fatal(err)
		}
		if _, err := plan.Validate(t.Context(), b.in); !errors.Is(err, blob.ErrNotExist) {
			t.Errorf("mixed %t: error = %v, want blob.ErrNotExist", mixed, err)
		}
	}
}

func TestFullBlobStoreIsAnError(t *testing.T) {
	t.Parallel()
	b := newBench(t, requests(10, oneModel))
	b.in.Blobs = fullStore{b.blobs}
	if _, err := plan.Validate(t.Context(), b.in); !errors.Is(err, blob.ErrNoSpace) {
		t.Errorf("error = %v, want blob.ErrNoSpace", err)
	}
}

type fullStore struct{ blob.Store }

func (fullStore) Put(context.Context, string, io.Reader) (batch.Blob, error) {
	return batch.Blob{}, blob.ErrNoSpace
}

func TestEveryFailureOfTheDiskIsReturnedAndLeavesNothing(t *testing.T) {
	t.Parallel()
	file := requests(100, func(i int) string { return fmt.Sprint("m", i%3) })
	broken := errors.New("disk is broken")
	for nth := 1; ; nth++ {
		b := newBench(t, file)
		b.in.MixedModels, b.in.SortMemory = true, 1024
		seen := 0
		b.disk.OnOp(func(op memfs.Op) error {
			if op.Kind != "remove" && op.Kind != "readdir" {
				if seen++; seen == nth {
					return broken
				}
			}
			return nil
		})
		_, err := plan.Validate(t.Context(), b.in)
		if seen < nth {
			break
		}
		if !errors.Is(err, broken) {
			t.Errorf("operation %d failed, error = %v", nth, err)
		}
		wantNoTemp(t, b.disk)
	}
}

func TestLineLimitBeyondThePlansRangeIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t, requests(1, oneModel))
	b.in.Limits.MaxLineBytes = 1 << 40
	if _, err := plan.Validate(t.Context(), b.in); err == nil {
		t.Error("a limit of 1 TiB was taken")
	}
}
