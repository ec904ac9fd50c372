package disk_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"batchd/internal/blob"
	"batchd/internal/blob/blobtest"
	"batchd/internal/blob/disk"
	"batchd/internal/vfs"
	"batchd/internal/vfs/memfs"
)

func open(t *testing.T, fsys vfs.FS, opts disk.Options) *disk.Backend {
	t.Helper()
	b, err := disk.New(fsys, "blobs", opts)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func onOS(t *testing.T) blob.Backend {
	fsys, err := vfs.NewOS(t.TempDir(), vfs.OSOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return open(t, fsys, disk.Options{})
}

func onMemory(t *testing.T) blob.Backend { return open(t, memfs.New(), disk.Options{}) }

func TestDiskConformsOnTheOperatingSystem(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, onOS)
}

func TestDiskConformsInMemory(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, onMemory)
}

func TestStoreOnDisk(t *testing.T) {
	t.Parallel()
	t.Run("operating system", func(t *testing.T) {
		t.Parallel()
		blobtest.RunStore(t, onOS)
	})
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		blobtest.RunStore(t, onMemory)
	})
}

// What stands in an object's place shows that somebody has changed the directory, not that its bytes are lost.
func TestADirectoryInAnObjectsPlaceIsUnreadable(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	fsys, err := vfs.NewOS(root, vfs.OSOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := blob.NewStore(open(t, fsys, disk.Options{}), blob.Options{})
	ref, err := s.Put(t.Context(), "files/a", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	place := filepath.Join(root, "blobs", "objects", "files", "a@")
	if err := errors.Join(os.Rename(place, place+".aside"), os.Mkdir(place, 0o700)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ReadAt(t.Context(), ref, make([]byte, 5), 0); !errors.Is(err, blob.ErrUnreadable) {
		t.Errorf("got %v", err)
	}
	if err := errors.Join(os.Remove(place), os.Rename(place+".aside", place)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ReadAt(t.Context(), ref, make([]byte, 5), 0); err != nil {
		t.Errorf("put back: %v", err)
	}
}

func TestListAllChangesNothing(t *testing.T) {
	t.Parallel()
	fsys := memfs.New()
	if err := disk.ListAll(t.Context(), fsys, "blobs", func(blob.Info) error { return nil }); err != nil || fsys.Ops() != 0 {
		t.Errorf("a directory that is not there: %v, %d operations", err, fsys.Ops())
	}
	b := open(t, fsys, disk.Options{})
	for _, key := range []string{"files/a", "segments/0/b"} {
		if _, err := b.Put(t.Context(), key, strings.NewReader("hello")); err != nil {
			t.Fatal(err)
		}
	}
	before, found := fsys.Ops(), map[string]int64{}
	err := disk.ListAll(t.Context(), fsys, "blobs", func(info blob.Info) error { found[info.Key] = info.Size; return nil })
	if err != nil || len(found) != 2 || found["files/a"] != 5 || fsys.Ops() != before {
		t.Errorf("found %v, %v", found, err)
	}
}
