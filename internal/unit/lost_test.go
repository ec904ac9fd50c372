package unit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"

	"batchd/internal/batch"
	"batchd/internal/store"
	"batchd/internal/vfs/memfs"
)

// forgetful is a ledger that has lost what was committed to it.
type forgetful struct {
	*ledger
	err error
}

func (f forgetful) AdoptUnit(context.Context, batch.UnitID, []batch.LeaseID, store.Holder) (batch.Unit, error) {
	return batch.Unit{}, fmt.Errorf("adopt unit: %w", f.err)
}

// recoverNothing fails the test if a journal is adopted.
func (w *world) recoverNothing() {
	w.t.Helper()
	if found, err := w.keeper.Recover(w.t.Context(), "node"); err != nil || len(found) != 0 {
		w.t.Fatalf("recover: %d journals, %v; want none", len(found), err)
	}
}

// names lists a folder, which may be absent.
func (w *world) names(dir string) []string {
	w.t.Helper()
	var names []string
	entries, _ := w.disk.ReadDir(dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// only returns the name and the bytes of the only file in a folder.
func (w *world) only(dir string) (string, []byte) {
	w.t.Helper()
	names := w.names(dir)
	if len(names) != 1 {
		w.t.Fatalf("%s holds %v, want one file", dir, names)
	}
	return names[0], read(w.t, w.disk, dir+"/"+names[0])
}

func read(t *testing.T, fsys *memfs.FS, name string) []byte {
	t.Helper()
	f, err := fsys.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	size, _ := f.Size()
	raw := make([]byte, size)
	if _, err := f.ReadAt(raw, 0); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return raw
}

// TestD12JournalsThatNoRowAnswersToAreSetAside starts over a database that has lost a unit, or that has given it to a
// lease of which the journal knows nothing.
func TestD12JournalsThatNoRowAnswersToAreSetAside(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(*world){
		"no such batch": func(w *world) { w.lose(store.ErrNotFound) },
		"no such unit":  func(w *world) { w.lose(store.ErrLeaseLost) },
		"another lease": func(w *world) { w.ledger.leases[0] = batch.NewLeaseID() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 4, 4)
			w.run(w.open(0), 2)
			w.boot(w.disk.Kill())
			file, content := w.only("journals")
			damage(w)
			w.recoverNothing()
			kept, moved := w.only("lost")
			if kept != file || !bytes.HasPrefix(moved, content) || len(w.names("journals")) != 0 {
				t.Errorf("%s is kept as %s, %d bytes of %d; journals %v", file, kept, len(moved), len(content), w.names("journals"))
			}
			for _, want := range []string{"level=ERROR", "kept_as=lost/" + file, "batch=" + batchID, "unit=0", "results=2"} {
				if !strings.Contains(w.logs.String(), want) {
					t.Errorf("the log does not say %s: %s", want, w.logs)
				}
			}
			w.boot(w.disk.CrashKeepingNothing())
			if again, survived := w.only("lost"); again != file || !bytes.Equal(survived, moved) || len(w.names("journals")) != 0 {
				t.Errorf("the power went: %s, %d bytes; journals %v", again, len(survived), w.names("journals"))
			}
		})
	}
}

// TestD12TheJournalOfALostLeaseIsSetAsideUnlessItsUnitIsSealed: another lease holds the unit when it is to be sealed, or
// the store does not say; or it is sealed already, as by a commit whose answer was lost.
func TestD12TheJournalOfALostLeaseIsSetAsideUnlessItsUnitIsSealed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		damage func(*world)
		kept   bool
	}{
		"another lease": {func(w *world) { w.ledger.leases[0] = batch.NewLeaseID() }, true},
		"no answer":     {func(w *world) { w.ledger.leases[0] = batch.NewLeaseID() }, true},
		"sealed":        {func(w *world) { w.ledger.seals[0] = batch.Seal{} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 4, 4)
			if name == "no answer" {
				w.lose(errors.New("database is away"))
			}
			u := w.open(0)
			w.run(u, -1)
			file, content := w.only("journals")
			c.damage(w)
			if _, err := u.Seal(t.Context(), batch.StopNone, nil); !errors.Is(err, store.ErrLeaseLost) {
				t.Fatalf("seal: %v, want ErrLeaseLost", err)
			}
			if left := w.names("journals"); len(left) != 0 {
				t.Errorf("journals %v are still there", left)
			}
			if !c.kept {
				if lost := w.names("lost"); len(lost) != 0 || strings.Contains(w.logs.String(), "level=ERROR") {
					t.Errorf("journals %v are set aside: %s", lost, w.logs)
				}
				return
			}
			kept, moved := w.only("lost")
			if kept != file || !bytes.Equal(moved, content) {
				t.Errorf("%s is kept as %s, %d bytes of %d", file, kept, len(moved), len(content))
			}
			for _, want := range []string{"level=ERROR", "kept_as=lost/" + file, "batch=" + batchID, "unit=0", "results=4"} {
				if !strings.Contains(w.logs.String(), want) {
					t.Errorf("the log does not say %s: %s", want, w.logs)
				}
			}
			w.boot(w.disk.CrashKeepingNothing())
			w.recoverNothing()
			if again, _ := w.only("lost"); again != file {
				t.Errorf("the power went: %s is kept", again)
			}
		})
	}
}

// lose makes the ledger forget its units.
func (w *world) lose(err error) {
	w.keeper = w.newKeeper(forgetful{w.ledger, err})
}

func TestD12JournalsThatWereSetAsideAreNeverReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4, 4)
	w.run(w.open(0), 2)
	image := w.disk.Kill()
	w.boot(image)
	file, _ := w.only("journals")
	w.put("lost/"+file, "an older one")
	w.put("lost/"+file+".2", "another")
	w.lose(store.ErrNotFound)
	w.recoverNothing()
	for name, want := range map[string]string{file: "an older one", file + ".2": "another"} {
		if got := read(t, w.disk, "lost/"+name); string(got) != want {
			t.Errorf("%s holds %q now", name, got)
		}
	}
	if got := w.names("lost"); len(got) != 3 || got[2] != file+".3" {
		t.Errorf("lost holds %v", got)
	}
}

// put makes a file.
func (w *world) put(name, content string) {
	w.t.Helper()
	if err := w.disk.MkdirAll("lost"); err != nil {
		w.t.Fatal(err)
	}
	f, err := w.disk.Create(name)
	if err == nil {
		_, err = f.Write([]byte(content))
	}
	if err != nil {
		w.t.Fatal(err)
	}
	_ = f.Close()
}

// TestD12PowerLossWhileAJournalIsSetAsideLosesNoneOfIt cuts the power after each disk operation of such a start.
func TestD12PowerLossWhileAJournalIsSetAsideLosesNoneOfIt(t *testing.T) {
	t.Parallel()
	for after := 0; ; after++ {
		w := newWorld(t, 3, 3)
		u := w.open(0)
		w.run(u, 2)
		if err := w.keeper.Sync(); err != nil {
			t.Fatal(err)
		}
		w.boot(w.disk.CrashKeepingNothing())
		_, content := w.only("journals")
		w.lose(store.ErrNotFound)
		w.disk.CutPowerAfter(after)
		_, err := w.keeper.Recover(t.Context(), "node")
		if err != nil && !errors.Is(err, memfs.ErrPowerCut) {
			t.Fatal(err)
		}
		for image := range 6 {
			next := *w
			next.boot(crashed(w.disk, image))
			next.lose(store.ErrNotFound)
			next.recoverNothing()
			kept := map[string]bool{}
			for _, name := range next.names("lost") {
				kept[string(read(t, next.disk, "lost/"+name)[:len(content)])] = true
			}
			if want := map[string]bool{string(content): true}; !maps.Equal(kept, want) || len(next.names("journals")) != 0 {
				t.Fatalf("cut after operation %d, image %d: %d journals in lost, %v in journals", after, image, len(kept), next.names("journals"))
			}
		}
		if err == nil {
			if after < 6 {
				t.Fatalf("setting a journal aside took %d disk operations: nothing was tested", after)
			}
			return
		}
	}
}
