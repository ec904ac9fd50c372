package plan_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"testing"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/extsort"
	"batchd/internal/vfs/memfs"
)

const tempDir = "tmp"

func newTemp() (*memfs.FS, extsort.Temp) {
	m := memfs.New()
	return m, extsort.Temp{FS: m, Dir: tempDir}
}

// wantNoTemp fails if a temporary file or an open handle is left.
func wantNoTemp(t testing.TB, m *memfs.FS) {
	t.Helper()
	entries, err := m.ReadDir(tempDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if len(entries) > 0 || m.OpenFiles() > 0 {
		t.Errorf("%d temporary files and %d open handles are left", len(entries), m.OpenFiles())
	}
}

// upload puts a file into the store in parts of at most part bytes.
func upload(t testing.TB, s blob.Store, file io.Reader, part int64) batch.Manifest {
	t.Helper()
	var m batch.Manifest
	for {
		stored, err := s.Put(t.Context(), fmt.Sprintf("upload/%d", len(m)), io.LimitReader(file, part))
		if err != nil {
			t.Fatal(err)
		}
		if stored.Size == 0 {
			return m
		}
		m = m.Append(stored, 0, stored.Size)
	}
}

// damage flips a bit of an object, behind the back of every store.
func damage(t testing.TB, b blob.Backend, key string, at int64) {
	t.Helper()
	info, err := b.Stat(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]byte, info.Size)
	if _, err := b.ReadAt(t.Context(), key, raw, 0); err != nil {
		t.Fatal(err)
	}
	raw[at] ^= 1
	if _, err := b.Put(t.Context(), key, bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
}

// exists reports whether there is an object of this key.
func exists(t testing.TB, b blob.Backend, key string) bool {
	t.Helper()
	_, err := b.Stat(t.Context(), key)
	return err == nil
}
