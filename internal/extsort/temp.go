package extsort

import (
	"crypto/rand"
	"errors"
	"fmt"

	"batchd/internal/vfs"
)

// Temp says where temporary files go. Nothing in them needs to survive a crash, so nothing is synced; what a killed
// process leaves there may be removed before the next one starts.
type Temp struct {
	FS vfs.FS
	// Dir is the directory's name in FS. It is made when the first file is.
	Dir string
}

// tempFile is a temporary file that grows at its end. It is for one goroutine, and its owner removes it.
type tempFile struct {
	fs   vfs.FS
	name string
	file vfs.File
	size int64
}

// create makes an empty temporary file with a random name. Two callers never get the same one.
func (t Temp) create() (*tempFile, error) {
	if err := t.FS.MkdirAll(t.Dir); err != nil {
		return nil, fmt.Errorf("make directory for temporary files: %w", err)
	}
	name := t.Dir + "/sort-" + rand.Text() + ".tmp"
	file, err := t.FS.Create(name)
	if err != nil {
		return nil, fmt.Errorf("create temporary file: %w", err)
	}
	return &tempFile{fs: t.FS, name: name, file: file}, nil
}

// Write appends p.
func (f *tempFile) Write(p []byte) (int, error) {
	n, err := f.file.Write(p)
	f.size += int64(n)
	if err != nil {
		return n, fmt.Errorf("write temporary file %s: %w", f.name, err)
	}
	return n, nil
}

// readFull fills p from offset on. A file that has become shorter is an error other than io.EOF: records must not
// vanish.
func (f *tempFile) readFull(p []byte, offset int64) error {
	if n, err := f.file.ReadAt(p, offset); n < len(p) {
		return fmt.Errorf("read temporary file %s: %w", f.name, noEOF(err))
	}
	return nil
}

// remove closes and deletes the file, which must not be used afterwards.
func (f *tempFile) remove() error {
	if err := errors.Join(f.file.Close(), f.fs.Remove(f.name)); err != nil {
		return fmt.Errorf("remove temporary file %s: %w", f.name, err)
	}
	return nil
}
