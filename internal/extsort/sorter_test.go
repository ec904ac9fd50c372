package extsort_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"batchd/internal/extsort"
	"batchd/internal/vfs"
	"batchd/internal/vfs/memfs"
)

const tempDir = "tmp"

func newTemp() (*memfs.FS, extsort.Temp) {
	m := memfs.New()
	return m, extsort.Temp{FS: m, Dir: tempDir}
}

// wantNoTemp fails if a temporary file or an open handle is left.
func wantNoTemp(t rapid.TB, m *memfs.FS) {
	t.Helper()
	entries, err := m.ReadDir(tempDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("list temporary files: %v", err)
	}
	if len(entries) > 0 || m.OpenFiles() > 0 {
		t.Fatalf("%d temporary files and %d open handles are left", len(entries), m.OpenFiles())
	}
}

// item is a record and, in a sorter with payloads, what comes with it.
type item struct {
	extsort.Record
	Payload string
}

// sortWith sends items through a sorter. Of every payload it reads what taken allows.
func sortWith(ctx context.Context, s *extsort.Sorter, items []item, taken func() int64) ([]item, error) {
	for _, i := range items {
		if err := s.Add(i.Record, strings.NewReader(i.Payload)); err != nil {
			return nil, err
		}
	}
	if err := s.Sort(ctx); err != nil {
		return nil, err
	}
	var sorted []item
	for {
		r, err := s.Next()
		if errors.Is(err, io.EOF) {
			return sorted, nil
		}
		if err != nil {
			return nil, err
		}
		payload, err := io.ReadAll(io.LimitReader(s, taken()))
		if err != nil {
			return nil, err
		}
		sorted = append(sorted, item{r, string(payload)})
	}
}

func whole() int64 { return 1 << 40 }

// drawItems draws items, many of them with a key that others have too: only so does it show whether a sort is stable.
// The payloads of all items differ, as far as they are long enough.
func drawItems(t *rapid.T, payloads bool) []item {
	word := rapid.OneOf(rapid.Uint64Range(0, 1), rapid.Uint64())
	record := rapid.OneOf(
		rapid.Map(rapid.Uint64Range(0, 3), func(b uint64) extsort.Record { return extsort.Record{B: b} }),
		rapid.Custom(func(t *rapid.T) extsort.Record {
			return extsort.Record{A: word.Draw(t, "a"), B: word.Draw(t, "b"), C: word.Draw(t, "c"), D: word.Draw(t, "d")}
		}),
	)
	var items []item
	for n, r := range rapid.SliceOfN(record, 0, 300).Draw(t, "records") {
		i := item{Record: r}
		if payloads {
			size := rapid.OneOf(rapid.IntRange(0, 40), rapid.IntRange(0, 5000)).Draw(t, "size")
			i.Payload = strings.Repeat(fmt.Sprintf("%d ", n), size)[:size]
			i.D = uint64(size)
		}
		items = append(items, i)
	}
	if rapid.Bool().Draw(t, "in order") {
		sort.SliceStable(items, func(i, j int) bool { return less(items[i], items[j], payloads) })
	}
	return items
}

// less compares as a sorter is to do: all of a record without a payload, else its first three numbers.
func less(a, b item, payloads bool) bool {
	if payloads {
		a.D, b.D = 0, 0
	}
	return a.Compare(b.Record) < 0
}

func TestSorterEqualsAStableSortInMemory(t *testing.T) {
	t.Parallel()
	for name, payloads := range map[string]bool{"records alone": false, "records with payloads": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				items := drawItems(t, payloads)
				memory := rapid.OneOf(rapid.Int64Range(1, 4000), rapid.Int64Range(1, 1<<20)).Draw(t, "memory")
				m, temp := newTemp()
				s := extsort.New(extsort.Options{Temp: temp, MaxMemory: memory, Payloads: payloads})
				most := rapid.SampledFrom([]int64{0, 7, 1 << 40}).Draw(t, "read of each payload")
				got, err := sortWith(t.Context(), s, items, func() int64 { return most })
				if err != nil {
					t.Fatal(err)
				}
				want := slices.Clone(items)
				sort.SliceStable(want, func(i, j int) bool { return less(want[i], want[j], payloads) })
				for i := range want {
					want[i].Payload = want[i].Payload[:min(int64(len(want[i].Payload)), most)]
				}
				if s.Len() != int64(len(items)) || !slices.Equal(got, want) {
					t.Fatalf("sorted %d records:\n%s", s.Len(), cmp.Diff(want, got))
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				wantNoTemp(t, m)
			})
		})
	}
}

func TestSorterTouchesNoDiskWhileRecordsFitInMemory(t *testing.T) {
	t.Parallel()
	for name, items := range map[string][]item{"records": shuffled(10_000, 0), "payloads": shuffled(10_000, 100)} {
		m, temp := newTemp()
		s := extsort.New(extsort.Options{Temp: temp, Payloads: items[0].Payload != ""})
		if got, err := sortWith(t.Context(), s, items, whole); err != nil || len(got) != 10_000 {
			t.Fatalf("%s: sorted %d, %v", name, len(got), err)
		}
		if m.Ops() != 0 {
			t.Errorf("%s: %d operations on the disk, want none", name, m.Ops())
		}
	}
}

func TestSorterWritesRecordsThatComeInOrderAsOneRun(t *testing.T) {
	t.Parallel()
	for name, items := range map[string][]item{"records": shuffled(1000, 0), "payloads": shuffled(1000, 20), "long payloads": shuffled(20, 2000)} {
		_, temp := newTemp()
		s := extsort.New(extsort.Options{Temp: temp, MaxMemory: 1 << 10, Payloads: items[0].Payload != ""})
		slices.SortFunc(items, func(a, b item) int { return a.Compare(b.Record) })
		got, err := sortWith(t.Context(), s, items, whole)
		if err != nil || !slices.Equal(got, items) {
			t.Fatalf("%s: sorted %d, %v", name, len(got), err)
		}
		if n := extsort.Runs(s); n != 1 {
			t.Errorf("%s: %d runs, want 1", name, n)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSorterMergesMoreRunsThanOneMergeMayRead(t *testing.T) {
	t.Parallel()
	for name, items := range map[string][]item{"records": shuffled(1000, 0), "payloads": shuffled(1000, 30)} {
		m, temp := newTemp()
		// A few records a run, two runs a merge.
		s := extsort.New(extsort.Options{Temp: temp, MaxMemory: 1, Payloads: items[0].Payload != ""})
		got, err := sortWith(t.Context(), s, items, whole)
		slices.SortFunc(items, func(a, b item) int { return a.Compare(b.Record) })
		if err != nil || !slices.Equal(got, items) {
			t.Fatalf("%s: sorted %d, %v", name, len(got), err)
		}
		if err := errors.Join(s.Close(), s.Close()); err != nil {
			t.Fatal(err)
		}
		wantNoTemp(t, m)
	}
}

func TestSorterReturnsEveryFailureOfTheDiskAndLeavesNothing(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk is broken")
	for _, kind := range []string{"create", "write", "read", "mkdir"} {
		for _, size := range []int{0, 10, 200} {
			for nth := 1; ; nth++ {
				m, temp := newTemp()
				seen := 0
				m.OnOp(func(op memfs.Op) error {
					if op.Kind == kind {
						if seen++; seen == nth {
							return broken
						}
					}
					return nil
				})
				s := extsort.New(extsort.Options{Temp: temp, MaxMemory: 1, Payloads: size > 0})
				_, err := sortWith(t.Context(), s, shuffled(60, size), whole)
				if seen < nth {
					break
				}
				if !errors.Is(err, broken) {
					t.Errorf("%s number %d failed, error = %v", kind, nth, err)
				}
				if err := s.Close(); err != nil {
					t.Errorf("%s number %d failed, close = %v", kind, nth, err)
				}
				wantNoTemp(t, m)
			}
		}
	}
}

// shrinking is a disk whose files lose their last bytes once they are read.
type shrinking struct {
	*memfs.FS
	bytes int64
}

func (s shrinking) Create(name string) (vfs.File, error) {
	f, err := s.FS.Create(name)
	return shortFile{f, s.bytes}, err
}

type shortFile struct {
	vfs.File
	bytes int64
}

func (f shortFile) ReadAt(p []byte, off int64) (int, error) {
	size, err := f.Size()
	if err != nil {
		return 0, err
	}
	n, err := f.File.ReadAt(p[:min(int64(len(p)), max(size-f.bytes-off, 0))], off)
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

func TestRecordsThatTheDiskHasLostAreAnErrorAndNotTheEnd(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 10, 200} {
		for _, lost := range []int64{1, extsort.RecordSize, 500} {
			s := extsort.New(extsort.Options{
				Temp: extsort.Temp{FS: shrinking{memfs.New(), lost}, Dir: tempDir}, MaxMemory: 256, Payloads: size > 0,
			})
			_, err := sortWith(t.Context(), s, shuffled(60, size), whole)
			if !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
				t.Errorf("payloads of %d bytes, %d bytes lost: error = %v", size, lost, err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// garbling is a disk on which the first byte of the length of a file's first payload has changed.
type garbling struct {
	*memfs.FS
	to byte
}

func (g garbling) Create(name string) (vfs.File, error) {
	f, err := g.FS.Create(name)
	return garbledFile{f, g.to}, err
}

type garbledFile struct {
	vfs.File
	to byte
}

func (f garbledFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	if at := extsort.RecordSize - 8 - off; at >= 0 && at < int64(n) {
		p[at] = f.to
	}
	return n, err
}

func TestLengthThatCannotBeIsAnError(t *testing.T) {
	t.Parallel()
	for _, to := range []byte{0x01, 0x80} {
		s := extsort.New(extsort.Options{Temp: extsort.Temp{FS: garbling{memfs.New(), to}, Dir: tempDir}, MaxMemory: 256, Payloads: true})
		if _, err := sortWith(t.Context(), s, shuffled(20, 10), whole); err == nil || !strings.Contains(err.Error(), "is damaged") {
			t.Errorf("first byte %#x: error = %v, want that the file is damaged", to, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestPayloadThatEndsTooSoonIsAnError(t *testing.T) {
	t.Parallel()
	for _, size := range []uint64{10, 1000} {
		_, temp := newTemp()
		s := extsort.New(extsort.Options{Temp: temp, MaxMemory: 256, Payloads: true})
		err := s.Add(extsort.Record{D: size}, strings.NewReader("short"))
		if !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			t.Errorf("payload of %d bytes: error = %v", size, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	s := extsort.New(extsort.Options{Payloads: true})
	if err := s.Add(extsort.Record{D: 1 << 63}, strings.NewReader("")); err == nil {
		t.Error("a payload of 2⁶³ bytes is taken")
	}
}

func TestSorterStopsWithItsContext(t *testing.T) {
	t.Parallel()
	_, temp := newTemp()
	s := extsort.New(extsort.Options{Temp: temp, MaxMemory: 1})
	defer func() { _ = s.Close() }() // other tests look at its error
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	if _, err := sortWith(ctx, s, shuffled(1000, 0), whole); !errors.Is(err, gone) {
		t.Errorf("error = %v, want the cause", err)
	}
}

func TestEncodedRecordsCompareAsTheRecordsDo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.OneOf(rapid.Uint64Range(0, 1), rapid.Uint64())
		draw := func() extsort.Record {
			return extsort.Record{A: word.Draw(t, "a"), B: word.Draw(t, "b"), C: word.Draw(t, "c"), D: word.Draw(t, "d")}
		}
		a, b := draw(), draw()
		x, y := a.AppendTo(nil), b.AppendTo(nil)
		if len(x) != extsort.RecordSize || bytes.Compare(x, y) != a.Compare(b) || extsort.DecodeRecord(x) != a {
			t.Fatalf("%+v is %x, %+v is %x", a, x, b, y)
		}
	})
}

// shuffled returns n items in random order with payloads of the given size; 0 means records alone.
func shuffled(n, size int) []item {
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	items := make([]item, n)
	for i := range items {
		items[i].Record = extsort.Record{A: rng.Uint64(), B: rng.Uint64(), C: uint64(i), D: rng.Uint64()}
		if size > 0 {
			items[i].D, items[i].Payload = uint64(size), strings.Repeat(string(rune('a'+i%26)), size)
		}
	}
	return items
}

// BenchmarkRecords is what validation sorts.
func BenchmarkRecords(b *testing.B) {
	records := make([]extsort.Record, 1<<20)
	for i, item := range shuffled(len(records), 0) {
		records[i] = item.Record
	}
	b.ReportAllocs()
	for b.Loop() {
		_, temp := newTemp()
		s := extsort.New(extsort.Options{Temp: temp})
		for _, r := range records {
			if err := s.Add(r, nil); err != nil {
				b.Fatal(err)
			}
		}
		if err := s.Sort(b.Context()); err != nil {
			b.Fatal(err)
		}
		for {
			if _, err := s.Next(); err != nil {
				break
			}
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(records)), "ns/record")
}
