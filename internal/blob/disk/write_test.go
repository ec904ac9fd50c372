package disk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/blob"
	"batchd/internal/blob/disk"
	"batchd/internal/vfs"
	"batchd/internal/vfs/memfs"
)

func put(t *testing.T, b *disk.Backend, key, contents string) {
	t.Helper()
	if _, err := b.Put(t.Context(), key, strings.NewReader(contents)); err != nil {
		t.Fatal(err)
	}
}

// syncs returns what is synced while do runs.
func syncs(fsys *memfs.FS, do func()) []string {
	var got []string
	fsys.OnOp(func(op memfs.Op) error {
		switch op.Kind {
		case "syncdir":
			got = append(got, op.Name)
		case "sync":
			got = append(got, "file")
		}
		return nil
	})
	defer fsys.OnOp(nil)
	do()
	return got
}

func TestPutSyncsTwiceAndOnceMoreForEachNewDirectory(t *testing.T) {
	t.Parallel()
	fsys := memfs.New()
	b := open(t, fsys, disk.Options{})
	for _, test := range []struct {
		key  string
		want []string
	}{
		{"files/a", []string{"file", "blobs/objects", "blobs/objects/files"}},
		{"files/b", []string{"file", "blobs/objects/files"}},
		{"segments/b1/1", []string{"file", "blobs/objects", "blobs/objects/segments", "blobs/objects/segments/b1"}},
		{"segments/b1/2", []string{"file", "blobs/objects/segments/b1"}},
		{"segments/b2/1", []string{"file", "blobs/objects/segments", "blobs/objects/segments/b2"}},
		{"top", []string{"file", "blobs/objects"}},
	} {
		got := syncs(fsys, func() { put(t, b, test.key, "x") })
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("put %s syncs (-want +got):\n%s", test.key, diff)
		}
	}
}

func TestDeleteAndReadSyncNothing(t *testing.T) {
	t.Parallel()
	fsys := memfs.New()
	b := open(t, fsys, disk.Options{})
	put(t, b, "segments/b1/1", "x")
	got := syncs(fsys, func() {
		_, readErr := b.ReadAt(t.Context(), "segments/b1/1", make([]byte, 1), 0)
		if err := errors.Join(readErr, b.Delete(t.Context(), "segments/b1/1")); err != nil {
			t.Error(err)
		}
	})
	if len(got) > 0 {
		t.Errorf("synced %v", got)
	}
}

func TestNewSyncsTheDirectoriesItMayHaveFoundUnsynced(t *testing.T) {
	t.Parallel()
	fsys := memfs.New()
	for range 2 {
		got := syncs(fsys, func() { open(t, fsys, disk.Options{}) })
		if diff := cmp.Diff([]string{".", "blobs"}, got); diff != "" {
			t.Errorf("syncs (-want +got):\n%s", diff)
		}
	}
}

func TestNewRemovesWhatAnUnfinishedPutLeft(t *testing.T) {
	t.Parallel()
	fsys := memfs.New()
	b := open(t, fsys, disk.Options{})
	put(t, b, "tmp/kept", "x")
	fsys.OnOp(func(op memfs.Op) error {
		if op.Kind == "rename" {
			return memfs.ErrPowerCut
		}
		return nil
	})
	if _, err := b.Put(t.Context(), "files/a", strings.NewReader("x")); !errors.Is(err, memfs.ErrPowerCut) {
		t.Fatalf("put = %v, want ErrPowerCut", err)
	}
	after := fsys.CrashKeepingAll()
	if left := names(t, after, "blobs/tmp"); len(left) != 1 {
		t.Fatalf("tmp holds %v, want one unfinished object", left)
	}
	b = open(t, after, disk.Options{})
	if left := names(t, after, "blobs/tmp"); len(left) != 0 {
		t.Errorf("tmp holds %v, want nothing", left)
	}
	if _, err := b.Stat(t.Context(), "tmp/kept"); err != nil {
		t.Errorf("an object of the key tmp/kept: %v", err)
	}
}

func names(t *testing.T, fsys vfs.FS, dir string) []string {
	t.Helper()
	entries, err := fsys.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	return got
}

func TestDeleteRemovesDirectoriesThatBecomeEmpty(t *testing.T) {
	t.Parallel()
	fsys := memfs.New()
	b := open(t, fsys, disk.Options{})
	for _, key := range []string{"segments/b1/x/1", "segments/b1/x/2", "segments/b2/1"} {
		put(t, b, key, "x")
	}
	for _, step := range []struct {
		key  string
		want []string
	}{
		{"segments/b1/x/1", []string{"b1", "b2"}},
		{"segments/b1/x/2", []string{"b2"}},
		{"segments/b2/1", nil},
	} {
		if err := b.Delete(t.Context(), step.key); err != nil {
			t.Fatal(err)
		}
		if got := names(t, fsys, "blobs/objects/segments"); !slices.Equal(got, step.want) {
			t.Errorf("after delete of %s: %v, want %v", step.key, got, step.want)
		}
	}
	if got := names(t, fsys, "blobs/objects"); !slices.Equal(got, []string{"segments"}) {
		t.Errorf("objects holds %v, want the directory of the first level kept", got)
	}
}

func TestPutRecoversWhenSomebodyRemovedADirectory(t *testing.T) {
	t.Parallel()
	fsys := memfs.New()
	b := open(t, fsys, disk.Options{})
	put(t, b, "files/a", "x")
	if err := errors.Join(fsys.Remove("blobs/objects/files/a@"), fsys.Remove("blobs/objects/files")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Put(t.Context(), "files/b", strings.NewReader("x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("first put = %v, want an error about the directory", err)
	}
	put(t, b, "files/b", "x")
}

func TestListSkipsFilesThatAreNoObjects(t *testing.T) {
	t.Parallel()
	fsys := memfs.New()
	b := open(t, fsys, disk.Options{})
	put(t, b, "files/a", "x")
	f, err := fsys.Create("blobs/objects/files/.DS_Store")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	var keys []string
	err = b.List(t.Context(), "", func(info blob.Info) error {
		keys = append(keys, info.Key)
		return nil
	})
	if err != nil || !slices.Equal(keys, []string{"files/a"}) {
		t.Errorf("list = %v, %v, want files/a", keys, err)
	}
}

func TestKeysAreListedInOrderWithoutALookAtEachFile(t *testing.T) {
	t.Parallel()
	fsys := memfs.New()
	b := open(t, fsys, disk.Options{})
	for _, key := range []string{"plans/a/2", "plans/a/1", "plans/b/1", "segments/a/1"} {
		put(t, b, key, "x")
	}
	fsys.OnOp(func(op memfs.Op) error {
		if op.Kind != "readdir" {
			t.Errorf("%s of %s", op.Kind, op.Name)
		}
		return nil
	})
	for prefix, want := range map[string][]string{
		"plans/": {"plans/a/1", "plans/a/2", "plans/b/1"},
		"":       {"plans/a/1", "plans/a/2", "plans/b/1", "segments/a/1"},
		"files/": nil,
	} {
		var keys []string
		err := b.Keys(t.Context(), prefix, func(key string) error { keys = append(keys, key); return nil })
		if err != nil || !slices.Equal(keys, want) {
			t.Errorf("keys that begin %q: %v, %v, want %v", prefix, keys, err, want)
		}
	}
	if got := b.File("plans/a/1"); got != "blobs/objects/plans/a/1@" {
		t.Errorf("the object's file is %s", got)
	}
}

func TestErrorsOfTheDiskComeThrough(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	fsys := memfs.New()
	b := open(t, fsys, disk.Options{})
	put(t, b, "segments/b1/1", "x")
	for _, kind := range []string{"open", "read", "stat", "readdir", "remove"} {
		fsys.OnOp(func(op memfs.Op) error {
			if op.Kind == kind {
				return broken
			}
			return nil
		})
		_, readErr := b.ReadAt(t.Context(), "segments/b1/1", make([]byte, 1), 0)
		_, statErr := b.Stat(t.Context(), "segments/b1/1")
		err := map[string]error{
			"open": readErr, "read": readErr, "stat": statErr,
			"readdir": b.List(t.Context(), "", func(blob.Info) error { return nil }),
		}[kind]
		if kind == "remove" {
			err = b.Delete(t.Context(), "segments/b1/1")
		}
		if !errors.Is(err, broken) {
			t.Errorf("%s: error = %v, want the disk's", kind, err)
		}
	}
	if fsys.OpenFiles() != 0 {
		t.Errorf("%d files are open", fsys.OpenFiles())
	}
}

func TestNewReportsADiskThatFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, kind := range []string{"mkdir", "syncdir", "readdir"} {
		fsys := memfs.New()
		fsys.OnOp(func(op memfs.Op) error {
			if op.Kind == kind {
				return broken
			}
			return nil
		})
		if _, err := disk.New(fsys, "blobs", disk.Options{}); !errors.Is(err, broken) {
			t.Errorf("%s fails: New = %v, want that error", kind, err)
		}
	}
}

// A context cancelled for a reason reports the reason.
func TestPutReportsWhyItsContextEnded(t *testing.T) {
	t.Parallel()
	reason := errors.New("shutting down")
	ctx, cancel := context.WithCancelCause(t.Context())
	b := open(t, memfs.New(), disk.Options{BufferBytes: 10})
	r := io.TeeReader(bytes.NewReader(make([]byte, 100)), writerFunc(func(p []byte) (int, error) {
		cancel(reason)
		return len(p), nil
	}))
	if _, err := b.Put(ctx, "files/a", r); !errors.Is(err, reason) {
		t.Errorf("put = %v, want the reason", err)
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func BenchmarkPut(b *testing.B) {
	for _, size := range []int{4 << 10, 4 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			fsys, err := vfs.NewOS(b.TempDir(), vfs.OSOptions{})
			if err != nil {
				b.Fatal(err)
			}
			backend, err := disk.New(fsys, "blobs", disk.Options{})
			if err != nil {
				b.Fatal(err)
			}
			contents := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := backend.Put(b.Context(), "files/a", bytes.NewReader(contents)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
