package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/batch"
	"batchd/internal/journal"
	"batchd/internal/vfs"
	"batchd/internal/vfs/memfs"
	"batchd/internal/vfs/vfstest"
)

func readFile(t testing.TB, fsys vfs.FS, name string) []byte {
	t.Helper()
	raw, err := vfstest.ReadFile(fsys, name)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func writeFile(t testing.TB, fsys vfs.FS, name string, b []byte) {
	t.Helper()
	f, err := fsys.OpenWrite(name)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = fsys.Create(name)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := f.Truncate(0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
}

// edit changes the journal's file behind its back.
func edit(t testing.TB, fsys vfs.FS, change func([]byte) []byte) {
	t.Helper()
	writeFile(t, fsys, path, change(readFile(t, fsys, path)))
}

// image returns the bytes of a journal of these records and where each frame begins; the last is the end.
func image(t testing.TB, records ...journal.Record) ([]byte, []int64) {
	t.Helper()
	fsys := newFS(t)
	j := mustCreate(t, fsys)
	starts := []int64{j.Size()}
	for _, r := range records {
		mustAppend(t, j, r)
		starts = append(starts, j.Size())
	}
	return readFile(t, fsys, path), starts
}

func openImage(t testing.TB, b []byte) (*memfs.FS, *journal.Journal, journal.Replay) {
	t.Helper()
	fsys := newFS(t)
	writeFile(t, fsys, path, b)
	j, r := mustOpen(t, fsys)
	return fsys, j, r
}

func TestF05TornLastFrameIsCutAtEveryLength(t *testing.T) {
	t.Parallel()
	first, last := recordOf(1, 60), recordOf(2, 60)
	whole, starts := image(t, first, last)
	for n := starts[1] + 1; n < starts[2]; n++ {
		fsys, j, r := openImage(t, whole[:n])
		if r.Frames != 1 || len(r.Damage) != 1 || r.Damaged() {
			t.Fatalf("cut at %d: replay = %+v", n, r)
		}
		d := r.Damage[0]
		if !d.Torn || d.Offset != starts[1] || d.Length != n-starts[1] {
			t.Fatalf("cut at %d: damage = %+v", n, d)
		}
		if got := readFile(t, fsys, path); !bytes.Equal(got, whole[:n]) {
			t.Fatalf("cut at %d: Open changed the file", n)
		}
		checkContents(t, j, first)
		mustAppend(t, j, recordOf(3, 10))
		checkContents(t, j, first, recordOf(3, 10))
		if _, r := mustOpen(t, fsys); len(r.Damage) != 0 {
			t.Fatalf("cut at %d: damage after the next append: %v", n, r.Damage)
		}
	}
}

func TestF06ZerosAtTheTailAreTorn(t *testing.T) {
	t.Parallel()
	whole, starts := image(t, recordOf(1, 60), recordOf(2, 60))
	fsys, j, r := openImage(t, append(whole, make([]byte, 4096)...))
	if len(r.Damage) != 1 || !r.Damage[0].Torn || r.Damage[0].Offset != starts[2] || r.Damage[0].Length != 4096 {
		t.Errorf("damage = %v", r.Damage)
	}
	mustAppend(t, j, recordOf(3, 10))
	checkContents(t, j, recordOf(1, 60), recordOf(2, 60), recordOf(3, 10))
	if _, r := mustOpen(t, fsys); r.Frames != 3 || len(r.Damage) != 0 {
		t.Errorf("replay after the next append = %+v", r)
	}
}

func TestF07BitFlipInTheMiddleLosesOneFrame(t *testing.T) {
	t.Parallel()
	records := []journal.Record{recordOf(1, 60), recordOf(2, 60), recordOf(3, 60), recordOf(4, 60)}
	whole, starts := image(t, records...)
	for at := starts[1]; at < starts[2]; at++ {
		for bit := range 8 {
			b := bytes.Clone(whole)
			b[at] ^= 1 << bit
			_, j, r := openImage(t, b)
			want := []journal.Damage{{Offset: starts[1], Length: starts[2] - starts[1]}}
			if r.Frames != 3 || len(r.Damage) != 1 || !r.Damaged() {
				t.Fatalf("bit %d of byte %d: replay = %+v", bit, at, r)
			}
			want[0].Reason = r.Damage[0].Reason
			if diff := cmp.Diff(want, r.Damage); diff != "" || want[0].Reason == "" {
				t.Fatalf("bit %d of byte %d: damage (-want +got):\n%s", bit, at, diff)
			}
			if bit == 0 {
				checkContents(t, j, records[0], records[2], records[3])
			}
		}
	}
}

func TestEveryRunOfDamageIsTold(t *testing.T) {
	t.Parallel()
	var records []journal.Record
	for line := range uint32(6) {
		records = append(records, recordOf(line+1, 60))
	}
	b, starts := image(t, records...)
	b[starts[0]] ^= 1                           // a head
	b[starts[2]+journal.HeadSize+20] ^= 1       // a body
	b = append(b[:starts[4]], b[starts[5]:]...) // gone, which no one can see
	b = b[:len(b)-1]
	_, j, r := openImage(t, b)
	want := []journal.Damage{
		{Offset: starts[0], Length: starts[1] - starts[0], Reason: "no frame begins here"},
		{Offset: starts[2], Length: starts[3] - starts[2], Reason: "checksum of the frame's contents does not hold"},
		{Offset: starts[4], Length: int64(len(b)) - starts[4], Reason: "frame is cut short", Torn: true},
	}
	if diff := cmp.Diff(want, r.Damage); diff != "" {
		t.Errorf("damage (-want +got):\n%s", diff)
	}
	checkContents(t, j, records[1], records[3])
	if got, want := r.Damage[0].String(), fmt.Sprintf("%d bytes at offset %d: no frame begins here", starts[1]-starts[0], starts[0]); got != want {
		t.Errorf("damage reads %q, want %q", got, want)
	}
}

func TestDamageInLargeFramesLosesOnlyThem(t *testing.T) {
	t.Parallel()
	big := recordOf(2, 3<<20)
	big.Text = spooled(big.Text.Bytes())
	records := []journal.Record{recordOf(1, 60), big, recordOf(3, 300_000), recordOf(4, 60)}
	b, starts := image(t, records...)
	b[starts[2]-1] ^= 0x80
	_, j, r := openImage(t, b)
	if r.Frames != 3 || len(r.Damage) != 1 {
		t.Errorf("replay = %d frames, damage %v", r.Frames, r.Damage)
	}
	checkContents(t, j, records[0], records[2], records[3])
}

func TestFramesOfAnotherJournalAreNotTakenUp(t *testing.T) {
	t.Parallel()
	own, _ := image(t, recordOf(1, 60))
	other := header
	other.Lease[15] ^= 1
	fsys := newFS(t)
	j, err := journal.Create(fsys, path, other)
	if err != nil {
		t.Fatal(err)
	}
	start := j.Size()
	mustAppend(t, j, recordOf(2, 60), recordOf(3, 60))
	stale := readFile(t, fsys, path)[start:]

	_, j, r := openImage(t, append(own, stale...))
	if r.Frames != 1 || len(r.Damage) != 1 || !r.Damage[0].Torn {
		t.Errorf("replay = %+v", r)
	}
	checkContents(t, j, recordOf(1, 60))
}

func TestRecordThatHoldsWinsOverAnEarlierOneThatDoesNot(t *testing.T) {
	t.Parallel()
	b, starts := image(t, recordOf(1, 60), recordOf(2, 60))
	b[starts[0]+journal.HeadSize+20] ^= 1
	_, j, _ := openImage(t, b)
	mustAppend(t, j, recordOf(1, 90))
	checkContents(t, j, recordOf(1, 90), recordOf(2, 60))
}

func TestJournalWithDamagedHeaderIsForeign(t *testing.T) {
	t.Parallel()
	whole, starts := image(t, recordOf(1, 60))
	check := func(name string, b []byte) {
		t.Helper()
		fsys := newFS(t)
		writeFile(t, fsys, path, b)
		if _, _, err := journal.Open(fsys, path); !errors.Is(err, journal.ErrForeign) {
			t.Errorf("%s: Open: %v", name, err)
		}
		if !bytes.Equal(readFile(t, fsys, path), b) || fsys.OpenFiles() != 0 {
			t.Errorf("%s: the file was changed or is open", name)
		}
	}
	for at := range starts[0] {
		for bit := range 8 {
			b := bytes.Clone(whole)
			b[at] ^= 1 << bit
			check(fmt.Sprintf("bit %d of byte %d", bit, at), b)
		}
		check(fmt.Sprintf("first %d bytes", at), whole[:at])
	}
	check("another file", []byte(`{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{}}`+"\n"))
}

func TestPreserveKeepsTheFirstCopy(t *testing.T) {
	t.Parallel()
	fsys := newFS(t)
	j := mustCreate(t, fsys)
	mustAppend(t, j, recordOf(1, 60))
	original := readFile(t, fsys, path)
	for range 2 {
		aside, err := journal.Preserve(fsys, path)
		if err != nil || aside != path+journal.DamagedSuffix {
			t.Fatalf("Preserve = %q, %v", aside, err)
		}
		mustAppend(t, j, recordOf(2, 60))
	}
	if got := readFile(t, fsys.CrashKeepingNothing(), path+journal.DamagedSuffix); !bytes.Equal(got, original) {
		t.Error("the copy is not durable, or not what the file was at first")
	}
	if _, err := journal.Preserve(fsys, "journals/absent"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Preserve of an absent file: %v", err)
	}
	if fsys.OpenFiles() != 1 {
		t.Errorf("%d files are open, want the journal only", fsys.OpenFiles())
	}
}

func TestUnreadableJournalIsNeitherForeignNorEmpty(t *testing.T) {
	t.Parallel()
	fsys := newFS(t)
	mustAppend(t, mustCreate(t, fsys), recordOf(1, 300_000))
	broken := errors.New("bad sector")
	for failing := 1; ; failing++ {
		reads := 0
		fsys.OnOp(func(op memfs.Op) error {
			if op.Kind == "read" {
				if reads++; reads == failing {
					return broken
				}
			}
			return nil
		})
		_, _, err := journal.Open(fsys, path)
		if reads < failing {
			break
		}
		if !errors.Is(err, broken) || errors.Is(err, journal.ErrForeign) {
			t.Errorf("Open with read %d failing: %v", failing, err)
		}
	}
}

var _ batch.Body = spooled("")
