// Package vfstest is the conformance suite of vfs.FS: what the file system in memory and the operating system's must
// both do, so that a test against the one says something about the other. It knows no implementation.
package vfstest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/vfs"
)

// Run tests the file systems that newFS makes; each must be empty and not shared.
func Run(t *testing.T, newFS func(t *testing.T) vfs.FS) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, newFS(t))
		})
	}
}

// test is one promise of the contract, tried on an empty file system.
type test struct {
	name string
	run  func(t *testing.T, fsys vfs.FS)
}

// cases say what batchd's durable parts rely on in a process that lives. What a power cut leaves cannot be tried on an
// operating system; package memfs has tests of its own for that.
var cases = []test{
	{"create and read back", func(t *testing.T, fsys vfs.FS) {
		write(t, fsys, "a", "hello")
		if got := read(t, fsys, "a"); got != "hello" {
			t.Errorf("contents = %q, want hello", got)
		}
		info, err := fsys.Stat("a")
		if err != nil {
			t.Fatal(err)
		}
		if info.Name() != "a" || info.Size() != 5 || info.IsDir() || !info.Mode().IsRegular() || info.ModTime().IsZero() {
			t.Errorf("stat = %q, %d bytes, mode %v, at %v", info.Name(), info.Size(), info.Mode(), info.ModTime())
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("mode = %v, want nothing for group and others", info.Mode())
		}
	}},
	{"create refuses a taken name", func(t *testing.T, fsys vfs.FS) {
		write(t, fsys, "a", "first")
		mkdir(t, fsys, "d")
		for _, name := range []string{"a", "d"} {
			_, err := fsys.Create(name)
			wantErr(t, "create "+name, err, fs.ErrExist)
		}
		if got := read(t, fsys, "a"); got != "first" {
			t.Errorf("contents after a refused create = %q, want first", got)
		}
	}},
	{"absent names", func(t *testing.T, fsys vfs.FS) {
		_, err := fsys.Open("a")
		wantErr(t, "open", err, fs.ErrNotExist)
		_, err = fsys.OpenWrite("a")
		wantErr(t, "open to write", err, fs.ErrNotExist)
		_, err = fsys.Create("d/a")
		wantErr(t, "create in an absent directory", err, fs.ErrNotExist)
		_, err = fsys.Stat("a")
		wantErr(t, "stat", err, fs.ErrNotExist)
		_, err = fsys.ReadDir("d")
		wantErr(t, "read directory", err, fs.ErrNotExist)
		wantErr(t, "remove", fsys.Remove("a"), fs.ErrNotExist)
		wantErr(t, "rename", fsys.Rename("a", "b"), fs.ErrNotExist)
		wantErr(t, "sync directory", fsys.SyncDir("d"), fs.ErrNotExist)
		write(t, fsys, "a", "x")
		wantErr(t, "rename into an absent directory", fsys.Rename("a", "d/a"), fs.ErrNotExist)
	}},
	{"names that leave the root", func(t *testing.T, fsys vfs.FS) {
		write(t, fsys, "a", "x")
		for _, name := range []string{"", "/a", "../a", "d/../../a", "d/..", "./a", "a/", "d//a"} {
			_, err := fsys.Create(name)
			wantErr(t, "create", err, fs.ErrInvalid)
			_, err = fsys.Open(name)
			wantErr(t, "open", err, fs.ErrInvalid)
			_, err = fsys.OpenWrite(name)
			wantErr(t, "open to write", err, fs.ErrInvalid)
			_, err = fsys.Stat(name)
			wantErr(t, "stat", err, fs.ErrInvalid)
			_, err = fsys.ReadDir(name)
			wantErr(t, "read directory", err, fs.ErrInvalid)
			wantErr(t, "remove", fsys.Remove(name), fs.ErrInvalid)
			wantErr(t, "rename from", fsys.Rename(name, "b"), fs.ErrInvalid)
			wantErr(t, "rename to", fsys.Rename("a", name), fs.ErrInvalid)
			wantErr(t, "make directory", fsys.MkdirAll(name), fs.ErrInvalid)
			wantErr(t, "sync directory", fsys.SyncDir(name), fs.ErrInvalid)
		}
	}},
	{"writes append", func(t *testing.T, fsys vfs.FS) {
		write(t, fsys, "a", "one ")
		f, err := fsys.OpenWrite("a")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		if _, err := f.ReadAt(make([]byte, 2), 0); err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"two ", "", "three"} {
			if n, err := f.Write([]byte(part)); n != len(part) || err != nil {
				t.Fatalf("write %q = %d, %v", part, n, err)
			}
		}
		if got := read(t, fsys, "a"); got != "one two three" {
			t.Errorf("contents = %q, want every write at the end", got)
		}
		if size, err := f.Size(); size != 13 || err != nil {
			t.Errorf("size = %d, %v, want 13", size, err)
		}
	}},
	{"read at and past the end", func(t *testing.T, fsys vfs.FS) {
		write(t, fsys, "a", "0123456789")
		f, err := fsys.Open("a")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		for _, test := range []struct {
			off  int64
			len  int
			want string
			err  error
		}{
			{0, 10, "0123456789", nil},
			{3, 4, "3456", nil},
			{8, 4, "89", io.EOF},
			{10, 1, "", io.EOF},
			{99, 1, "", io.EOF},
			{5, 0, "", nil},
		} {
			p := make([]byte, test.len)
			n, err := f.ReadAt(p, test.off)
			if string(p[:n]) != test.want || !errors.Is(err, test.err) {
				t.Errorf("read %d at %d = %q, %v, want %q, %v", test.len, test.off, p[:n], err, test.want, test.err)
			}
		}
		if _, err := f.ReadAt(make([]byte, 1), -1); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("read at -1: error = %v, want one that is not io.EOF", err)
		}
	}},
	{"truncate shortens and extends", func(t *testing.T, fsys vfs.FS) {
		write(t, fsys, "a", "0123456789")
		f, err := fsys.OpenWrite("a")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		truncate := func(size int64, want string) {
			t.Helper()
			if err := f.Truncate(size); err != nil {
				t.Fatal(err)
			}
			if got := read(t, fsys, "a"); got != want {
				t.Errorf("after truncate to %d: %q, want %q", size, got, want)
			}
		}
		truncate(4, "0123")
		truncate(6, "0123\x00\x00")
		if _, err := f.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		truncate(7, "0123\x00\x00x")
		truncate(0, "")
		if err := f.Truncate(-1); err == nil {
			t.Error("truncate to -1 succeeded")
		}
	}},
	{"rename moves and replaces", func(t *testing.T, fsys vfs.FS) {
		mkdir(t, fsys, "d")
		write(t, fsys, "a", "new")
		write(t, fsys, "d/b", "old")
		old, err := fsys.Open("d/b")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = old.Close() }()
		if err := fsys.Rename("a", "d/b"); err != nil {
			t.Fatal(err)
		}
		if got := read(t, fsys, "d/b"); got != "new" {
			t.Errorf("contents = %q, want new", got)
		}
		_, err = fsys.Stat("a")
		wantErr(t, "stat of the old name", err, fs.ErrNotExist)
		p := make([]byte, 3)
		if _, err := old.ReadAt(p, 0); err != nil || string(p) != "old" {
			t.Errorf("handle of the replaced file reads %q, %v, want old", p, err)
		}
		if err := fsys.Rename("d/b", "d/b"); err != nil {
			t.Errorf("rename to the same name: %v", err)
		}
		if got := read(t, fsys, "d/b"); got != "new" {
			t.Errorf("after a rename to the same name: %q, want new", got)
		}
		if err := fsys.Rename("d/b", "d"); err == nil {
			t.Error("a file replaced a directory")
		}
	}},
	// A blob may be deleted while a read of it is under way.
	{"remove keeps open handles usable", func(t *testing.T, fsys vfs.FS) {
		write(t, fsys, "a", "kept")
		f, err := fsys.Open("a")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		if err := fsys.Remove("a"); err != nil {
			t.Fatal(err)
		}
		wantErr(t, "second remove", fsys.Remove("a"), fs.ErrNotExist)
		p := make([]byte, 4)
		if _, err := f.ReadAt(p, 0); err != nil || string(p) != "kept" {
			t.Errorf("open handle reads %q, %v, want kept", p, err)
		}
		write(t, fsys, "a", "another")
		if got := read(t, fsys, "a"); got != "another" {
			t.Errorf("contents = %q, want another", got)
		}
	}},
	{"remove takes only empty directories", func(t *testing.T, fsys vfs.FS) {
		mkdir(t, fsys, "d/e")
		wantErr(t, "remove of a full directory", fsys.Remove("d"), fs.ErrExist)
		for _, name := range []string{"d/e", "d"} {
			if err := fsys.Remove(name); err != nil {
				t.Errorf("remove of an empty directory: %v", err)
			}
		}
	}},
	{"directories", func(t *testing.T, fsys vfs.FS) {
		mkdir(t, fsys, "d/e/f")
		mkdir(t, fsys, "d/e")
		mkdir(t, fsys, ".")
		write(t, fsys, "d/b", "12")
		write(t, fsys, "d/a", "1")
		for _, name := range []string{".", "d", "d/e", "d/e/f"} {
			if err := fsys.SyncDir(name); err != nil {
				t.Errorf("sync directory %s: %v", name, err)
			}
		}
		list, err := fsys.ReadDir("d")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range list {
			name := e.Name()
			if e.IsDir() {
				name += "/"
			}
			got = append(got, name)
		}
		if diff := cmp.Diff([]string{"a", "b", "e/"}, got); diff != "" {
			t.Errorf("listing (-want +got):\n%s", diff)
		}
		if info, err := list[1].Info(); err != nil || info.Size() != 2 {
			t.Errorf("entry b = %v, %v, want 2 bytes", info, err)
		}
		if info, err := fsys.Stat("d/e"); err != nil || !info.IsDir() {
			t.Errorf("stat of a directory = %v, %v", info, err)
		}
		if err := fsys.MkdirAll("d/a"); err == nil {
			t.Error("a directory was made where a file is")
		}
		if err := fsys.MkdirAll("d/a/x"); err == nil {
			t.Error("a directory was made below a file")
		}
	}},
	// A handle that is used after its end is a mistake of ours, and must not reach whatever file has its number by then.
	{"handles end with close", func(t *testing.T, fsys vfs.FS) {
		f, err := fsys.Create("a")
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		_, err = f.Write([]byte("x"))
		wantErr(t, "write", err, fs.ErrClosed)
		_, err = f.ReadAt(make([]byte, 1), 0)
		wantErr(t, "read", err, fs.ErrClosed)
		_, err = f.Size()
		wantErr(t, "size", err, fs.ErrClosed)
		wantErr(t, "sync", f.Sync(), fs.ErrClosed)
		wantErr(t, "truncate", f.Truncate(0), fs.ErrClosed)
		wantErr(t, "close", f.Close(), fs.ErrClosed)
	}},
	{"read-only handles", func(t *testing.T, fsys vfs.FS) {
		write(t, fsys, "a", "x")
		f, err := fsys.Open("a")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		if n, err := f.Write([]byte("y")); n != 0 || err == nil {
			t.Errorf("write = %d, %v, want an error", n, err)
		}
		if err := f.Truncate(0); err == nil {
			t.Error("truncate succeeded")
		}
		if got := read(t, fsys, "a"); got != "x" {
			t.Errorf("contents = %q, want x", got)
		}
	}},
	{"concurrent appends", func(t *testing.T, fsys vfs.FS) {
		const writers, each = 8, 50
		write(t, fsys, "a", "")
		var all sync.WaitGroup
		for range writers {
			all.Go(func() {
				f, err := fsys.OpenWrite("a")
				if err != nil {
					t.Error(err)
					return
				}
				defer func() { _ = f.Close() }()
				for range each {
					if _, err := f.Write([]byte("0123456789")); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		want := bytes.Repeat([]byte("0123456789"), writers*each)
		if got := read(t, fsys, "a"); got != string(want) {
			t.Errorf("%d bytes, or mixed ones, want %d whole records", len(got), writers*each)
		}
	}},
}

// write makes a file with these contents, or ends the test.
func write(t *testing.T, fsys vfs.FS, name, contents string) {
	t.Helper()
	f, err := fsys.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte(contents)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// ReadFile returns the contents of a file, through a handle of its own.
func ReadFile(fsys vfs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(f, 0, size))
}

// read is ReadFile for a file that must be there.
func read(t *testing.T, fsys vfs.FS, name string) string {
	t.Helper()
	raw, err := ReadFile(fsys, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// mkdir makes a directory and its parents, or ends the test.
func mkdir(t *testing.T, fsys vfs.FS, name string) {
	t.Helper()
	if err := fsys.MkdirAll(name); err != nil {
		t.Fatal(err)
	}
}

// wantErr reports an error unless err wraps want.
func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error = %v, want %v", what, err, want)
	}
}
