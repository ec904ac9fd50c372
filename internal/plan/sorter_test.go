package plan_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"batchd/internal/plan"
	"batchd/internal/vfs/memfs"
)

const tempDir = "tmp"

func newTemp() (*memfs.FS, plan.Temp) {
	m := memfs.New()
	return m, plan.Temp{FS: m, Dir: tempDir}
}

// wantNoTemp fails if a temporary file or an open handle is left.
func wantNoTemp(t testing.TB, m *memfs.FS) {
	t.Helper()
	entries, err := m.ReadDir(tempDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if len(entries) > 0 || m.OpenFiles() > 0 {
		t.Errorf("%d temporary files and %d open handles are left", len(entries), m.OpenFiles())
	}
}

func fill(s *plan.Sorter, records []plan.Record) error {
	for _, r := range records {
		if err := s.Add(r); err != nil {
			return err
		}
	}
	return nil
}

func drain(s *plan.Sorter) ([]plan.Record, error) {
	var records []plan.Record
	for {
		r, err := s.Next()
		if errors.Is(err, io.EOF) {
			return records, nil
		}
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
}

func sortWith(ctx context.Context, s *plan.Sorter, records []plan.Record) ([]plan.Record, error) {
	if err := fill(s, records); err != nil {
		return nil, err
	}
	if err := s.Sort(ctx); err != nil {
		return nil, err
	}
	return drain(s)
}

func TestSorterEqualsSortingInMemory(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		// Few distinct values make equal records and long stretches in order likely.
		word := rapid.OneOf(rapid.Uint64Range(0, 3), rapid.Uint64())
		records := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) plan.Record {
			return plan.Record{A: word.Draw(t, "a"), B: word.Draw(t, "b"), C: word.Draw(t, "c"), D: word.Draw(t, "d")}
		}), 0, 300).Draw(t, "records")
		if rapid.Bool().Draw(t, "in order") {
			slices.SortFunc(records, plan.Record.Compare)
		}
		m, temp := newTemp()
		s := plan.NewSorter(plan.SorterOptions{Temp: temp, MaxMemory: rapid.Int64Range(1, 4000).Draw(t, "memory")})
		got, err := sortWith(t.Context(), s, records)
		if err != nil {
			t.Fatal(err)
		}
		want := slices.Clone(records)
		slices.SortFunc(want, plan.Record.Compare)
		if s.Len() != int64(len(records)) || !slices.Equal(got, want) {
			t.Fatalf("sorted %d records:\n%s", s.Len(), cmp.Diff(want, got))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if entries, err := m.ReadDir(tempDir); len(entries) > 0 || m.OpenFiles() > 0 {
			t.Fatalf("%d temporary files, %d handles left (%v)", len(entries), m.OpenFiles(), err)
		}
	})
}

func TestSorterTouchesNoDiskWhileRecordsFitInMemory(t *testing.T) {
	t.Parallel()
	m, temp := newTemp()
	s := plan.NewSorter(plan.SorterOptions{Temp: temp})
	if got, err := sortWith(t.Context(), s, shuffled(10_000)); err != nil || len(got) != 10_000 {
		t.Fatalf("sorted %d records, %v", len(got), err)
	}
	if m.Ops() != 0 {
		t.Errorf("%d operations on the disk, want none", m.Ops())
	}
}

func TestSorterWritesRecordsThatComeInOrderAsOneRun(t *testing.T) {
	t.Parallel()
	_, temp := newTemp()
	s := plan.NewSorter(plan.SorterOptions{Temp: temp, MaxMemory: 1 << 10})
	records := shuffled(1000)
	slices.SortFunc(records, plan.Record.Compare)
	got, err := sortWith(t.Context(), s, records)
	if err != nil || !slices.Equal(got, records) {
		t.Fatalf("sorted %d records, %v", len(got), err)
	}
	if n := plan.SorterRuns(s); n != 1 {
		t.Errorf("runs = %d, want 1", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestSorterMergesMoreRunsThanOneMergeMayRead(t *testing.T) {
	t.Parallel()
	m, temp := newTemp()
	s := plan.NewSorter(plan.SorterOptions{Temp: temp, MaxMemory: 1}) // four records a run, two runs a merge
	records := shuffled(1000)
	got, err := sortWith(t.Context(), s, records)
	slices.SortFunc(records, plan.Record.Compare)
	if err != nil || !slices.Equal(got, records) {
		t.Fatalf("sorted %d records, %v", len(got), err)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	wantNoTemp(t, m)
}

func TestSorterReturnsEveryFailureOfTheDiskAndLeavesNothing(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk is broken")
	for _, kind := range []string{"create", "write", "read", "mkdir"} {
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
			s := plan.NewSorter(plan.SorterOptions{Temp: temp, MaxMemory: 1})
			_, err := sortWith(t.Context(), s, shuffled(60))
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

func TestSorterStopsWithItsContext(t *testing.T) {
	t.Parallel()
	_, temp := newTemp()
	s := plan.NewSorter(plan.SorterOptions{Temp: temp, MaxMemory: 1})
	defer func() { _ = s.Close() }() // other tests look at its error
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := sortWith(ctx, s, shuffled(1000)); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want context.Canceled", err)
	}
}

func shuffled(n int) []plan.Record {
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	records := make([]plan.Record, n)
	for i := range records {
		records[i] = plan.Record{A: rng.Uint64(), B: rng.Uint64(), C: uint64(i), D: rng.Uint64()}
	}
	return records
}

func BenchmarkSorter(b *testing.B) {
	records := shuffled(1 << 20)
	b.ReportAllocs()
	for b.Loop() {
		_, temp := newTemp()
		s := plan.NewSorter(plan.SorterOptions{Temp: temp})
		if err := errors.Join(fill(s, records), s.Sort(b.Context())); err != nil {
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
