package disk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"batchd/internal/blob"
	"batchd/internal/blob/blobtest"
	"batchd/internal/blob/disk"
	"batchd/internal/vfs/memfs"
)

// smallBuffer makes every object of the scenario several writes.
const smallBuffer = 1024

// step is a Put of key, or its Delete.
type step struct {
	key    string
	delete bool
}

// scenario has what the rest of batchd does: new directories, more in the same directory, the same object again,
// deletes that empty a directory, and the directory made anew.
var scenario = []step{
	{key: "files/a"},
	{key: "segments/b1/1-x"},
	{key: "segments/b1/2-y"},
	{key: "files/a"},
	{key: "segments/b1/1-x", delete: true},
	{key: "segments/b1/2-y", delete: true},
	{key: "segments/b1/3-z"},
	{key: "empty"},
}

// contentsOf returns the bytes that belong under key: always the same.
func contentsOf(key string) []byte {
	if key == "empty" {
		return nil
	}
	return blobtest.Random(uint64(len(key)+int(key[len(key)-1])), 2*smallBuffer+300)
}

// promises are the keys whose Put returned nil and whose Delete was not tried since.
type promises map[string]bool

// play opens a backend on fsys and performs the scenario, whatever fails, until the power goes.
func (p promises) play(fsys *memfs.FS, check func(step, error)) {
	b, err := disk.New(fsys, "data/blobs", disk.Options{BufferBytes: smallBuffer})
	if err != nil {
		check(step{}, err)
		return
	}
	for _, s := range scenario {
		if s.delete {
			delete(p, s.key)
			check(s, b.Delete(context.Background(), s.key))
			continue
		}
		_, err := b.Put(context.Background(), s.key, bytes.NewReader(contentsOf(s.key)))
		if err == nil {
			p[s.key] = true
		}
		check(s, err)
	}
}

// verify opens fsys as the next process would and returns what is wrong there, or "".
func (p promises) verify(fsys *memfs.FS) string {
	b, err := disk.New(fsys, "data/blobs", disk.Options{})
	if err != nil {
		return fmt.Sprintf("open: %v", err)
	}
	if left, err := fsys.ReadDir("data/blobs/tmp"); err != nil || len(left) > 0 {
		return fmt.Sprintf("left in tmp: %v, %v", left, err)
	}
	found := map[string]bool{}
	var faults []string
	err = b.List(context.Background(), "", func(info blob.Info) error {
		found[info.Key] = true
		want := contentsOf(info.Key)
		got := make([]byte, len(want)+1)
		n, err := b.ReadAt(context.Background(), info.Key, got, 0)
		if !errors.Is(err, io.EOF) || !bytes.Equal(got[:n], want) {
			faults = append(faults, fmt.Sprintf("%s is not whole: %d of %d bytes, %v", info.Key, n, len(want), err))
		}
		return nil
	})
	if err != nil {
		faults = append(faults, err.Error())
	}
	for key := range p {
		if !found[key] {
			faults = append(faults, key+" is lost")
		}
	}
	return strings.Join(faults, "; ")
}

// verifyAll checks every way in which the machine may stop now.
func (p promises) verifyAll(t *testing.T, when string, fsys *memfs.FS) {
	t.Helper()
	images := map[string]*memfs.FS{
		"kill -9":                       fsys.Kill(),
		"power cut, nothing unsynced":   fsys.CrashKeepingNothing(),
		"power cut, everything on disk": fsys.CrashKeepingAll(),
	}
	for seed := range uint64(8) {
		images[fmt.Sprintf("power cut, seed %d", seed)] = fsys.Crash(rand.New(rand.NewPCG(seed, 9)))
	}
	for how, image := range images {
		if fault := p.verify(image); fault != "" {
			t.Errorf("%s, %s: %s", when, how, fault)
		}
	}
}

// operations returns how many changing operations the scenario takes when nothing fails.
func operations(t *testing.T) int {
	t.Helper()
	fsys := memfs.New()
	promises{}.play(fsys, func(s step, err error) {
		if err != nil {
			t.Fatalf("%v: %v", s, err)
		}
	})
	return fsys.Ops()
}

func ignore(step, error) {}

// Power lost after every operation, several images each: D1 for blobs.
func TestObjectsArePromisedOrWholeAfterAPowerCutAnywhere(t *testing.T) {
	t.Parallel()
	for n := range operations(t) + 1 {
		fsys, p := memfs.New(), promises{}
		fsys.CutPowerAfter(n)
		p.play(fsys, ignore)
		p.verifyAll(t, fmt.Sprintf("after operation %d", n), fsys)
		if open := fsys.OpenFiles(); open != 0 {
			t.Errorf("after operation %d: %d files are open", n, open)
		}
	}
}

// A process that dies leaves names that can be seen but are not durable; the next one must not build on them.
func TestObjectsOutlastAPowerCutAfterAKill(t *testing.T) {
	t.Parallel()
	all := operations(t)
	for n := range all + 1 {
		first := memfs.New()
		first.CutPowerAfter(n)
		promises{}.play(first, ignore)
		for m := 0; m <= all; m += 3 {
			second, p := first.Kill(), promises{}
			second.CutPowerAfter(m)
			p.play(second, ignore)
			if fault := p.verify(second.CrashKeepingNothing()); fault != "" {
				t.Errorf("killed after %d, power cut after %d more: %s", n, m, fault)
			}
		}
	}
}

// fault makes one operation, or all from there on, fail.
type fault struct {
	name string
	err  error
	// kinds limits it to these operations; empty means all that change something.
	kinds string
	// always makes every later operation fail too.
	always bool
	// wants is what every Put that fails must satisfy, if set.
	wants error
}

func (f fault) hook(n int, hit *bool) func(memfs.Op) error {
	return func(op memfs.Op) error {
		due := op.N == n || f.always && op.N > n
		if op.N == 0 || !due || f.kinds != "" && !strings.Contains(f.kinds, op.Kind) {
			return nil
		}
		*hit = true
		return f.err
	}
}

func TestNoFaultOfTheDiskCorruptsOrLosesAnObject(t *testing.T) {
	t.Parallel()
	for _, f := range []fault{
		{name: "EIO once", err: syscall.EIO, wants: syscall.EIO},
		{name: "EIO on sync once", err: syscall.EIO, kinds: "sync syncdir", wants: syscall.EIO},
		{name: "EIO from then on", err: syscall.EIO, always: true, wants: syscall.EIO},
		{name: "disk full once", err: syscall.ENOSPC, wants: blob.ErrNoSpace},
		{
			name: "disk full from then on", err: syscall.ENOSPC, kinds: "create write mkdir rename", always: true,
			wants: blob.ErrNoSpace,
		},
		{name: "quota used up", err: syscall.EDQUOT, kinds: "write", always: true, wants: blob.ErrNoSpace},
		{name: "short write", err: memfs.ShortWrite{N: 100, Err: syscall.ENOSPC}, kinds: "write", wants: blob.ErrNoSpace},
		{name: "interrupted write", err: memfs.ShortWrite{N: 7, Err: syscall.EINTR}, kinds: "write", wants: syscall.EINTR},
		{name: "read-only remount", err: syscall.EROFS, always: true, wants: syscall.EROFS},
		{name: "too many open files", err: syscall.EMFILE, kinds: "create", always: true, wants: syscall.EMFILE},
	} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			for n := 1; n <= operations(t); n++ {
				playWithFault(t, f, n)
			}
		})
	}
}

func playWithFault(t *testing.T, f fault, n int) {
	t.Helper()
	when := fmt.Sprintf("operation %d", n)
	fsys, p, hit := memfs.New(), promises{}, false
	fsys.OnOp(f.hook(n, &hit))
	p.play(fsys, func(s step, err error) {
		if err != nil && !hit {
			t.Errorf("%s: %v failed with no fault: %v", when, s, err)
		}
		if err != nil && s.key != "" && !s.delete && !errors.Is(err, f.wants) {
			t.Errorf("%s: put %s = %v, want %v", when, s.key, err, f.wants)
		}
		if !f.always && s.key != "" {
			wantNoTemporary(t, when, fsys)
		}
	})
	fsys.OnOp(nil)
	if open := fsys.OpenFiles(); open != 0 {
		t.Errorf("%s: %d files are open", when, open)
	}
	p.verifyAll(t, when, fsys)
}

// wantNoTemporary reports an error if a finished Put left its temporary file.
func wantNoTemporary(t *testing.T, when string, fsys *memfs.FS) {
	t.Helper()
	left, err := fsys.Kill().ReadDir("data/blobs/tmp")
	if err != nil || len(left) > 0 {
		t.Errorf("%s: in tmp: %v, %v", when, left, err)
	}
}

// The disk heals: what failed before works again, in the same process.
func TestPutWorksAgainAfterAFault(t *testing.T) {
	t.Parallel()
	hit := true
	for n := 1; hit; n++ {
		hit = false
		fsys, p := memfs.New(), promises{}
		fsys.OnOp(fault{err: syscall.EIO}.hook(n, &hit))
		b, err := disk.New(fsys, "data/blobs", disk.Options{BufferBytes: smallBuffer})
		if err != nil {
			b, err = disk.New(fsys, "data/blobs", disk.Options{BufferBytes: smallBuffer})
		}
		if err != nil {
			t.Fatalf("operation %d: open again: %v", n, err)
		}
		for _, key := range []string{"files/a", "segments/b1/1-x"} {
			_, err := b.Put(t.Context(), key, bytes.NewReader(contentsOf(key)))
			if err != nil {
				_, err = b.Put(t.Context(), key, bytes.NewReader(contentsOf(key)))
			}
			if err != nil {
				t.Errorf("operation %d: second put of %s: %v", n, key, err)
			}
			p[key] = true
		}
		p.verifyAll(t, fmt.Sprintf("operation %d", n), fsys)
	}
}
