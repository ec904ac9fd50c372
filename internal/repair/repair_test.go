package repair_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/repair"
	"batchd/internal/store"
)

func TestNothingIsDoneWhereNothingIsWrong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repair()
	w.start("batch_a", 2*perUnit)
	units, err := w.store.LeaseUnits(t.Context(), "batch_a", "node", 2)
	must(t, err)
	if len(units) != 2 {
		t.Fatalf("%d units", len(units))
	}
	w.repair()
	w.did()
}

func TestD12AJournalIsAdoptedIfItsLinesAreThoseOfItsUnit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start("batch_a", 3*perUnit)
	_, err := w.store.LeaseUnits(t.Context(), "batch_a", "node", 1) // the others were never leased
	must(t, err)
	w.journal("batch_a", 0, w.lines("batch_a", 0)[:10])
	w.journal("batch_a", 0, w.lines("batch_a", 0)[:20])
	w.journal("batch_a", 1, append(w.lines("batch_a", 1)[:30], 7)) // a line of another unit
	w.journal("batch_a", 2, nil)
	w.journal("batch_a", 3, []uint32{1})
	w.repair()
	w.did("adopt journal batch_a/0 20", "set aside journal batch_a/0 10", "set aside journal batch_a/1 31",
		"set aside journal batch_a/2 0", "set aside journal batch_a/3 1")
	adopted, err := w.store.AdoptUnit(t.Context(), batch.UnitID{Batch: "batch_a"}, []batch.LeaseID{w.unit("batch_a", 0).Lease},
		store.Holder{Node: "next", Lease: batch.NewLeaseID()})
	if err != nil || adopted.Ordinal != 0 {
		t.Errorf("the next start adopts %+v, %v", adopted, err)
	}
}

func TestD12ASegmentSealsItsUnitIfItIsWholeAndHasJustItsLines(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start("batch_a", 4*perUnit)
	w.segment("batch_a", 0, w.lines("batch_a", 0))
	w.journal("batch_a", 0, w.lines("batch_a", 0)[:10]) // a leftover then
	w.damage(w.segment("batch_a", 1, w.lines("batch_a", 1)))
	w.journal("batch_a", 1, w.lines("batch_a", 1)[:5])
	w.segment("batch_a", 2, w.lines("batch_a", 2)[:perUnit-1])
	w.segment("batch_a", 9, w.lines("batch_a", 3))
	w.repair()
	w.did("seal segment batch_a/0 1000", "adopt journal batch_a/1 5", "set aside segment batch_a/1 0",
		"set aside segment batch_a/2 999", "set aside segment batch_a/9 1000")
	seal := w.unit("batch_a", 0).Seal
	if seal == nil {
		t.Fatal("unit 0 is not sealed")
	}
	want := batch.Usage{Input: 2700, Output: 3600, Total: 6300}
	if seal.OutputLines != 900 || seal.ErrorLines != 100 || seal.Failed != 100 || seal.Usage != want {
		t.Errorf("sealed as %+v, want usage %+v", seal, want)
	}
	r := w.blobs.Open(t.Context(), seal.Segment, 0, seal.OutputBytes)
	defer func() { _ = r.Close() }()
	raw := make([]byte, 20)
	if _, err := r.Read(raw); err != nil || string(raw) != `{"custom_id":"c1","r` {
		t.Errorf("the segment begins %q, %v", raw, err)
	}
	b, err := w.store.BatchByID(t.Context(), "batch_a")
	if err != nil || b.SealedUnits != 1 || b.Counts.Completed != 900 || b.Counts.Failed != 100 {
		t.Errorf("the batch is %+v, %v", b.Counts, err)
	}
}

func TestTheLastSegmentMakesItsBatchReady(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start("batch_a", perUnit/2)
	w.segment("batch_a", 0, w.lines("batch_a", 0))
	w.repair()
	if b, err := w.store.BatchByID(t.Context(), "batch_a"); err != nil || b.Status != batch.Finalizing {
		t.Errorf("the batch is %s, %v", b.Status, err)
	}
}

func TestD12ABatchBackBeforeValidationIsStartedAgainIfItHasResults(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create("batch_a", 10) // validated by the next start, as ever
	w.create("batch_b", 2*perUnit)
	w.segment("batch_b", 0, w.lines("batch_b", 0))
	w.journal("batch_b", 1, w.lines("batch_b", 1)[:100])
	w.repair()
	w.did("start database batch_b", "seal segment batch_b/0 1000", "adopt journal batch_b/1 100")
	b, err := w.store.LeaseBatch(t.Context(), store.StageValidate, store.Holder{Node: "next", Lease: batch.NewLeaseID()})
	if err != nil || b.ID != "batch_a" {
		t.Errorf("%s is validated, %v", b.ID, err)
	}
}

func TestABatchThatCannotBeStartedAgainHasItsResultsSetAside(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(w *world){
		"it was cancelled": func(w *world) {
			_, err := w.store.CancelBatch(w.t.Context(), w.tenant, "batch_a", now)
			must(w.t, err)
		},
		"its input is damaged": func(w *world) {
			f, err := w.store.InputFile(w.t.Context(), "batch_a")
			must(w.t, err)
			w.damage(f.Content[0].Blob.Key)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.create("batch_a", perUnit)
			w.journal("batch_a", 0, w.lines("batch_a", 0)[:10])
			w.segment("batch_a", 0, w.lines("batch_a", 0))
			harm(w)
			w.repair()
			w.did("set aside journal batch_a/0 10", "set aside segment batch_a/0 1000")
			if _, err := w.store.LeaseBatch(t.Context(), store.StageValidate, store.Holder{Node: "next", Lease: batch.NewLeaseID()}); err != nil {
				t.Errorf("the next start cannot take it: %v", err)
			}
		})
	}
}

func TestD12WhatNoRowKnowsIsSetAside(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start("batch_a", 10)
	w.create("batch_x", perUnit)
	lease := batch.NewLeaseID().String()
	for _, key := range []string{
		blob.BatchKey("plans", "batch_y", lease), "manifests/batch_y/" + lease + "-output", "files/batch_y-" + lease + "-error",
		blob.RandomKey(blob.Files), "manifests/batch_a/" + lease + "-output",
	} {
		_, err := w.blobs.Put(t.Context(), key, strings.NewReader("x"))
		must(t, err)
	}
	w.planned["batch_y"], w.units["batch_y"] = w.planned["batch_x"], w.units["batch_x"]
	w.segment("batch_y", 0, w.lines("batch_y", 0))
	w.journal("batch_y", 0, w.lines("batch_y", 0)[:3])
	w.repair()
	w.did("set aside journal batch_y/0 3", "set aside result batch_y", "set aside manifest batch_y", "set aside plan batch_y",
		"set aside segment batch_y/0 1000")
	w.done = nil
	w.repair(func(o *repair.Options) { o.LostTime = true })
	w.did("set aside upload")
}

func TestAnOlderDatabaseThatIsAcceptedTakesNothingIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start("batch_a", 2*perUnit)
	w.segment("batch_a", 0, w.lines("batch_a", 0))
	w.journal("batch_a", 1, w.lines("batch_a", 1)[:10])
	w.create("batch_b", perUnit)
	w.journal("batch_b", 0, w.lines("batch_b", 0)[:10])
	w.repair(func(o *repair.Options) { o.AcceptOlder = true })
	w.did("set aside journal batch_b/0 10", "set aside segment batch_a/0 1000", "set aside journal batch_a/1 10")
}

// TestARepairThatIsCutShortCanBeRunAgain ends it after each action.
func TestARepairThatIsCutShortCanBeRunAgain(t *testing.T) {
	t.Parallel()
	cut := errors.New("cut short")
	for after := 1; ; after++ {
		w := newWorld(t)
		w.create("batch_a", 3*perUnit)
		w.segment("batch_a", 0, w.lines("batch_a", 0))
		w.journal("batch_a", 1, w.lines("batch_a", 1)[:10])
		w.journal("batch_a", 2, []uint32{1})
		w.journal("batch_x", 0, []uint32{1})
		n := 0
		err := w.tryRepair(func(o *repair.Options) {
			report := o.Report
			o.Report = func(a repair.Action) error {
				if n++; n == after {
					return errors.Join(report(a), cut)
				}
				return report(a)
			}
		})
		if err != nil && !errors.Is(err, cut) {
			t.Fatal(err)
		}
		w.repair()
		w.did("start database batch_a", "seal segment batch_a/0 1000", "adopt journal batch_a/1 10", "set aside journal batch_a/2 1",
			"set aside journal batch_x/0 1")
		if err == nil {
			return
		}
	}
}

func TestARepairEndsWithItsContext(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start("batch_a", perUnit)
	w.segment("batch_a", 0, w.lines("batch_a", 0))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := repair.Run(ctx, repair.Options{Disk: w.fsys, Store: w.store, Objects: w.objects, Blobs: w.blobs})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
