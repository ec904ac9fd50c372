package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// The names that tests use unless they say otherwise.
const (
	tenant   = "6d1f6b4e-0000-4000-8000-000000000001"
	stranger = "6d1f6b4e-0000-4000-8000-000000000002"
	node     = "node-1"
	window   = 24 * time.Hour
)

// start is when every test begins. It is not a whole second, so that a lost fraction is noticed.
var start = time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC)

// fixture is a store and shorthands for bringing it into a state. Shorthands fail the test when a step fails.
type fixture struct {
	testing.TB
	open  Opener
	place string
	store store.Store
	ctx   context.Context
	// now is the test's clock. A store has none of its own: times are passed in.
	now time.Time
}

func newFixture(t testing.TB, open Opener) *fixture {
	t.Helper()
	place := t.TempDir()
	x := &fixture{TB: t, open: open, place: place, store: open(t, place), ctx: t.Context(), now: start}
	t.Cleanup(func() {
		if err := x.store.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	return x
}

// fresh returns a fixture on another, empty store.
func (x *fixture) fresh() *fixture { return newFixture(x.TB, x.open) }

// reopen closes the store and opens it again.
func (x *fixture) reopen() {
	x.Helper()
	x.ok(x.store.Close())
	x.store = x.open(x.TB, x.place)
}

// tick lets a second pass and returns the new time.
func (x *fixture) tick() time.Time {
	x.now = x.now.Add(time.Second)
	return x.now
}

func (x *fixture) ok(err error) {
	x.Helper()
	if err != nil {
		x.Fatalf("unexpected error: %v", err)
	}
}

// fails checks that err wraps want.
func (x *fixture) fails(err, want error) {
	x.Helper()
	if !errors.Is(err, want) {
		x.Fatalf("got error %v, want %v", err, want)
	}
}

// same checks that two values are equal; nil and empty lists are.
func (x *fixture) same(got, want any) {
	x.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		x.Fatalf("not as it should be (-want +got):\n%s", diff)
	}
}

// blob returns a reference to a made-up object.
func blob(key string, size int64) batch.Blob {
	sums := make([]uint32, (size+batch.BlobBlock-1)/batch.BlobBlock)
	for i := range sums {
		sums[i] = uint32(i)*2654435761 + uint32(len(key))
	}
	return batch.Blob{Key: key, Size: size, Sums: sums}
}

// newFile returns an uploaded file of 1,000 bytes.
func (x *fixture) newFile(id string) batch.File {
	b := blob("uploads/"+id, 1000)
	return batch.File{
		ID: id, Tenant: tenant, Dialect: "openai", Name: id + ".jsonl", Purpose: batch.PurposeBatch,
		Bytes: 1000, Lines: 10, CreatedAt: x.now, Content: batch.Manifest{}.Append(b, 0, 1000),
	}
}

// createFiles stores uploaded files of these ids.
func (x *fixture) createFiles(ids ...string) {
	x.Helper()
	for _, id := range ids {
		x.ok(x.store.CreateFile(x.ctx, x.newFile(id)))
	}
}

// newBatch returns a batch over the file "in-<id>".
func (x *fixture) newBatch(id string) batch.Batch {
	return batch.Batch{
		ID: id, Tenant: tenant, KeyID: "key_1", Dialect: "openai", Endpoint: "/v1/chat/completions",
		InputFileID: "in-" + id, Window: "24h", CreatedAt: x.now, ExpiresAt: x.now.Add(window),
	}
}

// create stores a batch and its input file.
func (x *fixture) create(id string) {
	x.Helper()
	x.createFiles("in-" + id)
	x.ok(x.store.CreateBatch(x.ctx, x.newBatch(id)))
}

// read returns the batch as it is.
func (x *fixture) read(id string) batch.Batch {
	x.Helper()
	b, err := x.store.BatchByID(x.ctx, id)
	x.ok(err)
	return b
}

// lease leases the batch id for a stage, passing over others that are due.
func (x *fixture) lease(stage store.Stage, id string) batch.LeaseID {
	x.Helper()
	var passed []store.Holder
	var passedIDs []string
	for {
		h := store.Holder{Node: node, Lease: batch.NewLeaseID()}
		b, err := x.store.LeaseBatch(x.ctx, stage, h)
		x.ok(err)
		if b.ID == id {
			for i, p := range passed {
				x.ok(x.store.ReleaseBatch(x.ctx, passedIDs[i], p.Lease))
			}
			return h.Lease
		}
		passed, passedIDs = append(passed, h), append(passedIDs, b.ID)
	}
}

// spans returns n units of ten lines each, of two models in turn.
func spans(n int) []batch.UnitSpan {
	units := make([]batch.UnitSpan, n)
	for i := range units {
		units[i] = batch.UnitSpan{First: int64(i) * 10, Count: 10, Model: i % 2, Bytes: 1000 + int64(i)}
	}
	return units
}

// newStart is what validation of n units found out.
func (x *fixture) newStart(id string, lease batch.LeaseID, n int) store.Start {
	return store.Start{
		Batch: id, Lease: lease, Now: x.now, Units: spans(n), Total: int64(n) * 10,
		Plan: blob("plans/"+id, 32*10*int64(n)), Models: []string{"m0", "m1"}, InLineOrder: true,
	}
}

// start creates a batch and starts it with n units.
func (x *fixture) start(id string, n int) {
	x.Helper()
	x.create(id)
	x.ok(x.store.StartBatch(x.ctx, x.newStart(id, x.lease(store.StageValidate, id), n)))
}

// take leases n units.
func (x *fixture) take(id string, n int) []batch.Unit {
	x.Helper()
	units, err := x.store.LeaseUnits(x.ctx, id, node, n)
	x.ok(err)
	if len(units) != n {
		x.Fatalf("leased %d units, want %d", len(units), n)
	}
	return units
}

// newSeal is the result of a unit of ten lines: seven answers, two failures, one that never ran.
func newSeal(u batch.Unit) batch.Seal {
	return batch.Seal{
		UnitID: u.UnitID, Lease: u.Lease, Segment: blob(segmentKey(u), 3<<20),
		OutputBytes: 700, OutputLines: 7, ErrorBytes: 300, ErrorLines: 3, Failed: 2,
		Usage: batch.Usage{Input: 100, Cached: 20, Output: 30, Reasoning: 4, Total: 130 + int64(u.Ordinal)},
	}
}

func segmentKey(u batch.Unit) string {
	return fmt.Sprintf("segments/%s/%d/%s", u.Batch, u.Ordinal, u.Lease)
}

func newSeals(units []batch.Unit) []batch.Seal {
	seals := make([]batch.Seal, len(units))
	for i, u := range units {
		seals[i] = newSeal(u)
	}
	return seals
}

// seal seals units.
func (x *fixture) seal(units []batch.Unit) store.SealResult {
	x.Helper()
	result, err := x.store.SealUnits(x.ctx, newSeals(units), x.now)
	x.ok(err)
	return result
}

// newResult is a result file over two segments, named id.
func (x *fixture) newResult(batchID, id string) *store.ResultFile {
	keys := []string{"segments/" + batchID + "/a", "segments/" + batchID + "/b"}
	m := batch.Manifest{}.Append(blob(keys[0], 100), 10, 50).Append(blob(keys[1], 100), 0, 60)
	f := batch.File{
		ID: id, Tenant: tenant, Dialect: "openai", Name: batchID + "_output.jsonl", Purpose: batch.PurposeBatchOutput,
		Bytes: m.Size(), Lines: 7, CreatedAt: x.now, ExpiresAt: x.now.Add(48 * time.Hour), Content: m,
	}
	return &store.ResultFile{File: f, Blobs: keys}
}

// close closes a batch that is due, with both result files if it ever started.
func (x *fixture) close(id string) batch.Batch {
	x.Helper()
	c := store.Close{Batch: id, Now: x.now}
	if x.read(id).Units == 0 {
		c.Lease = x.lease(store.StageValidate, id)
	} else {
		c.Lease = x.lease(store.StageFinalize, id)
		c.Output, c.Error = x.newResult(id, "out-"+id), x.newResult(id, "err-"+id)
	}
	b, err := x.store.CloseBatch(x.ctx, c)
	x.ok(err)
	return b
}

// cancel cancels a batch.
func (x *fixture) cancel(id string) {
	x.Helper()
	_, err := x.store.CancelBatch(x.ctx, tenant, id, x.now)
	x.ok(err)
}

// expire lets the window of every batch pass.
func (x *fixture) expire() []string {
	x.Helper()
	ids, err := x.store.ExpireBatches(x.ctx, x.now.Add(window))
	x.ok(err)
	return ids
}

// free returns those of the keys that nothing refers to.
func (x *fixture) free(keys ...string) []string {
	x.Helper()
	free, err := x.store.Unreferenced(x.ctx, keys)
	x.ok(err)
	return free
}

// odd is text that a careless store loses: NUL, quotes, other planes, a right-to-left mark, combining letters.
var odd = strings.Join([]string{"a\x00b", `'"\;--`, "naïve 数据 🧪", "\u200f", "e\u0301", "\ufeff"}, "|")
