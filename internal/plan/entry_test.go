package plan_test

import (
	"bytes"
	"cmp"
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/blob/blobtest"
	"batchd/internal/plan"
)

func drawEntry(t *rapid.T) plan.Entry {
	small := rapid.Uint32Range(0, 2)
	return plan.Entry{
		Model:  rapid.OneOf(small, rapid.Uint32()).Draw(t, "model"),
		Prefix: rapid.OneOf(rapid.Uint64Range(0, 2), rapid.Uint64()).Draw(t, "prefix"),
		Line:   rapid.OneOf(rapid.Uint32Range(1, 3), rapid.Uint32Min(1)).Draw(t, "line"),
		Offset: rapid.Int64Range(0, math.MaxInt64).Draw(t, "offset"),
		Length: rapid.Uint32().Draw(t, "length"),
	}
}

func TestEncodedEntriesAreInThePlansOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		x, y := drawEntry(t), drawEntry(t)
		want := cmp.Or(cmp.Compare(x.Model, y.Model), cmp.Compare(x.Prefix, y.Prefix), cmp.Compare(x.Line, y.Line))
		if got := bytes.Compare(x.AppendTo(nil), y.AppendTo(nil)); want != 0 && got != want {
			t.Fatalf("encoded %+v and %+v compare as %d, want %d", x, y, got, want)
		}
	})
}

func TestEntrySurvivesEncoding(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := drawEntry(t)
		raw := want.AppendTo(nil)
		got, err := plan.DecodeEntry(raw)
		if err != nil || got != want || len(raw) != plan.EntrySize {
			t.Fatalf("decoded %+v, %v, want %+v", got, err, want)
		}
	})
}

func TestDecodeEntryRefusesWhatWasNeverEncoded(t *testing.T) {
	t.Parallel()
	good := plan.Entry{Line: 1}.AppendTo(nil)
	for name, at := range map[string]int{"reserved bits": plan.EntrySize - 1, "negative offset": 16} {
		raw := bytes.Clone(good)
		raw[at] = 0x80
		if e, err := plan.DecodeEntry(raw); err == nil {
			t.Errorf("%s: decoded %+v", name, e)
		}
	}
	if e, err := plan.DecodeEntry(make([]byte, plan.EntrySize)); err == nil {
		t.Errorf("line 0: decoded %+v", e)
	}
}

func TestReadEntriesReadsAnyRunOfAPlan(t *testing.T) {
	t.Parallel()
	const total = 40_000 // more than one block
	backend := blobtest.NewMemory()
	store := blob.NewStore(backend, blob.Options{CacheBlocks: -1})
	var raw []byte
	for i := range total {
		raw = plan.Entry{Line: uint32(i + 1)}.AppendTo(raw)
	}
	stored, err := store.Put(t.Context(), planKey, bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		first int64
		n     int
	}{{0, 1000}, {32_500, 1000}, {39_999, 1}, {total, 0}, {0, total}} {
		entries, err := plan.ReadEntries(t.Context(), store, stored, c.first, c.n)
		if err != nil || len(entries) != c.n {
			t.Fatalf("entries %d+%d: %d, %v", c.first, c.n, len(entries), err)
		}
		for i, e := range entries {
			if int64(e.Line) != c.first+int64(i)+1 {
				t.Fatalf("entry %d is of line %d", c.first+int64(i), e.Line)
			}
		}
	}
	for _, c := range [][2]int64{{-1, 1}, {0, -1}, {total, 1}, {0, total + 1}, {math.MaxInt64, 1}} {
		if _, err := plan.ReadEntries(t.Context(), store, stored, c[0], int(c[1])); err == nil {
			t.Errorf("entries %d+%d were read", c[0], c[1])
		}
	}
	damage(t, backend, planKey, 5)
	if _, err := plan.ReadEntries(t.Context(), store, stored, 0, 1); !errors.Is(err, blob.ErrCorrupt) {
		t.Errorf("damaged plan: error = %v, want blob.ErrCorrupt", err)
	}
	if _, err := plan.ReadEntries(t.Context(), store, batch.Blob{Key: "absent", Size: 64, Sums: []uint32{0}}, 0, 1); !errors.Is(err, blob.ErrNotExist) {
		t.Errorf("absent plan: error = %v, want blob.ErrNotExist", err)
	}
}
