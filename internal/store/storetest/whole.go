package storetest

import (
	"context"
	"errors"
	"maps"
	"sync"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// wholeCases say what holds for the store as a whole: what outlasts a restart, and what callers may rely on who give up, come
// at the same time, or come after Close.
var wholeCases = []group{
	{"whole store", []test{
		{"keeps everything when it is closed and opened again", func(x *fixture) {
			minted, err := x.store.DefaultTenant(x.ctx)
			x.ok(err)
			x.start("b1", 3)
			units := x.take("b1", 2)
			x.seal(units[:1])
			x.start("b2", 1)
			x.seal(x.take("b2", 1))
			x.close("b2")
			x.create("b3")
			lease := x.lease(store.StageValidate, "b3")
			want := []batch.Batch{x.read("b1"), x.read("b2"), x.read("b3")}
			x.reopen()
			x.same([]batch.Batch{x.read("b1"), x.read("b2"), x.read("b3")}, want)
			again, err := x.store.DefaultTenant(x.ctx)
			x.ok(err)
			x.same(again, minted)
			x.same(len(minted), 36)
			x.same(x.live(), map[batch.LeaseID]bool{units[1].Lease: true, lease: true})
			x.same(x.free("uploads/in-b1", "plans/b1", segmentKey(units[0]), "segments/b2/a"), []string(nil))
			x.ok(x.store.StartBatch(x.ctx, x.newStart("b3", lease, 1)))
			x.seal(append(x.take("b1", 1), units[1]))
			x.same(x.read("b1").Status, batch.Finalizing)
		}},
		// A cursor over a purged file must not turn up in the middle of newer ones.
		{"never gives a sequence number twice", func(x *fixture) {
			x.createFiles("f1", "f2")
			f, err := x.store.File(x.ctx, tenant, "f2", x.now)
			x.ok(err)
			x.ok(x.store.DeleteFile(x.ctx, tenant, "f2", x.now))
			x.same(x.purge(), 1)
			x.reopen()
			x.createFiles("f2")
			g, err := x.store.File(x.ctx, tenant, "f2", x.now)
			x.ok(err)
			if g.Seq <= f.Seq {
				x.Errorf("sequence number %d came after %d", g.Seq, f.Seq)
			}
		}},
		// A start may hold tens of thousands of units, more than one statement takes.
		{"carries a batch of 20,000 units", func(x *fixture) {
			const units = 20_000
			x.start("b1", units)
			b := x.read("b1")
			x.same([]any{b.Units, b.Counts.Total}, []any{units, int64(10 * units)})
			got := x.take("b1", units)
			for i, span := range spans(units) {
				if got[i].UnitSpan != span || got[i].Ordinal != i {
					x.Fatalf("unit %d is %+v, want %+v", i, got[i], span)
				}
			}
			for first := 0; first < units; first += 1000 {
				x.seal(got[first : first+1000])
			}
			seals, err := x.store.SealedUnits(x.ctx, "b1", 15_000, units)
			x.ok(err)
			x.same(len(seals), 5_000)
			x.same(seals[0], newSeal(got[15_000]))
			out := x.newResult("b1", "out")
			for _, u := range got {
				out.Blobs = append(out.Blobs, segmentKey(u))
			}
			_, err = x.store.CloseBatch(x.ctx, store.Close{
				Batch: "b1", Lease: x.lease(store.StageFinalize, "b1"), Now: x.now, Output: out,
			})
			x.ok(err)
			x.same(x.free(segmentKey(got[0]), segmentKey(got[units-1])), []string(nil))
		}},
	}},
	{"callers", []test{
		// The caller has given up, and will not hear of what was done.
		{"does nothing for a context that has ended", func(x *fixture) {
			x.start("b1", 1)
			want := x.read("b1")
			ended, cancel := context.WithCancel(x.ctx)
			cancel()
			for name, err := range x.everyMethod(ended) {
				if !errors.Is(err, context.Canceled) {
					x.Errorf("%s answered %v", name, err)
				}
			}
			x.same(x.read("b1"), want)
			x.same(x.fileIDs(store.FileQuery{Limit: 9}), []string{"in-b1"})
		}},
		// Steps of several callers share a transaction: one that gives up must not take the others along.
		{"outlives callers that give up half-way", func(x *fixture) {
			x.start("b1", 50)
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for range 25 {
						ctx, cancel := context.WithCancel(x.ctx)
						wg.Go(cancel)
						x.quietly(x.store.LeaseUnits(ctx, "b1", node, 1))
						x.quietly(x.store.ListBatches(ctx, tenant, store.BatchQuery{Limit: 5}))
					}
				})
			}
			wg.Wait()
			leased := len(x.live())
			rest, err := x.store.LeaseUnits(x.ctx, "b1", node, 50)
			x.ok(err)
			x.same(leased+len(rest), 50)
		}},
		// Half a seal would show users counts that go back later.
		{"reads beside writes see whole steps only", func(x *fixture) {
			x.start("b1", 100)
			units := x.take("b1", 100)
			done := make(chan struct{})
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() {
					for last := 0; ; {
						b, err := x.store.Batch(x.ctx, tenant, "b1")
						if err != nil || b.SealedUnits < last || b.Counts.Completed != 7*int64(b.SealedUnits) {
							x.Errorf("read %d sealed after %d, counts %+v, error %v", b.SealedUnits, last, b.Counts, err)
							return
						}
						last = b.SealedUnits
						select {
						case <-done:
							return
						default:
						}
					}
				})
			}
			for _, u := range units {
				x.seal([]batch.Unit{u})
			}
			close(done)
			wg.Wait()
		}},
		{"after it was closed every method fails, and closing again does not", func(x *fixture) {
			x.start("b1", 1)
			x.ok(x.store.Close())
			x.ok(x.store.Close())
			for name, err := range x.everyMethod(x.ctx) {
				if err == nil {
					x.Errorf("%s worked on a closed store", name)
				}
			}
		}},
	}},
}

// quietly ignores the outcome of a call that may have been given up, unless it is an error of another kind.
func (x *fixture) quietly(_ any, err error) {
	x.Helper()
	if err != nil && !errors.Is(err, context.Canceled) {
		x.Errorf("unexpected error: %v", err)
	}
}

// everyMethod calls each method that reaches the disk once and returns what it answered.
func (x *fixture) everyMethod(ctx context.Context) map[string]error {
	s, h := x.store, store.Holder{Node: node, Lease: batch.NewLeaseID()}
	unit := batch.Unit{UnitID: batch.UnitID{Batch: "b1"}, Lease: h.Lease}
	errs := make(map[string]error)
	note := func(name string, results ...any) {
		err, _ := results[len(results)-1].(error)
		errs[name] = err
	}
	pair := func(v any, err error) []any { return []any{v, err} }
	note("CreateFile", s.CreateFile(ctx, x.newFile("f9")))
	note("File", pair(s.File(ctx, tenant, "in-b1", x.now))...)
	note("ListFiles", pair(s.ListFiles(ctx, tenant, store.FileQuery{Limit: 1, Now: x.now}))...)
	note("DeleteFile", s.DeleteFile(ctx, tenant, "in-b1", x.now))
	b := x.newBatch("b9")
	b.InputFileID = "in-b1"
	note("CreateBatch", s.CreateBatch(ctx, b))
	b.ID = "b10"
	note("CreateBatchOnce", pair(s.CreateBatchOnce(ctx, b, callOf("k", "call")))...)
	note("BatchOfKey", pair(s.BatchOfKey(ctx, tenant, callOf("k", "call"), x.now))...)
	note("Batch", pair(s.Batch(ctx, tenant, "b1"))...)
	note("ListBatches", pair(s.ListBatches(ctx, tenant, store.BatchQuery{Limit: 1}))...)
	note("ListAllBatches", pair(s.ListAllBatches(ctx, "", 1))...)
	note("Probe", s.Probe(ctx))
	note("CreateFailedBatch", pair(s.CreateFailedBatch(ctx, x.newBatch("b11"), nil))...)
	note("CreateFailedBatchOnce", pair(s.CreateFailedBatchOnce(ctx, x.newBatch("b12"), callOf("k2", "call"), nil))...)
	note("EditBatch", pair(s.EditBatch(ctx, tenant, "b1", remark("edited"), x.now))...)
	note("CancelBatch", pair(s.CancelBatch(ctx, tenant, "b1", x.now))...)
	note("LeaseBatch", pair(s.LeaseBatch(ctx, store.StageValidate, h))...)
	note("ReleaseBatch", s.ReleaseBatch(ctx, "b1", h.Lease))
	note("InputFile", pair(s.InputFile(ctx, "b1"))...)
	note("StartBatch", s.StartBatch(ctx, x.newStart("b1", h.Lease, 1)))
	note("FailBatch", s.FailBatch(ctx, x.failure("b1", h.Lease)))
	note("RunningBatches", pair(s.RunningBatches(ctx))...)
	note("BatchByID", pair(s.BatchByID(ctx, "b1"))...)
	note("LeaseUnits", pair(s.LeaseUnits(ctx, "b1", node, 1))...)
	note("AdoptUnit", pair(s.AdoptUnit(ctx, unit.UnitID, []batch.LeaseID{h.Lease}, h))...)
	note("ReclaimUnits", pair(s.ReclaimUnits(ctx, "node-2"))...)
	note("SealUnits", pair(s.SealUnits(ctx, newSeals([]batch.Unit{unit}), x.now))...)
	note("SealedUnits", pair(s.SealedUnits(ctx, "b1", 0, 1))...)
	note("CloseBatch", pair(s.CloseBatch(ctx, store.Close{Batch: "b1", Lease: h.Lease, Now: x.now}))...)
	note("ExpireBatches", pair(s.ExpireBatches(ctx, x.now.Add(window)))...)
	note("SettleWindows", pair(s.SettleWindows(ctx, 0))...)
	note("SaveTime", s.SaveTime(ctx, x.now, 0))
	_, _, errs["LastTime"] = s.LastTime(ctx)
	note("DeleteExpiredFiles", pair(s.DeleteExpiredFiles(ctx, x.now, 1))...)
	note("HiddenFiles", pair(s.HiddenFiles(ctx, store.HiddenQuery{Limit: 1}))...)
	note("LastReferences", pair(s.LastReferences(ctx, []string{"f"}))...)
	note("PurgeFiles", pair(s.PurgeFiles(ctx, []string{"f"}))...)
	note("DroppedBlobs", pair(s.DroppedBlobs(ctx, x.now, x.now, 1))...)
	note("ForgetDroppedBlobs", s.ForgetDroppedBlobs(ctx, []string{"k"}))
	note("Freeing", pair(s.Freeing(ctx, tenant, x.now))...)
	note("ForgetIdempotencyKeys", pair(s.ForgetIdempotencyKeys(ctx, x.now.Add(1), 1))...)
	note("Unreferenced", pair(s.Unreferenced(ctx, []string{"k"}))...)
	note("BlobOwners", pair(s.BlobOwners(ctx, []string{"k"}))...)
	note("ScrubState", pair(s.ScrubState(ctx))...)
	note("SaveScrub", s.SaveScrub(ctx, store.ScrubState{}))
	note("FilesFrom", pair(s.FilesFrom(ctx, 0, 1))...)
	note("RecordDamage", pair(s.RecordDamage(ctx, store.Damage{File: "f1"}))...)
	note("ForgetDamage", s.ForgetDamage(ctx, x.now))
	note("DropDamage", s.DropDamage(ctx, "f1", "k"))
	note("Damages", pair(s.Damages(ctx, 1))...)
	note("LiveLeases", pair(s.LiveLeases(ctx))...)
	maps.Copy(errs, x.webhookCalls(ctx))
	maps.Copy(errs, x.accessCalls(ctx))
	return errs
}

// webhookCalls calls each method of store.Webhooks once and returns what it answered.
func (x *fixture) webhookCalls(ctx context.Context) map[string]error {
	s := x.store
	errs := map[string]error{
		"AddWebhook":    s.AddWebhook(ctx, x.newWebhook("we_9")),
		"RemoveWebhook": s.RemoveWebhook(ctx, "we_9"),
		"RotateWebhook": s.RotateWebhook(ctx, "we_9", "whsec_9", x.now),
		"RecordAttempt": s.RecordAttempt(ctx, store.Attempt{Delivery: "wh_9", State: store.DeliveryDone, Now: x.now}),
	}
	_, errs["ListWebhooks"] = s.ListWebhooks(ctx, tenant)
	_, errs["Webhook"] = s.Webhook(ctx, "we_9")
	_, _, errs["CallbackSecret"] = s.CallbackSecret(ctx, tenant)
	errs["EnableWebhook"] = s.EnableWebhook(ctx, "we_9")
	errs["RotateCallbackSecret"] = s.RotateCallbackSecret(ctx, tenant, "whsec_9", x.now)
	_, errs["ReclaimDeliveries"] = s.ReclaimDeliveries(ctx, x.now)
	_, errs["AdvanceDeliveries"] = s.AdvanceDeliveries(ctx, x.now, x.now)
	_, errs["Redeliver"] = s.Redeliver(ctx, "wh_9", x.now)
	_, errs["LeaseDeliveries"] = s.LeaseDeliveries(ctx, x.now, x.now, 1)
	_, errs["ListDeliveries"] = s.ListDeliveries(ctx, store.DeliveryQuery{Limit: 1})
	_, errs["ForgetDeliveries"] = s.ForgetDeliveries(ctx, x.now, 1)
	return errs
}

// accessCalls calls each method of store.Tenants and store.Uploads once and returns what it answered.
func (x *fixture) accessCalls(ctx context.Context) map[string]error {
	s := x.store
	errs := map[string]error{
		"CreateTenant": s.CreateTenant(ctx, x.newTenant(tenant, "n")),
		"SetTenant":    s.SetTenant(ctx, x.newTenant(tenant, "n")),
		"CreateKey":    s.CreateKey(ctx, x.newKey("key_9")),
		"EndKey":       s.EndKey(ctx, "key_9", x.now),
		"CreateUpload": s.CreateUpload(ctx, x.newUpload("u9", 1)),
		"AddPart":      s.AddPart(ctx, tenant, x.newPart("u9", "p9", 1), x.now),
	}
	_, errs["Tenant"] = s.Tenant(ctx, tenant)
	_, errs["TenantNamed"] = s.TenantNamed(ctx, "n")
	_, errs["ListTenants"] = s.ListTenants(ctx)
	_, errs["Usage"] = s.Usage(ctx, tenant, x.now)
	_, errs["StorageLeft"] = s.StorageLeft(ctx, tenant)
	_, _, errs["Key"] = s.Key(ctx, "key_9")
	_, errs["ListKeys"] = s.ListKeys(ctx, "")
	_, errs["HasKeys"] = s.HasKeys(ctx)
	_, _, errs["Upload"] = s.Upload(ctx, tenant, "u9", x.now)
	_, errs["Parts"] = s.Parts(ctx, tenant, "u9")
	_, _, errs["CompleteUpload"] = s.CompleteUpload(ctx, tenant, "u9", x.fileOf("u9"), x.now)
	_, errs["CancelUpload"] = s.CancelUpload(ctx, tenant, "u9", x.now)
	_, errs["ExpireUploads"] = s.ExpireUploads(ctx, x.now, 1)
	_, errs["ForgetUploads"] = s.ForgetUploads(ctx, x.now, 1)
	return errs
}
