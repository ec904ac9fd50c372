package plan

import (
	"errors"
	"fmt"

	"batchd/internal/batch"
	"batchd/internal/vfs"
)

// Temp says where temporary files go. Nothing in them needs to survive a crash, so nothing is synced; what a killed
// process leaves there may be removed before the next one starts.
type Temp struct {
	FS  vfs.FS
	Dir string
}

// TempFile is a temporary file that grows at its end. It is for one goroutine, and its owner removes it.
type TempFile struct {
	fs   vfs.FS
	name string
	file vfs.File
	size int64
}

// Create makes an empty temporary file with a random name. Two callers never get the same one.
func (t Temp) Create() (*TempFile, error) {
	if err := t.FS.MkdirAll(t.Dir); err != nil {
		return nil, fmt.Errorf("make folder for temporary files: %w", err)
	}
	name := t.Dir + "/sort-" + batch.NewLeaseID().String() + ".tmp"
	file, err := t.FS.Create(name)
	if err != nil {
		return nil, fmt.Errorf("create temporary file: %w", err)
	}
	return &TempFile{fs: t.FS, name: name, file: file}, nil
}

// Size returns how many bytes were written.
func (f *TempFile) Size() int64 { return f.size }

// Write appends p.
func (f *TempFile) Write(p []byte) (int, error) {
	n, err := f.file.Write(p)
	f.size += int64(n)
	if err != nil {
		return n, fmt.Errorf("write temporary file %s: %w", f.name, err)
	}
	return n, nil
}

// ReadAt reads like io.ReaderAt.
func (f *TempFile) ReadAt(p []byte, off int64) (int, error) { return f.file.ReadAt(p, off) }

// Remove closes and deletes the file, which must not be used afterwards.
func (f *TempFile) Remove() error {
	if err := errors.Join(f.file.Close(), f.fs.Remove(f.name)); err != nil {
		return fmt.Errorf("remove temporary file %s: %w", f.name, err)
	}
	return nil
}
