package journal_test

import (
	"io"
	"testing"

	"batchd/internal/journal"
	"batchd/internal/vfs"
)

func newDisk(b *testing.B) vfs.FS {
	b.Helper()
	fsys, err := vfs.NewOS(b.TempDir(), vfs.OSOptions{})
	if err != nil {
		b.Fatal(err)
	}
	if err := fsys.MkdirAll("journals"); err != nil {
		b.Fatal(err)
	}
	return fsys
}

func BenchmarkAppend1KB(b *testing.B) {
	j := mustCreate(b, newDisk(b))
	r := recordOf(1, 1000)
	b.SetBytes(r.Text.Len())
	b.ReportAllocs()
	for b.Loop() {
		if err := j.Append(r); err != nil {
			b.Fatal(err)
		}
	}
}

// unitOf1000 returns a journal of 1,000 lines of 1.5 KB.
func unitOf1000(b *testing.B, fsys vfs.FS) (*journal.Journal, []uint32) {
	b.Helper()
	j := mustCreate(b, fsys)
	var lines []uint32
	for line := uint32(1); line <= 1000; line++ {
		mustAppend(b, j, recordOf(line, 1500))
		lines = append(lines, line)
	}
	return j, lines
}

func BenchmarkBuild1000(b *testing.B) {
	for name, limit := range map[string]int64{"loaded": 8 << 20, "streamed": 0} {
		b.Run(name, func(b *testing.B) {
			j, lines := unitOf1000(b, newDisk(b))
			j.SetInMemoryLimit(limit)
			b.ReportAllocs()
			for b.Loop() {
				built, err := j.Build("", lines, nil)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, built.Reader()); err != nil {
					b.Fatal(err)
				}
				_ = built.Close()
			}
		})
	}
}

func BenchmarkOpen1000(b *testing.B) {
	fsys := newDisk(b)
	unitOf1000(b, fsys)
	b.ReportAllocs()
	for b.Loop() {
		j, _ := mustOpen(b, fsys)
		_ = j.Close()
	}
}
