package disk_test

import (
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
