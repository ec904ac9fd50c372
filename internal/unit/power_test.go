package unit_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"batchd/internal/batch"
	"batchd/internal/unit"
	"batchd/internal/vfs/memfs"
)

// TestF04PowerLossAtEveryOperationLosesAndDoublesNothing runs a unit of one, two and three lines from its first
// record to its seal, cuts the power after each single disk operation, lets the disk keep different parts of what
// was not synced, and has a second process finish the work.
func TestF04PowerLossAtEveryOperationLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	for lines := 1; lines <= 3; lines++ {
		for after := 0; ; after++ {
			w := newWorld(t, lines, lines)
			fsys := w.disk
			before := fsys.Ops()
			fsys.CutPowerAfter(before + after)
			shown, finished := w.untilPowerCut()
			if finished {
				if after < 10 {
					t.Fatalf("a unit from its opening to its seal took %d disk operations: nothing was tested", after)
				}
				break
			}
			for image := range 6 {
				w.afterPowerCut(fmt.Sprintf("%d lines, cut after operation %d, image %d", lines, after, image),
					crashed(fsys, image), shown)
			}
		}
	}
}

// crashed returns one way the disk may look after the power cut.
func crashed(fsys *memfs.FS, image int) *memfs.FS {
	switch image {
	case 0:
		return fsys.CrashKeepingNothing()
	case 1:
		return fsys.CrashKeepingAll()
	default:
		return fsys.Crash(rand.New(rand.NewPCG(7, uint64(image))))
	}
}

// untilPowerCut runs the unit until an operation fails, and returns the counts that were shown by then, or that it
// reached its end.
func (w *world) untilPowerCut() (batch.Counts, bool) {
	ctx := context.Background()
	u := w.open(0)
	err := func() error {
		for u.Untaken() {
			if err := tryRun(ctx, u, 1); err != nil {
				return err
			}
			if err := w.keeper.Sync(); err != nil {
				return err
			}
		}
		_, err := u.Seal(ctx, batch.StopNone, nil)
		return err
	}()
	shown, _ := w.progress.Counts(batchID)
	if err != nil && !errors.Is(err, memfs.ErrPowerCut) {
		w.t.Fatalf("until the power cut: %v", err)
	}
	// A seal that was committed counts as the end even if the journal could not be removed any more.
	return shown, err == nil
}

// afterPowerCut boots from an image and finishes the batch: what was shown is still there, and every line ends up
// in the segment once.
func (w *world) afterPowerCut(name string, image *memfs.FS, shown batch.Counts) {
	w.t.Helper()
	seals, leases := w.ledger.seals, w.ledger.leases
	w.ledger.seals, w.ledger.leases = maps.Clone(seals), maps.Clone(leases)
	defer func() { w.ledger.seals, w.ledger.leases = seals, leases }()
	w.boot(image)
	found, err := w.keeper.Recover(context.Background(), "next")
	if err != nil {
		w.t.Fatalf("%s: recover: %v", name, err)
	}
	if _, sealed := w.ledger.seals[0]; !sealed {
		w.finish(name, found, shown)
	}
	w.check(0, 1, int(w.ledger.batch.Counts.Total))
}

func (w *world) finish(name string, found []*unit.Adopted, shown batch.Counts) {
	w.t.Helper()
	var u *unit.Unit
	var kept batch.Counts
	if len(found) == 1 {
		kept = found[0].Counts
		var err error
		if u, err = w.keeper.Resume(context.Background(), w.input, found[0]); err != nil {
			w.t.Fatalf("%s: resume: %v", name, err)
		}
	} else {
		u = w.open(0)
	}
	if kept.Completed < shown.Completed || kept.Failed < shown.Failed {
		w.t.Errorf("%s: counts %+v had been shown, %+v are left", name, shown, kept)
	}
	w.run(u, -1)
	if _, err := u.Seal(context.Background(), batch.StopNone, nil); err != nil {
		w.t.Fatalf("%s: seal: %v", name, err)
	}
}
