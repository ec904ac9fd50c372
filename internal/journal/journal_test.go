package journal_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/batch"
	"batchd/internal/journal"
	"batchd/internal/vfs"
	"batchd/internal/vfs/memfs"
)

const path = "journals/u1"

var header = journal.Header{
	Unit:  batch.UnitID{Batch: "batch_0123456789", Ordinal: 7},
	Lease: batch.LeaseID{1, 2, 3, 250, 251, 252},
}

// spooled is a body that is not in memory.
type spooled string

func (s spooled) Len() int64 { return int64(len(s)) }
func (s spooled) ReadAt(p []byte, off int64) (int, error) {
	return strings.NewReader(string(s)).ReadAt(p, off)
}
func (s spooled) Bytes() []byte { return nil }
func (s spooled) Close() error  { return nil }

// recordOf returns the record that tests use for a line; its text depends on the line and is n bytes long or more.
func recordOf(line uint32, n int) journal.Record {
	text := fmt.Appendf(nil, `{"line":%d,"pad":"`, line)
	for len(text) < n {
		text = append(text, byte('a'+(int(line)+len(text))%26))
	}
	kinds := []batch.Kind{batch.KindOutput, batch.KindFailed, batch.KindOutput, batch.KindUnrun}
	return journal.Record{
		Line:  line,
		Kind:  kinds[line%4],
		Usage: batch.Usage{Input: int64(line), Cached: 1, Output: 1 << 40, Reasoning: 3, Total: int64(line) * 300},
		Text:  batch.MemoryBody(append(text, `"}`...)),
	}
}

func newFS(t testing.TB) *memfs.FS {
	t.Helper()
	fsys := memfs.New()
	if err := fsys.MkdirAll("journals"); err != nil {
		t.Fatal(err)
	}
	if err := fsys.SyncDir("."); err != nil {
		t.Fatal(err)
	}
	return fsys
}

func mustCreate(t testing.TB, fsys vfs.FS) *journal.Journal {
	t.Helper()
	j, err := journal.Create(fsys, path, header)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func mustOpen(t testing.TB, fsys vfs.FS) (*journal.Journal, journal.Replay) {
	t.Helper()
	j, r, err := journal.Open(fsys, path)
	if err != nil {
		t.Fatal(err)
	}
	return j, r
}

func mustAppend(t testing.TB, j *journal.Journal, records ...journal.Record) {
	t.Helper()
	for _, r := range records {
		if err := j.Append(r); err != nil {
			t.Fatal(err)
		}
	}
}

func mustSync(t testing.TB, j *journal.Journal) {
	t.Helper()
	if err := j.Sync(); err != nil {
		t.Fatal(err)
	}
}

// contentsOf returns everything the journal says, by line, as one string each.
func contentsOf(t testing.TB, j *journal.Journal) map[uint32]string {
	t.Helper()
	all := map[uint32]string{}
	usage := map[uint32]batch.Usage{}
	err := j.Lines(func(line uint32, _ batch.Kind, u batch.Usage) error {
		if _, again := usage[line]; again {
			t.Errorf("line %d is yielded twice", line)
		}
		usage[line] = u
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	built, err := j.Build("", slices.Sorted(maps.Keys(usage)), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = built.Close() }()
	data, entries := readBuilt(t, built)
	for _, e := range entries {
		all[e.Line] = describe(e.Kind, usage[e.Line], data[e.Offset:e.Offset+e.Length])
	}
	return all
}

func describe(k batch.Kind, u batch.Usage, text string) string { return fmt.Sprint(k, u, text) }

// contentsOfRecords is what contentsOf returns for a journal of these records.
func contentsOfRecords(records ...journal.Record) map[uint32]string {
	all := map[uint32]string{}
	for _, r := range records {
		text := make([]byte, r.Text.Len())
		_, _ = r.Text.ReadAt(text, 0)
		all[r.Line] = describe(r.Kind, r.Usage, string(text))
	}
	return all
}

func checkContents(t testing.TB, j *journal.Journal, want ...journal.Record) {
	t.Helper()
	if diff := cmp.Diff(contentsOfRecords(want...), contentsOf(t, j)); diff != "" {
		t.Errorf("contents (-want +got):\n%s", diff)
	}
}

func readBuilt(t testing.TB, b *journal.Built) (string, []journal.IndexEntry) {
	t.Helper()
	data, err := io.ReadAll(b.Reader())
	if err != nil {
		t.Fatal(err)
	}
	entries, err := journal.ReadIndex(strings.NewReader(string(data)), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return string(data), entries
}

func TestReopenedJournalHoldsWhatWasAppended(t *testing.T) {
	t.Parallel()
	big := recordOf(3, journal.OneWrite+10)
	onDisk := recordOf(4, 300_000)
	onDisk.Text = spooled(onDisk.Text.Bytes())
	empty := journal.Record{Line: 5, Kind: batch.KindFailed, Text: batch.MemoryBody(nil)}
	odd := journal.Record{Line: 1<<32 - 1, Kind: batch.KindOutput, Usage: batch.Usage{Input: -1}, Text: spooled("")}
	records := []journal.Record{recordOf(9, 100), big, recordOf(1, 0), onDisk, empty, recordOf(2, 5000), odd}

	fsys := newFS(t)
	j := mustCreate(t, fsys)
	mustAppend(t, j, records...)
	checkContents(t, j, records...)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j, r := mustOpen(t, fsys)
	want := journal.Replay{Header: header, Leases: []batch.LeaseID{header.Lease}, Frames: len(records)}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("replay (-want +got):\n%s", diff)
	}
	checkContents(t, j, records...)
	mustAppend(t, j, recordOf(77, 10))
	checkContents(t, j, append(records, recordOf(77, 10))...)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if n := fsys.OpenFiles(); n != 0 {
		t.Errorf("%d files are still open", n)
	}
}

func TestLinesComeInTheOrderOfRecording(t *testing.T) {
	t.Parallel()
	j := mustCreate(t, newFS(t))
	mustAppend(t, j, recordOf(5, 0), recordOf(2, 0), recordOf(9, 0))
	var got []uint32
	err := j.Lines(func(line uint32, _ batch.Kind, _ batch.Usage) error {
		got = append(got, line)
		return nil
	})
	if diff := cmp.Diff([]uint32{5, 2, 9}, got); err != nil || diff != "" {
		t.Errorf("Lines: %v (-want +got):\n%s", err, diff)
	}
	stop := errors.New("stop")
	err = j.Lines(func(uint32, batch.Kind, batch.Usage) error { return stop })
	if err != stop { //nolint:errorlint // as it is, not wrapped
		t.Errorf("Lines returned %v, want the callback's error as it is", err)
	}
}

func TestFirstRecordOfALineWins(t *testing.T) {
	t.Parallel()
	fsys := newFS(t)
	j := mustCreate(t, fsys)
	second := recordOf(1, 500)
	second.Kind = batch.KindFailed
	mustAppend(t, j, recordOf(1, 10), recordOf(2, 10), second)
	checkContents(t, j, recordOf(1, 10), recordOf(2, 10))
	_, r := mustOpen(t, fsys)
	if r.Frames != 3 {
		t.Errorf("replay kept %d frames, want 3", r.Frames)
	}
}

func TestRecordsThatAreNotPossibleAreRefused(t *testing.T) {
	t.Parallel()
	j := mustCreate(t, newFS(t))
	for name, r := range map[string]journal.Record{
		"line 0":                     {Kind: batch.KindOutput, Text: batch.MemoryBody("x")},
		"no kind":                    {Line: 1, Text: batch.MemoryBody("x")},
		"unknown kind":               {Line: 1, Kind: 4, Text: batch.MemoryBody("x")},
		"line break":                 {Line: 1, Kind: batch.KindOutput, Text: batch.MemoryBody("x\ny")},
		"line break in a spool file": {Line: 1, Kind: batch.KindOutput, Text: spooled("x\n")},
	} {
		if err := j.Append(r); err == nil {
			t.Errorf("%s: Append took it", name)
		}
	}
	checkContents(t, j)
}

func TestAdoptedLeasesComeBackInOrder(t *testing.T) {
	t.Parallel()
	fsys := newFS(t)
	j := mustCreate(t, fsys)
	want := []batch.LeaseID{header.Lease}
	for i := range byte(3) {
		mustAppend(t, j, recordOf(uint32(i)+1, 10))
		lease := batch.LeaseID{9, 9, i}
		if err := j.Adopt(lease); err != nil {
			t.Fatal(err)
		}
		want = append(want, lease)
		if j.Dirty() {
			t.Error("journal is dirty after Adopt")
		}
		var r journal.Replay
		fsys = fsys.CrashKeepingNothing()
		j, r = mustOpen(t, fsys)
		if diff := cmp.Diff(want, r.Leases); diff != "" || r.Header != header {
			t.Errorf("leases (-want +got):\n%s", diff)
		}
	}
	checkContents(t, j, recordOf(1, 10), recordOf(2, 10), recordOf(3, 10))
}

func TestJournalIsDirtyUntilSynced(t *testing.T) {
	t.Parallel()
	fsys := newFS(t)
	j := mustCreate(t, fsys)
	if j.Dirty() {
		t.Error("a new journal is dirty")
	}
	mustAppend(t, j, recordOf(1, 10))
	if !j.Dirty() {
		t.Error("journal is clean after Append")
	}
	mustSync(t, j)
	before := fsys.Ops()
	mustSync(t, j)
	if j.Dirty() || fsys.Ops() != before {
		t.Error("a synced journal is dirty, or was synced again")
	}
	j, _ = mustOpen(t, fsys)
	if !j.Dirty() {
		t.Error("a reopened journal is clean, though its frames may be in the page cache only")
	}
}

func TestReleasedJournalHoldsNoDescriptor(t *testing.T) {
	t.Parallel()
	fsys := newFS(t)
	j := mustCreate(t, fsys)
	mustAppend(t, j, recordOf(1, 10))
	release := func(want int) {
		t.Helper()
		if err := j.Release(); err != nil {
			t.Fatal(err)
		}
		if got := fsys.OpenFiles(); got != want {
			t.Errorf("%d files are open after Release, want %d", got, want)
		}
	}
	release(1) // dirty: an fsync error would be lost with the descriptor
	mustSync(t, j)
	release(0)
	release(0)
	checkContents(t, j, recordOf(1, 10))
	release(0)
	mustAppend(t, j, recordOf(2, 10))
	mustSync(t, j)
	release(0)
	if err := j.Adopt(batch.LeaseID{5}); err != nil {
		t.Fatal(err)
	}
	release(0)
	_, r := mustOpen(t, fsys.CrashKeepingNothing())
	if r.Frames != 2 || len(r.Leases) != 2 || len(r.Damage) != 0 {
		t.Errorf("replay = %+v", r)
	}
}

func TestReleasedJournalNoticesThatItsFileShrank(t *testing.T) {
	t.Parallel()
	fsys := newFS(t)
	j := mustCreate(t, fsys)
	mustAppend(t, j, recordOf(1, 10))
	mustSync(t, j)
	if err := j.Release(); err != nil {
		t.Fatal(err)
	}
	edit(t, fsys, func(b []byte) []byte { return b[:len(b)-1] })
	if err := j.Append(recordOf(2, 10)); err == nil {
		t.Error("Append left a hole in a file that had shrunk")
	}
}

func TestClosedJournalRefusesEverything(t *testing.T) {
	t.Parallel()
	j := mustCreate(t, newFS(t))
	for range 2 {
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, buildErr := j.Build("", nil, nil)
	for name, err := range map[string]error{
		"Append": j.Append(recordOf(1, 1)),
		"Sync":   j.Sync(),
		"Adopt":  j.Adopt(batch.LeaseID{}),
		"Lines":  j.Lines(func(uint32, batch.Kind, batch.Usage) error { return nil }),
		"Build":  buildErr,
	} {
		if !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s of a closed journal: %v", name, err)
		}
	}
}

func TestRemoveUnlinksTheFileOnce(t *testing.T) {
	t.Parallel()
	fsys := newFS(t)
	j := mustCreate(t, fsys)
	mustAppend(t, j, recordOf(1, 1))
	for range 2 {
		if err := j.Remove(); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := journal.Open(fsys, path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open after Remove: %v", err)
	}
	if n := fsys.OpenFiles(); n != 0 {
		t.Errorf("%d files are still open", n)
	}
}

func TestCreateNeverReplacesAJournal(t *testing.T) {
	t.Parallel()
	fsys := newFS(t)
	mustAppend(t, mustCreate(t, fsys), recordOf(1, 1))
	if _, err := journal.Create(fsys, path, header); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create over a journal: %v", err)
	}
	j, _ := mustOpen(t, fsys)
	checkContents(t, j, recordOf(1, 1))
}

func TestCreateRefusesAnIDThatNoHeaderHolds(t *testing.T) {
	t.Parallel()
	h := header
	h.Unit.Batch = strings.Repeat("x", 1025)
	if _, err := journal.Create(newFS(t), path, h); err == nil {
		t.Error("Create took a batch id of 1025 bytes")
	}
	h.Unit.Batch = h.Unit.Batch[:1024]
	fsys := newFS(t)
	if _, err := journal.Create(fsys, path, h); err != nil {
		t.Fatal(err)
	}
	if _, r := mustOpen(t, fsys); r.Header != h {
		t.Errorf("header = %v, want %v", r.Header, h)
	}
}
