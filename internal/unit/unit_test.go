package unit_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/dispatch"
	"batchd/internal/journal"
	"batchd/internal/store"
	"batchd/internal/unit"
	"batchd/internal/vfs/memfs"
)

func TestSealedUnitHoldsEveryAnswerOnceInLineOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 25, 10)
	for ordinal, last := range []int{10, 20, 25} {
		u := w.open(ordinal)
		order := rand.New(rand.NewPCG(1, uint64(ordinal)))
		lines := take(u, -1)
		order.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		for _, l := range lines {
			loaded, err := u.Load(t.Context(), l)
			if err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf(`{"model":"m","messages":[{"role":"user","content":"%d"}]}`, l.Number); string(loaded.Body) != want {
				t.Errorf("body of line %d: got %s, want its exact bytes %s", l.Number, loaded.Body, want)
			}
			if _, err := u.Record(l.Number, loaded.CustomID, answer(l.Number)); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := w.seal(u).Ready, ordinal == 2; got != want {
			t.Errorf("unit %d: ready %v, want %v", ordinal, got, want)
		}
		w.check(ordinal, ordinal*10+1, last)
	}
	s := w.ledger.seals[0]
	if s.OutputLines != 7 || s.ErrorLines != 3 || s.Failed != 3 || s.Usage != (batch.Usage{Input: 10, Output: 20, Total: 30}) {
		t.Errorf("seal of ten lines, three of them refused: %+v", s)
	}
}

func TestD7RecordedLinesAreNotTakenAgainAfterKill(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 10, 10)
	w.run(w.open(0), 4)
	w.boot(w.disk.Kill())
	u := w.recoverUnit(4)
	if got := u.Left(); got != 6 {
		t.Errorf("%d lines left after the restart, want 6", got)
	}
	w.run(u, 3)
	w.boot(w.disk.Kill())
	u = w.recoverUnit(7)
	w.run(u, -1)
	w.seal(u)
	w.check(0, 1, 10)
}

// recoverUnit adopts the only journal and checks what it adds to the counts.
func (w *world) recoverUnit(outcomes int) *unit.Unit {
	w.t.Helper()
	found, err := w.keeper.Recover(w.t.Context(), "node")
	if err != nil || len(found) != 1 {
		w.t.Fatalf("recover: %d journals, %v; want one", len(found), err)
	}
	if c := found[0].Counts; c.Completed+c.Failed != int64(outcomes) {
		w.t.Errorf("the journal adds %+v, want %d outcomes", c, outcomes)
	}
	u, err := w.keeper.Resume(w.t.Context(), w.input, found[0])
	if err != nil {
		w.t.Fatal(err)
	}
	return u
}

func TestCountsAreShownOnlyWhenTheyAreDurable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 6, 6)
	u := w.open(0)
	w.run(u, 3)
	shown := func() batch.Counts { c, _ := w.progress.Counts(batchID); return c }
	if got := shown(); got != (batch.Counts{Total: 6}) {
		t.Errorf("before the sync: %+v, want nothing", got)
	}
	if err := w.keeper.Sync(); err != nil {
		t.Fatal(err)
	}
	if got := shown(); got != (batch.Counts{Total: 6, Completed: 2, Failed: 1}) {
		t.Errorf("after the sync: %+v", got)
	}
	w.run(u, -1)
	w.seal(u)
	if got := shown(); got != (batch.Counts{Total: 6, Completed: 4, Failed: 2}) {
		t.Errorf("after the seal: %+v", got)
	}
}

func TestSealingAgainAfterACrashMakesTheSameBytes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 9, 9)
	u := w.open(0)
	w.run(u, -1)
	stale := w.ledger.leases[0]
	w.ledger.leases[0] = batch.NewLeaseID() // the seal's commit is refused
	if _, err := u.Seal(t.Context(), batch.StopNone, nil); !errors.Is(err, store.ErrLeaseLost) {
		t.Fatalf("seal under a stale lease: %v, want ErrLeaseLost", err)
	}
	w.ledger.leases[0] = stale
	var keys []string
	if err := w.blobs.List(t.Context(), "segments/", func(i blob.Info) error { keys = append(keys, i.Key); return nil }); err != nil {
		t.Fatal(err)
	}
	again := w.open(0)
	w.run(again, -1)
	w.seal(again)
	if len(keys) != 1 || w.ledger.seals[0].Segment.Key != keys[0] {
		t.Errorf("second seal made %s, first %v: want the same bytes under the same key", w.ledger.seals[0].Segment.Key, keys)
	}
}

func TestAStoppedBatchsLinesAreToldWhatIsKnownUnlessTheDialectIsStrict(t *testing.T) {
	t.Parallel()
	for _, strict := range []bool{false, true} {
		w := newWorld(t, 2, 2)
		w.strict = strict
		u := w.open(0)
		if _, err := u.Seal(t.Context(), batch.StopCancel, map[uint32]string{2: batch.CodeCancelled.MessageInFlight()}); err != nil {
			t.Fatal(err)
		}
		_, failed := w.results(0)
		for line, told := range map[int]bool{1: false, 2: !strict} {
			want := batch.CodeCancelled.Message()
			if told {
				want = batch.CodeCancelled.MessageInFlight()
			}
			if got := strings.Split(failed, "\n")[line-1]; !strings.Contains(got, want) {
				t.Errorf("strict %v, line %d: %s, want %q in it", strict, line, got, want)
			}
		}
	}
}

func TestJournalsOfSealedUnitsAreRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4, 4)
	u := w.open(0)
	w.run(u, -1)
	before := w.disk.Kill() // as it is when the process ends right after the seal's commit
	w.seal(u)
	w.boot(before)
	w.recoverNothing()
	if left := w.names("journals"); len(left) != 0 {
		t.Errorf("journals %v are still there", left)
	}
	if lost := w.names("lost"); len(lost) != 0 {
		t.Errorf("journals %v are set aside", lost)
	}
}

func TestUnusableJournalIsKeptAsideAndItsLinesRunAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4, 4)
	f, err := w.disk.Create("journals/x.journal")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("this is no journal at all, but somebody's bytes")); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	if found, err := w.keeper.Recover(t.Context(), "node"); err != nil || len(found) != 0 {
		t.Fatalf("recover: %d journals, %v; want none", len(found), err)
	}
	if _, err := w.disk.Stat("journals/x.journal.unusable"); err != nil {
		t.Errorf("the file was not kept: %v", err)
	}
	if !strings.Contains(w.logs.String(), "level=ERROR") {
		t.Errorf("nobody was told: %s", w.logs)
	}
}

func TestF07DamagedRecordIsRunAgainAndAllOthersAreKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 10, 10)
	w.run(w.open(0), 8)
	image := w.disk.Kill()
	flip(t, image, "journals", `"n": 4}`)
	w.boot(image)
	u := w.recoverUnit(7)
	if got := u.Left(); got != 3 {
		t.Errorf("%d lines left, want the two that were not run and the damaged one", got)
	}
	if !strings.Contains(w.logs.String(), "journal is damaged") || !strings.Contains(w.logs.String(), "copy of the damaged journal kept") {
		t.Errorf("damage was not reported loudly: %s", w.logs)
	}
	w.run(u, -1)
	w.seal(u)
	w.check(0, 1, 10)
}

func TestF07DamageFoundWhileSealingIsRunAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 10, 10)
	u := w.open(0)
	w.run(u, -1)
	flip(t, w.disk, "journals", `"n": 7}`)
	_, err := u.Seal(t.Context(), batch.StopNone, nil)
	var missing *dispatch.Reopened
	if !errors.As(err, &missing) || missing.Lines != 1 {
		t.Fatalf("seal: %v, want one missing line", err)
	}
	if !u.Untaken() {
		t.Fatal("the missing line cannot be taken")
	}
	w.run(u, -1)
	w.seal(u)
	w.check(0, 1, 10)
}

// flip changes one bit in the middle of the text in the only file of a folder.
func flip(t *testing.T, fsys *memfs.FS, dir, text string) {
	t.Helper()
	entries, err := fsys.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("%s holds %d files, %v", dir, len(entries), err)
	}
	name := dir + "/" + entries[0].Name()
	f, err := fsys.OpenWrite(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	size, _ := f.Size()
	raw := make([]byte, size)
	if _, err := f.ReadAt(raw, 0); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	at := strings.Index(string(raw), text)
	if at < 0 {
		t.Fatalf("%q is not in %s", text, name)
	}
	raw[at+len(text)/2] ^= 1
	if err := f.Truncate(0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

func TestStoppedUnitGetsAnErrorLineForEveryLineThatHasNone(t *testing.T) {
	t.Parallel()
	for stop, code := range map[batch.Stop]string{batch.StopCancel: "batch_cancelled", batch.StopExpire: "batch_expired"} {
		w := newWorld(t, 8, 4)
		u := w.open(0)
		w.run(u, 2)
		if _, err := u.Seal(t.Context(), stop, nil); err != nil {
			t.Fatal(err)
		}
		untouched := w.ledger.lease(1)
		if r, err := w.keeper.Settle(t.Context(), w.input, []batch.Unit{untouched}, stop); err != nil || !r.Ready {
			t.Fatalf("settle: ready %v, %v", r.Ready, err)
		}
		for ordinal, want := range map[int][]string{
			0: {`"custom_id":"c3","response":null`, `"custom_id":"c4","response":null`},
			1: {`"custom_id":"c5"`, `"custom_id":"c6"`, `"custom_id":"c7"`, `"custom_id":"c8"`},
		} {
			_, failed := w.results(ordinal)
			lines := strings.Split(strings.TrimSpace(failed), "\n")
			if len(lines) != len(want) {
				t.Fatalf("%s: unit %d has %d error lines, want %d", stop, ordinal, len(lines), len(want))
			}
			for i, l := range lines {
				if !strings.Contains(l, want[i]) || !strings.Contains(l, `"code":"`+code+`"`) {
					t.Errorf("%s: unit %d, line %d: %s", stop, ordinal, i, l)
				}
			}
			if s := w.ledger.seals[ordinal]; s.Failed != 0 {
				t.Errorf("%s: %d lines of unit %d count as failed; they were never run", stop, s.Failed, ordinal)
			}
		}
	}
}

func TestD12DamagedInputIsNoticedBeforeALineIsSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4, 4)
	changed := w.input.Content[0].Blob
	changed.Sums = []uint32{changed.Sums[0] ^ 1} // as if a byte of the file had changed
	in := unit.NewInput(w.ledger.batch, batch.Manifest{}.Append(changed, 0, changed.Size), w.sound)
	u, err := w.keeper.Open(t.Context(), in, w.ledger.lease(0))
	if err != nil {
		t.Fatal(err)
	}
	l, _ := u.Take()
	if _, err := u.Load(t.Context(), l); !errors.Is(err, dispatch.ErrUnreadable) {
		t.Errorf("load from a damaged file: %v, want an error for good", err)
	}
	if _, err := u.Record(l.Number, nil, &batch.Outcome{Code: batch.CodeInputUnreadable, Message: "m"}); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Seal(t.Context(), batch.StopCancel, nil); err != nil {
		t.Fatalf("seal a unit whose lines cannot be read: %v", err)
	}
	_, failed := w.results(0)
	if n := strings.Count(failed, `"custom_id":null`); n != 4 {
		t.Errorf("%d of 4 lines without a readable custom_id: %s", n, failed)
	}
}

func TestD12DamagedPlanIsMadeAnewAndTheBatchGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 6, 6)
	sound := w.ledger.batch.Plan
	damaged := sound
	damaged.Key = "plans/damaged"
	if _, err := w.sound.Put(t.Context(), damaged.Key, strings.NewReader("not the plan")); err != nil {
		t.Fatal(err)
	}
	b := w.ledger.batch
	b.Plan = damaged
	w.input = unit.NewInput(b, w.input.Content, w.sound)
	if _, err := w.keeper.Open(t.Context(), w.input, w.ledger.lease(0)); !unit.Unreadable(err) {
		t.Fatalf("open with a damaged plan and nobody to make it anew: %v", err)
	}
	w.input.Replan = func(ctx context.Context) error {
		_, err := w.sound.Put(ctx, damaged.Key, w.sound.Open(ctx, sound, 0, sound.Size))
		return err
	}
	u := w.open(0)
	w.run(u, -1)
	w.seal(u)
	w.check(0, 1, 6)
}

func TestF09F10AFailedSyncLosesNothingAndABrokenDiskIsFatal(t *testing.T) {
	t.Parallel()
	eio := errors.New("input/output error")
	w := newWorld(t, 10, 10)
	u := w.open(0)
	w.run(u, 5)
	failures := 1
	w.disk.OnOp(func(op memfs.Op) error {
		if op.Kind == "sync" && failures > 0 {
			failures--
			return eio
		}
		return nil
	})
	if err := w.keeper.Sync(); err != nil {
		t.Fatalf("one failed sync: %v, want the journal rescued", err)
	}
	w.boot(w.disk.CrashKeepingNothing())
	u = w.recoverUnit(5)
	w.run(u, 2)
	w.disk.OnOp(func(op memfs.Op) error {
		if op.Kind == "sync" {
			return eio
		}
		return nil
	})
	if err := w.keeper.Sync(); !errors.Is(err, journal.ErrDiskFailed) {
		t.Fatalf("every sync fails: %v, want ErrDiskFailed", err)
	}
	w.boot(w.disk.CrashKeepingNothing())
	u = w.recoverUnit(5)
	w.run(u, -1)
	w.seal(u)
	w.check(0, 1, 10)
}

func TestLargeAnswersPassThroughWithoutBeingHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, 2)
	u := w.open(0)
	big := batch.MemoryBody(`"` + strings.Repeat("y", 3<<20) + `"`)
	for _, l := range take(u, -1) {
		o := &batch.Outcome{Status: 200, Body: spooled{big}}
		if _, err := u.Record(l.Number, []byte("c"), o); err != nil {
			t.Fatal(err)
		}
	}
	w.seal(u)
	output, _ := w.results(0)
	if n := strings.Count(output, string(big)); n != 2 {
		t.Errorf("the large body stands %d times in the output, want 2", n)
	}
}

// spooled is a body that is not in memory.
type spooled struct{ batch.MemoryBody }

// Bytes returns nil, as a file would.
func (spooled) Bytes() []byte { return nil }

func TestAfterAStopInOrderAPowerCutCostsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 10, 10)
	w.run(w.open(0), 4)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := w.keeper.Run(ctx); err != nil {
		t.Fatal(err)
	}
	w.boot(w.disk.CrashKeepingNothing())
	w.run(w.recoverUnit(4), -1)
}
