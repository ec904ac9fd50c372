package unit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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

// TestD12AJournalThatNoRowAnswersToStaysWhereItIs recovers over a database that has lost a unit, or that has given it to a
// lease of which the journal knows nothing. A start refuses before; should it come to this, nothing may be lost.
func TestD12AJournalThatNoRowAnswersToStaysWhereItIs(t *testing.T) {
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
			_, err := w.keeper.Recover(t.Context(), "node")
			if err == nil || !strings.Contains(err.Error(), "journals/"+file) {
				t.Fatalf("got %v, want an error that names the journal", err)
			}
			if again, left := w.only("journals"); again != file || !bytes.HasPrefix(left, content) || len(w.names("lost")) != 0 {
				t.Errorf("%s is left, %d bytes of %d; lost holds %v", again, len(left), len(content), w.names("lost"))
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
