package vfs

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestAnAllocatedFileIsAsLongAsItIsToBeAndGrowsOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	for _, c := range []struct{ size, want int64 }{{1000, 1000}, {3 << 20, 3 << 20}, {10, 3 << 20}, {0, 3 << 20}} {
		if err := Allocate(path, c.size); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Size() != c.want {
			t.Errorf("after %d bytes were asked for: %v, %v, want %d", c.size, info.Size(), err, c.want)
		}
	}
	if err := Allocate(filepath.Join(path, "below"), 1); err == nil {
		t.Error("a file below a file was allocated")
	}
}

// TestAFileIsFilledWithWhatCannotBePacked is for file systems that give no room without being written to.
func TestAFileIsFilledWithWhatCannotBePacked(t *testing.T) {
	t.Parallel()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := fillUp(f, 100, 3*allocatePiece+1); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(f.Name())
	if err != nil || len(got) != 3*allocatePiece+1 || bytes.Contains(got[100:], make([]byte, 16)) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}
