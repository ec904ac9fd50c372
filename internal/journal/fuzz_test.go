package journal_test

import (
	"bytes"
	"errors"
	"testing"

	"batchd/internal/journal"
	"batchd/internal/vfs/memfs"
)

// FuzzOpen overwrites a part of a good journal, or all of it, and cuts it. Whatever that gives, Open must not panic,
// and every line that it then yields must be one that was recorded, unchanged.
func FuzzOpen(f *testing.F) {
	records := []journal.Record{recordOf(1, 30), recordOf(2, 600), recordOf(3, 30), recordOf(4, 200)}
	whole, starts := image(f, records...)
	want := contentsOfRecords(records...)
	f.Add(uint16(0), uint16(0), []byte{})
	f.Add(uint16(0), uint16(len(whole)), bytes.Repeat([]byte{0xff}, 100))
	f.Add(uint16(starts[1]), uint16(0), whole[starts[2]:starts[3]])
	f.Add(uint16(starts[2]+5), uint16(700), whole[starts[0]:])
	f.Add(uint16(len(whole)), uint16(0), whole)
	f.Fuzz(func(t *testing.T, at, cut uint16, data []byte) {
		b := bytes.Clone(whole)
		from := min(int(at), len(b))
		b = append(b[:from], append(bytes.Clone(data), b[min(from+len(data), len(b)):]...)...)
		b = b[:len(b)-min(int(cut), len(b))]

		fsys := newFS(t)
		writeFile(t, fsys, path, b)
		j, r, err := journal.Open(fsys, path)
		if errors.Is(err, journal.ErrForeign) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		checkOnlyKnown(t, fsys, j, r, want)
	})
}

func checkOnlyKnown(t *testing.T, fsys *memfs.FS, j *journal.Journal, r journal.Replay, want map[uint32]string) {
	t.Helper()
	for line, text := range contentsOf(t, j) {
		if want[line] != text {
			t.Errorf("line %d was never recorded as %q", line, text)
		}
	}
	mustAppend(t, j, recordOf(100, 50))
	again, after := mustOpen(t, fsys)
	if after.Frames != r.Frames+1 {
		t.Errorf("%d frames after one more append, want %d", after.Frames, r.Frames+1)
	}
	if got := contentsOf(t, again)[100]; got != contentsOfRecords(recordOf(100, 50))[100] {
		t.Errorf("the new record reads %q", got)
	}
}

// FuzzReadIndex hands arbitrary bytes to ReadIndex: what it returns must lie within them, in order, or not at all.
func FuzzReadIndex(f *testing.F) {
	built, err := journal.BuildUnrun("", []uint32{3, 4, 9}, expired)
	if err != nil {
		f.Fatal(err)
	}
	data, _ := readBuilt(f, built)
	f.Add([]byte(data))
	f.Add([]byte(data[10:]))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := journal.ReadIndex(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			if !errors.Is(err, journal.ErrIndex) {
				t.Errorf("ReadIndex of bytes that can all be read: %v", err)
			}
			return
		}
		var end int64
		for _, e := range entries {
			if e.Offset != end || e.Length < 0 || e.Offset+e.Length >= int64(len(b)) {
				t.Fatalf("entry %+v does not fit", e)
			}
			end = e.Offset + e.Length + 1
		}
	})
}
