package assemble_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"batchd/internal/assemble"
	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/blob/blobtest"
	"batchd/internal/extsort"
	"batchd/internal/journal"
	"batchd/internal/store"
	"batchd/internal/vfs"
	"batchd/internal/vfs/memfs"
)

const tempDir = "tmp"

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// result is one line's result: what the real thing gets from dialects, journals and upstreams.
type result struct {
	line uint32
	kind batch.Kind
	text string
}

// finished is a batch whose units are sealed, in memory.
type finished struct {
	backend *blobtest.Memory
	blobs   blob.Store
	disk    *memfs.FS
	seals   []batch.Seal
	in      assemble.Input
}

// SealedUnits is the store's method.
func (f *finished) SealedUnits(_ context.Context, id string, first, n int) ([]batch.Seal, error) {
	if id != "batch_1" {
		return nil, store.ErrNotFound
	}
	first = min(first, len(f.seals))
	return f.seals[first:min(first+n, len(f.seals))], nil
}

// seal makes real segments of the units' results and a batch of them.
func seal(t testing.TB, units [][]result) *finished {
	t.Helper()
	f := &finished{backend: blobtest.NewMemory(), disk: memfs.New()}
	f.blobs = blob.NewStore(f.backend, blob.Options{CacheBlocks: -1})
	total := 0
	for ordinal, results := range units {
		f.seals = append(f.seals, segment(t, f.blobs, ordinal, results))
		total += len(results)
	}
	ids := 0
	f.in = assemble.Input{
		Seals: f, Blobs: f.blobs, Now: now,
		Temp: extsort.Temp{FS: f.disk, Dir: tempDir},
		Batch: batch.Batch{
			ID: "batch_1", Tenant: "t", Dialect: "openai", InLineOrder: true,
			Units: len(units), SealedUnits: len(units), Counts: batch.Counts{Total: int64(total)},
		},
		NewFileID: func() string { ids++; return fmt.Sprint("file-", ids) },
	}
	return f
}

func segment(t testing.TB, blobs blob.Store, ordinal int, results []result) batch.Seal {
	t.Helper()
	var lines []uint32
	byLine := map[uint32]result{}
	for _, r := range results {
		lines = append(lines, r.line)
		byLine[r.line] = r
	}
	slices.Sort(lines)
	built, err := journal.BuildUnrun(fmt.Sprintf("segments/%d/", ordinal), lines, func(line uint32) (journal.Record, error) {
		r := byLine[line]
		return journal.Record{Line: line, Kind: r.kind, Text: batch.MemoryBody(r.text)}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = built.Close() }() // in memory
	stored, err := blobs.Put(t.Context(), built.Key, built.Reader())
	if err != nil {
		t.Fatal(err)
	}
	return batch.Seal{
		UnitID: batch.UnitID{Batch: "batch_1", Ordinal: ordinal}, Segment: stored,
		OutputBytes: built.OutputBytes, OutputLines: built.OutputLines,
		ErrorBytes: built.ErrorBytes, ErrorLines: built.ErrorLines, Failed: built.Failed,
	}
}

// assemble makes the files and checks what holds for every batch.
func (f *finished) assemble(t testing.TB) (output, failed *store.ResultFile) {
	t.Helper()
	output, failed, err := assemble.Assemble(t.Context(), f.in)
	if err != nil {
		t.Fatal(err)
	}
	f.wantNoTemp(t)
	return output, failed
}

func (f *finished) wantNoTemp(t testing.TB) {
	t.Helper()
	entries, _ := f.disk.ReadDir(tempDir) // absent when nothing was ever written
	if len(entries) > 0 || f.disk.OpenFiles() > 0 {
		t.Errorf("%d temporary files and %d open handles are left", len(entries), f.disk.OpenFiles())
	}
}

// read returns a file's bytes, having checked that its row describes them; "" for no file.
func (f *finished) read(t testing.TB, file *store.ResultFile) string {
	t.Helper()
	if file == nil {
		return ""
	}
	m, err := blob.Content(t.Context(), f.blobs, file.File)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(blob.NewReader(t.Context(), f.blobs, m, 0, m.Size()))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(raw), "\n"); file.File.Bytes != int64(len(raw)) || file.File.Lines != int64(n) {
		t.Errorf("%s has %d bytes and %d lines, its row says %d and %d", file.File.Name, len(raw), n, file.File.Bytes, file.File.Lines)
	}
	want := m.Blobs()
	if !file.File.ContentBlob.Zero() {
		want = append(want, file.File.ContentBlob.Key)
	}
	if diff := gocmp.Diff(want, file.Blobs); diff != "" {
		t.Errorf("blobs of %s (-want +got):\n%s", file.File.Name, diff)
	}
	return string(raw)
}

// expected returns what the two files must hold: all lines in input order.
func expected(units [][]result) (output, failed string) {
	all := slices.Concat(units...)
	slices.SortFunc(all, func(a, b result) int { return cmp.Compare(a.line, b.line) })
	for _, r := range all {
		if r.kind == batch.KindOutput {
			output += r.text + "\n"
		} else {
			failed += r.text + "\n"
		}
	}
	return output, failed
}

// ordered returns units of results in line order; the third of every four lines is an error.
func ordered(units, lines int) [][]result {
	var all [][]result
	for u := range units {
		var results []result
		for i := range lines {
			line := uint32(u*lines + i + 1)
			kind := []batch.Kind{batch.KindOutput, batch.KindOutput, batch.KindFailed, batch.KindOutput}[i%4]
			results = append(results, result{line, kind, fmt.Sprintf(`{"n":%d}`, line)})
		}
		all = append(all, results)
	}
	return all
}

// interleaved returns units whose lines alternate, as those of a batch of several models do.
func interleaved(units, lines int) [][]result {
	all := ordered(units, lines)
	for u := range all {
		for i := range all[u] {
			line := uint32(i*units + u + 1)
			all[u][i].line, all[u][i].text = line, fmt.Sprintf(`{"n":%d}`, line)
		}
	}
	return all
}

func TestFilesOfABatchInLineOrderAreExtentsOfItsSegments(t *testing.T) {
	t.Parallel()
	units := ordered(5, 8)
	f := seal(t, units)
	f.in.Batch.OutputTTL = time.Hour
	output, failed := f.assemble(t)
	wantOutput, wantFailed := expected(units)
	if got := f.read(t, output); got != wantOutput {
		t.Errorf("output = %s, want %s", got, wantOutput)
	}
	if got := f.read(t, failed); got != wantFailed {
		t.Errorf("errors = %s, want %s", got, wantFailed)
	}
	for i, e := range output.File.Content {
		if e.Blob.Key != f.seals[i].Segment.Key || e.Offset != 0 {
			t.Errorf("extent %d of the output is %+v", i, e)
		}
		if e := failed.File.Content[i]; e.Offset != f.seals[i].OutputBytes {
			t.Errorf("extent %d of the errors is %+v", i, e)
		}
	}
	row := output.File
	row.Content, row.Bytes = nil, 0
	want := batch.File{
		ID: "file-1", Tenant: "t", Dialect: "openai", Name: "batch_1_output.jsonl", Purpose: batch.PurposeBatchOutput,
		Lines: 30, CreatedAt: now, ExpiresAt: now.Add(time.Hour),
	}
	if diff := gocmp.Diff(want, row); diff != "" || failed.File.Name != "batch_1_error.jsonl" {
		t.Errorf("errors are named %s, output row (-want +got):\n%s", failed.File.Name, diff)
	}
}

func TestFileWithoutALineIsNotMade(t *testing.T) {
	t.Parallel()
	good := []result{{1, batch.KindOutput, "{}"}, {2, batch.KindOutput, "{}"}}
	bad := []result{{1, batch.KindUnrun, "{}"}, {2, batch.KindFailed, "{}"}}
	if output, failed := seal(t, [][]result{good}).assemble(t); output == nil || failed != nil {
		t.Errorf("all good: output %v, errors %v", output, failed)
	}
	if output, failed := seal(t, [][]result{bad}).assemble(t); output != nil || failed == nil || !failed.File.ExpiresAt.IsZero() {
		t.Errorf("all bad: output %v, errors %v", output, failed)
	}
	if output, failed := seal(t, nil).assemble(t); output != nil || failed != nil {
		t.Errorf("no lines: output %v, errors %v", output, failed)
	}
}

func TestLargeManifestIsABlobOfItsOwn(t *testing.T) {
	t.Parallel()
	units := ordered(2500, 1)
	f := seal(t, units)
	f.in.Lease = batch.LeaseID{1, 2, 3}
	output, _ := f.assemble(t)
	if output.File.Content != nil || !strings.Contains(output.File.ContentBlob.Key, f.in.Lease.String()) {
		t.Errorf("%d extents in the row, manifest %q", len(output.File.Content), output.File.ContentBlob.Key)
	}
	if got, want := f.read(t, output), first(expected(units)); got != want {
		t.Errorf("output has %d bytes, want %d", len(got), len(want))
	}
}

func first(s, _ string) string { return s }

func TestMergeEqualsSortingInMemory(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		lines := rapid.IntRange(1, 80).Draw(r, "lines")
		numbers := make([]uint32, lines)
		for i := range numbers {
			numbers[i] = uint32(i + 1)
		}
		numbers = rapid.Permutation(numbers).Draw(r, "order")
		var units [][]result
		for len(numbers) > 0 {
			n := rapid.IntRange(1, min(len(numbers), 20)).Draw(r, "unit")
			var results []result
			for _, line := range numbers[:n] {
				kind := rapid.SampledFrom([]batch.Kind{batch.KindOutput, batch.KindFailed, batch.KindUnrun}).Draw(r, "kind")
				size := rapid.SampledFrom([]int{0, 5, 50, 700}).Draw(r, "size")
				results = append(results, result{line, kind, fmt.Sprintf(`{"n":%d,"x":"%s"}`, line, strings.Repeat("x", size))})
			}
			units = append(units, results)
			numbers = numbers[n:]
		}
		f := seal(t, units)
		f.in.Batch.InLineOrder = false
		f.in.SortMemory = rapid.Int64Range(1, 3000).Draw(r, "memory")
		output, failed := f.assemble(t)
		wantOutput, wantFailed := expected(units)
		if diff := gocmp.Diff([]string{wantOutput, wantFailed}, []string{f.read(t, output), f.read(t, failed)}); diff != "" {
			r.Fatalf("files differ (-want +got):\n%s", diff)
		}
	})
}

func TestMergeWorksWithinItsMemory(t *testing.T) {
	t.Parallel()
	units := interleaved(7, 100)
	wantOutput, wantFailed := expected(units)
	for name, memory := range map[string]int64{"all in memory": 0, "many runs": 600, "every line is too long": 1} {
		f := seal(t, units)
		f.in.Batch.InLineOrder = false
		f.in.SortMemory = memory
		output, failed := f.assemble(t)
		if f.read(t, output) != wantOutput || f.read(t, failed) != wantFailed {
			t.Errorf("%s: files differ from what sorting gives", name)
		}
		if used := f.disk.Ops() > 0; used != (memory != 0) {
			t.Errorf("%s: disk used: %t", name, used)
		}
		if len(output.File.Content) != 1 || len(output.Blobs) != 1 {
			t.Errorf("%s: output has %d extents", name, len(output.File.Content))
		}
	}
}

func TestMergeAgainGivesTheSameBytes(t *testing.T) {
	t.Parallel()
	f := seal(t, interleaved(5, 40))
	f.in.Batch.InLineOrder = false
	before, _ := f.assemble(t)
	f.in.SortMemory = 500
	after, _ := f.assemble(t)
	if diff := gocmp.Diff(before.File.Content, after.File.Content); diff != "" {
		t.Errorf("second time differs (-first +second):\n%s", diff)
	}
}

func TestMergeOfALineLargerThanMemory(t *testing.T) {
	t.Parallel()
	units := interleaved(2, 4)
	units[1][0].text = strings.Repeat("y", 200<<10)
	f := seal(t, units)
	f.in.Batch.InLineOrder = false
	f.in.SortMemory = 100 << 10
	output, _ := f.assemble(t)
	if got, want := f.read(t, output), first(expected(units)); got != want {
		t.Errorf("output has %d bytes, want %d", len(got), len(want))
	}
}

func TestSealsThatDoNotAddUpAreRefused(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(f *finished){
		"last seal missing":   func(f *finished) { f.seals = f.seals[:2] },
		"middle seal missing": func(f *finished) { f.seals = slices.Delete(f.seals, 1, 2) },
		"one seal too many":   func(f *finished) { f.in.Batch.Units = 2 },
		"a line is missing":   func(f *finished) { f.in.Batch.Counts.Total++ },
		"beyond the segment":  func(f *finished) { f.seals[1].ErrorBytes += 1 << 20 },
		"another batch":       func(f *finished) { f.in.Batch.ID = "batch_2" },
	} {
		f := seal(t, ordered(3, 4))
		spoil(f)
		if output, failed, err := assemble.Assemble(t.Context(), f.in); err == nil {
			t.Errorf("%s: made %v and %v", name, output, failed)
		}
	}
}

func TestMergeNeverPutsALineTwice(t *testing.T) {
	t.Parallel()
	for _, memory := range []int64{0, 1} {
		units := interleaved(2, 4)
		units[1][0] = units[0][0]
		f := seal(t, units)
		f.in.Batch.InLineOrder = false
		f.in.SortMemory = memory
		if _, _, err := assemble.Assemble(t.Context(), f.in); err == nil || !strings.Contains(err.Error(), "line 1 ") {
			t.Errorf("memory %d: error = %v, want one about line 1", memory, err)
		}
		f.wantNoTemp(t)
	}
}

func TestMergeNoticesADamagedSegment(t *testing.T) {
	t.Parallel()
	f := seal(t, interleaved(3, 40))
	f.in.Batch.InLineOrder = false
	s := f.seals[1].Segment
	raw := make([]byte, s.Size)
	if _, err := f.backend.ReadAt(t.Context(), s.Key, raw, 0); err != nil {
		t.Fatal(err)
	}
	raw[3] ^= 1
	if _, err := f.backend.Put(t.Context(), s.Key, bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := assemble.Assemble(t.Context(), f.in); !errors.Is(err, blob.ErrCorrupt) {
		t.Errorf("error = %v, want blob.ErrCorrupt", err)
	}
}

func TestEveryFailureOfTheDiskIsReturnedAndLeavesNothing(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk is broken")
	for nth := 1; ; nth++ {
		f := seal(t, interleaved(4, 12))
		f.in.Batch.InLineOrder = false
		f.in.SortMemory = 200
		seen := 0
		f.disk.OnOp(func(op memfs.Op) error {
			if op.Kind != "remove" && op.Kind != "readdir" {
				if seen++; seen == nth {
					return broken
				}
			}
			return nil
		})
		_, _, err := assemble.Assemble(t.Context(), f.in)
		if seen < nth {
			break
		}
		if !errors.Is(err, broken) {
			t.Errorf("operation %d failed, error = %v", nth, err)
		}
		f.wantNoTemp(t)
	}
}

func TestFullBlobStoreIsAnError(t *testing.T) {
	t.Parallel()
	f := seal(t, interleaved(2, 4))
	f.in.Batch.InLineOrder = false
	f.in.Blobs = fullStore{f.blobs}
	if _, _, err := assemble.Assemble(t.Context(), f.in); !errors.Is(err, blob.ErrNoSpace) {
		t.Errorf("error = %v, want blob.ErrNoSpace", err)
	}
}

type fullStore struct{ blob.Store }

func (fullStore) Put(context.Context, string, io.Reader) (batch.Blob, error) {
	return batch.Blob{}, blob.ErrNoSpace
}

func TestCancelledMergeStops(t *testing.T) {
	t.Parallel()
	f := seal(t, interleaved(2, 40))
	f.in.Batch.InLineOrder = false
	f.in.SortMemory = 1
	ctx, cancel := context.WithCancel(t.Context())
	f.disk.OnOp(func(op memfs.Op) error {
		if op.Kind == "read" {
			cancel()
		}
		return nil
	})
	if _, _, err := assemble.Assemble(ctx, f.in); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want context.Canceled", err)
	}
	f.wantNoTemp(t)
}

func BenchmarkMerge(b *testing.B) {
	units := interleaved(100, 500)
	for _, results := range units {
		for i := range results {
			results[i].text = fmt.Sprintf(`{"n":%d,"x":"%s"}`, results[i].line, strings.Repeat("x", 1000))
		}
	}
	f := seal(b, units)
	f.in.Batch.InLineOrder = false
	f.in.SortMemory = 8 << 20
	disk, err := vfs.NewOS(b.TempDir(), vfs.OSOptions{})
	if err != nil {
		b.Fatal(err)
	}
	f.in.Temp.FS = disk
	var size int64
	for _, s := range f.seals {
		size += s.OutputBytes + s.ErrorBytes
	}
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		f.assemble(b)
	}
}
