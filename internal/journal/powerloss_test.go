package journal_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"testing"

	"batchd/internal/batch"
	"batchd/internal/journal"
	"batchd/internal/vfs/memfs"
)

// witness knows what was recorded in a journal, and what it promised.
type witness struct {
	created bool
	tried   map[uint32]string
	taken   map[uint32]string // by Append
	synced  map[uint32]string
	leases  []batch.LeaseID // promised by Adopt
}

func newWitness() *witness {
	return &witness{tried: map[uint32]string{}, taken: map[uint32]string{}, synced: map[uint32]string{}}
}

func (w *witness) append(j *journal.Journal, r journal.Record) error {
	text := contentsOfRecords(r)[r.Line]
	w.tried[r.Line] = text
	err := j.Append(r)
	if err == nil {
		w.taken[r.Line] = text
	}
	return err
}

func (w *witness) covered() {
	w.created = true // a journal's name and header are promised from its first sync on
	for line, text := range w.taken {
		w.synced[line] = text
	}
}

func (w *witness) sync(j *journal.Journal) error {
	err := j.Sync()
	if err == nil {
		w.covered()
	}
	return err
}

func (w *witness) adopt(j *journal.Journal, l batch.LeaseID) error {
	err := j.Adopt(l)
	if err == nil {
		w.covered()
		w.leases = append(w.leases, l)
	}
	return err
}

// firstRun creates a journal and records the given number of lines, some synced at once, some not, the second
// one spooled, until an operation fails.
func (w *witness) firstRun(fsys *memfs.FS, lines uint32) error {
	j, err := journal.Create(fsys, path, header)
	if err != nil {
		return err
	}
	for line := uint32(1); line <= lines; line++ {
		r := recordOf(line, int(400*line))
		if line == 2 {
			r.Text = spooled(r.Text.Bytes())
		}
		if err := w.append(j, r); err != nil {
			return err
		}
		if line != 2 {
			if err := w.sync(j); err != nil {
				return err
			}
		}
	}
	return nil
}

// nextRun adopts the journal that a crash has left and records one line more.
func (w *witness) nextRun(fsys *memfs.FS, line uint32) error {
	j, _, err := journal.Open(fsys, path)
	if err != nil {
		return err
	}
	if err := w.adopt(j, batch.LeaseID{byte(line)}); err != nil {
		return err
	}
	if err := w.append(j, recordOf(line, 300)); err != nil {
		return err
	}
	return w.sync(j)
}

// check opens what is left and compares it with what was promised: all that must be there, or also all that Append
// took when the kernel has survived.
func (w *witness) check(t *testing.T, name string, fsys *memfs.FS, must map[uint32]string) {
	t.Helper()
	j, r, err := journal.Open(fsys, path)
	if err != nil {
		absent := errors.Is(err, fs.ErrNotExist) || errors.Is(err, journal.ErrForeign)
		if w.created || len(must) > 0 || !absent {
			t.Fatalf("%s: Open: %v", name, err)
		}
		return
	}
	defer func() { _ = j.Close() }()
	got := contentsOf(t, j)
	for line, text := range must {
		if got[line] != text {
			t.Fatalf("%s: line %d is lost or changed: %q", name, line, got[line])
		}
	}
	for line, text := range got {
		if w.tried[line] != text {
			t.Fatalf("%s: line %d was never recorded like this: %q", name, line, text)
		}
	}
	for _, l := range w.leases {
		if !slices.Contains(r.Leases, l) {
			t.Fatalf("%s: lease %s is lost", name, l)
		}
	}
}

// images returns several file systems that a power cut may leave.
func images(fsys *memfs.FS, rng *rand.Rand, n int) []*memfs.FS {
	all := []*memfs.FS{fsys.CrashKeepingNothing(), fsys.CrashKeepingAll()}
	for range n {
		all = append(all, fsys.Crash(rng))
	}
	return all
}

func TestF04PowerLossAtEveryOperationKeepsWhatWasSynced(t *testing.T) {
	t.Parallel()
	for lines := uint32(1); lines <= 3; lines++ {
		for cut := 0; ; cut++ {
			rng := rand.New(rand.NewPCG(uint64(lines), uint64(cut)))
			fsys := newFS(t)
			fsys.CutPowerAfter(cut)
			w := newWitness()
			done := w.firstRun(fsys, lines) == nil
			name := fmt.Sprintf("%d lines, cut after operation %d", lines, cut)
			for i, image := range images(fsys, rng, 24) {
				w.check(t, fmt.Sprintf("%s, image %d", name, i), image, w.synced)
			}
			w.check(t, name+", killed", fsys.Kill().CrashKeepingAll(), w.taken)
			if done {
				break
			}
		}
	}
}

// A second power cut, during recovery from the first, is where frames that were torn, cut off and overwritten can
// show up again.
func TestF03PowerLossDuringRecoveryKeepsWhatWasSynced(t *testing.T) {
	t.Parallel()
	for first := 0; ; first++ {
		rng := rand.New(rand.NewPCG(3, uint64(first)))
		fsys := newFS(t)
		fsys.CutPowerAfter(first)
		w := newWitness()
		done := w.firstRun(fsys, 3) == nil
		for _, image := range images(fsys, rng, 4) {
			for second := 0; ; second++ {
				again, v := image.Crash(rng), w.clone()
				again.CutPowerAfter(second)
				done := v.nextRun(again, 10) == nil || !v.created
				name := fmt.Sprintf("cut after operations %d and %d", first, second)
				for _, left := range images(again, rng, 4) {
					v.check(t, name, left, v.synced)
					u := v.clone()
					if err := u.nextRun(left, 20); err != nil && u.created {
						t.Fatalf("%s: third run: %v", name, err)
					}
					u.check(t, name+", third run", left.CrashKeepingNothing(), u.synced)
				}
				if done {
					break
				}
			}
		}
		if done {
			break
		}
	}
}

func (w *witness) clone() *witness {
	c := newWitness()
	c.created, c.leases = w.created, slices.Clone(w.leases)
	for line, text := range w.tried {
		c.tried[line] = text
	}
	for line, text := range w.synced {
		c.taken[line], c.synced[line] = text, text
	}
	return c
}

func TestF09PowerLossDuringARescueKeepsWhatWasSynced(t *testing.T) {
	t.Parallel()
	for fault := range 6 {
		for cut := 0; ; cut++ {
			rng := rand.New(rand.NewPCG(uint64(fault), uint64(cut)))
			fsys := newFS(t)
			syncs := 0
			fsys.OnOp(func(op memfs.Op) error {
				if op.Kind == "sync" {
					if syncs++; syncs-1 == fault {
						return errors.New("input/output error")
					}
				}
				return nil
			})
			fsys.CutPowerAfter(cut)
			w := newWitness()
			err := w.firstRun(fsys, 3)
			name := fmt.Sprintf("sync %d fails, cut after operation %d", fault, cut)
			for i, image := range images(fsys, rng, 16) {
				w.check(t, fmt.Sprintf("%s, image %d", name, i), image, w.synced)
			}
			if !errors.Is(err, memfs.ErrPowerCut) {
				break
			}
		}
	}
}
