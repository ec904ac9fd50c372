package journal_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/batch"
	"batchd/internal/journal"
)

// text returns a record with a text and a usage of n tokens.
func text(line uint32, kind batch.Kind, s string, n int64) journal.Record {
	return journal.Record{Line: line, Kind: kind, Usage: batch.Usage{Input: n, Total: n}, Text: batch.MemoryBody(s)}
}

func expired(line uint32) (journal.Record, error) {
	return text(line, batch.KindUnrun, `{"error":"batch_expired"}`, 0), nil
}

// fiveLines is a journal whose order of recording is not the order of its lines.
func fiveLines(t testing.TB) *journal.Journal {
	t.Helper()
	j := mustCreate(t, newFS(t))
	mustAppend(t, j,
		text(30, batch.KindOutput, "thirty", 3),
		text(10, batch.KindFailed, "ten", 1),
		text(50, batch.KindOutput, "", 5),
		text(40, batch.KindUnrun, "forty", 0),
		text(20, batch.KindOutput, "twenty", 2))
	return j
}

func mustBuild(t testing.TB, j *journal.Journal, lines []uint32, fill journal.Filler) (*journal.Built, string) {
	t.Helper()
	built, err := j.Build("b/u-", lines, fill)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = built.Close() })
	data, _ := readBuilt(t, built)
	return built, data
}

func TestSegmentHoldsOutputsThenErrorsInLineOrder(t *testing.T) {
	t.Parallel()
	built, data := mustBuild(t, fiveLines(t), []uint32{10, 20, 30, 40, 50}, nil)
	const want = "twenty\nthirty\n\nten\nforty\n"
	if !strings.HasPrefix(data, want) {
		t.Errorf("segment = %q, want it to begin with %q", data, want)
	}
	sum := sha256.Sum256([]byte(data))
	seg := journal.Segment{
		Key: "b/u-" + hex.EncodeToString(sum[:16]), Size: int64(len(data)),
		OutputBytes: 15, OutputLines: 3, ErrorBytes: 10, ErrorLines: 2, Failed: 1,
		Usage: batch.Usage{Input: 11, Total: 11},
	}
	if diff := cmp.Diff(seg, built.Segment); diff != "" {
		t.Errorf("segment (-want +got):\n%s", diff)
	}
	_, entries := readBuilt(t, built)
	index := []journal.IndexEntry{
		{Line: 20, Kind: batch.KindOutput, Offset: 0, Length: 6},
		{Line: 30, Kind: batch.KindOutput, Offset: 7, Length: 6},
		{Line: 50, Kind: batch.KindOutput, Offset: 14, Length: 0},
		{Line: 10, Kind: batch.KindFailed, Offset: 15, Length: 3},
		{Line: 40, Kind: batch.KindUnrun, Offset: 19, Length: 5},
	}
	if diff := cmp.Diff(index, entries); diff != "" {
		t.Errorf("index (-want +got):\n%s", diff)
	}
}

func TestSameRecordsGiveTheSameSegment(t *testing.T) {
	t.Parallel()
	lines := []uint32{1, 2, 3}
	fsys := newFS(t)
	j := mustCreate(t, fsys)
	mustAppend(t, j, recordOf(1, 50), recordOf(2, 50), recordOf(3, 50), recordOf(2, 90))
	first, data := mustBuild(t, j, lines, nil)

	j, _ = mustOpen(t, fsys)
	again, dataAgain := mustBuild(t, j, lines, nil)
	if data != dataAgain || first.Segment != again.Segment {
		t.Error("a restart changed the segment")
	}
	other := mustCreate(t, newFS(t))
	mustAppend(t, other, recordOf(3, 50), recordOf(9, 50), recordOf(2, 50), recordOf(1, 50))
	if b, d := mustBuild(t, other, lines, nil); d != data || b.Segment != first.Segment {
		t.Error("the order of recording, or a record of another line, changed the segment")
	}
}

func TestSegmentOfALargeJournalHasTheSameBytes(t *testing.T) {
	t.Parallel()
	j := mustCreate(t, newFS(t))
	var lines []uint32
	for line := uint32(1); line <= 40; line++ {
		r := recordOf(line, int(line*line*100))
		if line%3 == 0 {
			r.Text = spooled(r.Text.Bytes())
		}
		if line%7 != 0 {
			mustAppend(t, j, r)
		}
		lines = append(lines, line)
	}
	loaded, want := mustBuild(t, j, lines, expired)
	j.SetInMemoryLimit(0)
	streamed, got := mustBuild(t, j, lines, expired)
	if got != want || loaded.Segment != streamed.Segment {
		t.Errorf("the two ways differ:\n%+v\n%+v", loaded.Segment, streamed.Segment)
	}
	if again, err := io.ReadAll(streamed.Reader()); err != nil || string(again) != want {
		t.Errorf("a second reader gives something else: %v", err)
	}
}

func TestMissingLinesAreAllNamed(t *testing.T) {
	t.Parallel()
	j := fiveLines(t)
	for _, limit := range []int64{0, 1 << 20} {
		j.SetInMemoryLimit(limit)
		built, err := j.Build("", []uint32{1, 10, 20, 21, 50, 51}, nil)
		if !errors.Is(err, journal.ErrMissing) {
			t.Fatalf("Build: %v", err)
		}
		if diff := cmp.Diff([]uint32{1, 21, 51}, built.Missing); diff != "" {
			t.Errorf("missing (-want +got):\n%s", diff)
		}
		if err := built.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestFillerGetsOnlyLinesWithoutARecord(t *testing.T) {
	t.Parallel()
	var asked []uint32
	fill := func(line uint32) (journal.Record, error) {
		asked = append(asked, line)
		return expired(line)
	}
	built, data := mustBuild(t, fiveLines(t), []uint32{5, 10, 20, 60}, fill)
	if diff := cmp.Diff([]uint32{5, 60}, asked); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
	want := "twenty\n" + `{"error":"batch_expired"}` + "\nten\n" + `{"error":"batch_expired"}` + "\n"
	if !strings.HasPrefix(data, want) || built.ErrorLines != 3 || built.Failed != 1 {
		t.Errorf("segment = %q, %+v", data, built.Segment)
	}
}

func TestBadFillersAreRefused(t *testing.T) {
	t.Parallel()
	broken := errors.New("input is unreadable")
	for name, fill := range map[string]journal.Filler{
		"error":        func(uint32) (journal.Record, error) { return journal.Record{}, broken },
		"another line": func(line uint32) (journal.Record, error) { return expired(line + 1) },
		"no kind":      func(line uint32) (journal.Record, error) { return text(line, 0, "x", 0), nil },
		"line break":   func(line uint32) (journal.Record, error) { return text(line, batch.KindUnrun, "x\n", 0), nil },
		"short read": func(line uint32) (journal.Record, error) {
			return journal.Record{Line: line, Kind: batch.KindUnrun, Text: shrunk{"x"}}, nil
		},
	} {
		_, err := journal.BuildUnrun("", []uint32{1}, fill)
		if err == nil || name == "error" && !errors.Is(err, broken) {
			t.Errorf("%s: BuildUnrun: %v", name, err)
		}
	}
}

func TestLinesOutOfOrderAreRefused(t *testing.T) {
	t.Parallel()
	for _, lines := range [][]uint32{{20, 10}, {10, 10}} {
		if _, err := fiveLines(t).Build("", lines, nil); err == nil {
			t.Errorf("Build took lines %v", lines)
		}
	}
}

func TestUnrunUnitIsAsOneWithAnEmptyJournal(t *testing.T) {
	t.Parallel()
	lines := []uint32{3, 4, 9}
	unrun, err := journal.BuildUnrun("b/u-", lines, expired)
	if err != nil {
		t.Fatal(err)
	}
	empty, want := mustBuild(t, mustCreate(t, newFS(t)), lines, expired)
	if got, _ := readBuilt(t, unrun); got != want || unrun.Segment != empty.Segment {
		t.Errorf("segment = %+v, want %+v", unrun.Segment, empty.Segment)
	}
	if unrun.ErrorLines != 3 || unrun.Failed != 0 || unrun.OutputLines != 0 {
		t.Errorf("segment = %+v", unrun.Segment)
	}
	built, err := journal.BuildUnrun("", lines, nil)
	if !errors.Is(err, journal.ErrMissing) || len(built.Missing) != 3 {
		t.Errorf("BuildUnrun without a filler: %v", err)
	}
	if nothing, data := mustBuild(t, mustCreate(t, newFS(t)), nil, nil); nothing.Size != int64(len(data)) {
		t.Errorf("segment without lines = %+v", nothing.Segment)
	}
}

func TestRecordThatRotsIsMissingAndCanBeRunAgain(t *testing.T) {
	t.Parallel()
	for _, limit := range []int64{0, 1 << 20} {
		fsys := newFS(t)
		j := mustCreate(t, fsys)
		j.SetInMemoryLimit(limit)
		mustAppend(t, j, recordOf(1, 60))
		end := j.Size()
		mustAppend(t, j, recordOf(2, 60))
		mustSync(t, j)
		edit(t, fsys, func(b []byte) []byte {
			b[end-3] ^= 4
			return b
		})
		built, err := j.Build("", []uint32{1, 2}, nil)
		if !errors.Is(err, journal.ErrMissing) || len(built.Missing) != 1 || built.Missing[0] != 1 {
			t.Fatalf("Build: %v, missing %v", err, built.Missing)
		}
		mustAppend(t, j, recordOf(1, 70))
		checkContents(t, j, recordOf(1, 70), recordOf(2, 60))
	}
}

func TestReaderNeverEndsWellOnARecordThatRotted(t *testing.T) {
	t.Parallel()
	fsys := newFS(t)
	j := mustCreate(t, fsys)
	j.SetInMemoryLimit(0)
	mustAppend(t, j, recordOf(1, 100_000), recordOf(2, 60))
	built, data := mustBuild(t, j, []uint32{1, 2}, nil)
	edit(t, fsys, func(b []byte) []byte {
		b[50_000] ^= 4
		return b
	})
	got, err := io.ReadAll(built.Reader())
	if err == nil || len(got) >= len(data) {
		t.Errorf("read %d of %d bytes: %v", len(got), len(data), err)
	}
}

func TestBuiltOutlivesItsJournal(t *testing.T) {
	t.Parallel()
	fsys := newFS(t)
	j := mustCreate(t, fsys)
	j.SetInMemoryLimit(0)
	mustAppend(t, j, recordOf(1, 60))
	built, data := mustBuild(t, j, []uint32{1}, nil)
	if err := j.Remove(); err != nil {
		t.Fatal(err)
	}
	if got, _ := readBuilt(t, built); got != data {
		t.Error("the segment changed with its journal")
	}
	for range 2 {
		if err := built.Close(); err != nil {
			t.Error(err)
		}
	}
	if n := fsys.OpenFiles(); n != 0 {
		t.Errorf("%d files are still open", n)
	}
}

func TestDamagedIndexIsRefused(t *testing.T) {
	t.Parallel()
	_, data := mustBuild(t, fiveLines(t), []uint32{10, 20, 30, 40, 50}, nil)
	const texts = len("twenty\nthirty\n\nten\nforty\n")
	read := func(b []byte) error {
		_, err := journal.ReadIndex(bytes.NewReader(b), int64(len(b)))
		return err
	}
	for at := texts; at < len(data); at++ {
		b := []byte(data)
		b[at] ^= 1
		if err := read(b); !errors.Is(err, journal.ErrIndex) {
			t.Errorf("byte %d changed: %v", at, err)
		}
		if err := read([]byte(data[:at])); !errors.Is(err, journal.ErrIndex) {
			t.Errorf("cut at %d: %v", at, err)
		}
	}
	if err := read([]byte("x" + data)); !errors.Is(err, journal.ErrIndex) {
		t.Errorf("a byte too many: %v", err)
	}
	if _, err := journal.ReadIndex(strings.NewReader(data), int64(len(data))+1); err == nil || errors.Is(err, journal.ErrIndex) {
		t.Errorf("size beyond the end: %v, want an error of reading", err)
	}
}

func TestIndexOfManyLinesIsReadWhole(t *testing.T) {
	t.Parallel()
	var lines []uint32
	for line := range uint32(5000) {
		lines = append(lines, line+1)
	}
	built, err := journal.BuildUnrun("", lines, expired)
	if err != nil {
		t.Fatal(err)
	}
	if _, entries := readBuilt(t, built); len(entries) != 5000 || entries[4999].Line != 5000 {
		t.Errorf("index has %d entries", len(entries))
	}
}
