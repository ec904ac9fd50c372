package storetest

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// refused checks that err is a quota's, and all that it says; how much was asked for and taken only where that is
// expected.
func (x *fixture) refused(err error, want store.QuotaError) {
	x.Helper()
	var got *store.QuotaError
	if !errors.As(err, &got) {
		x.Fatalf("got error %v, want %v", err, &want)
	}
	if want.Asked == 0 {
		got.Asked = 0
	}
	if want.Used == 0 {
		got.Used = 0
	}
	x.same(*got, want)
}

// another creates a batch over the file "input", which must be there.
func (x *fixture) another(id string) error {
	b := x.newBatch(id)
	b.InputFileID = "input"
	return x.store.CreateBatch(x.ctx, b)
}

// quotaCases say where each quota stops a tenant. Most try one less, exactly as much, and one more.
var quotaCases = []group{
	{"quotas of storage", []test{
		{"files are taken up to the limit and not beyond, until one goes", func(x *fixture) {
			x.limit(tenant, store.Limits{Files: 2})
			x.createFiles("f1", "f2")
			full := store.QuotaError{Quota: store.QuotaFiles, Limit: 2}
			x.refused(x.store.CreateFile(x.ctx, x.newFile("f3")), full)
			x.same(x.free("uploads/f3"), []string{"uploads/f3"})
			x.ok(x.store.DeleteFile(x.ctx, tenant, "f1", x.now))
			x.createFiles("f3")
			x.refused(x.store.CreateFile(x.ctx, x.newFile("f4")), full)
			x.same(x.fileIDs(store.FileQuery{Limit: 9}), []string{"f3", "f2"})
		}},
		{"bytes are taken up to the limit and not beyond, until some are gone", func(x *fixture) {
			x.limit(tenant, store.Limits{StoredBytes: 2500})
			x.createFiles("f1", "f2")
			full := store.QuotaError{Quota: store.QuotaStoredBytes, Limit: 2500}
			for bytes, fits := range map[int64]bool{501: false, math.MaxInt64: false, 0: true, 500: true} {
				f := x.newFile(fmt.Sprint(bytes))
				f.Bytes = bytes
				if err := x.store.CreateFile(x.ctx, f); fits {
					x.ok(err)
				} else {
					x.refused(err, full)
				}
			}
			x.refused(x.store.CreateFile(x.ctx, x.newFile("f3")), full)
			x.ok(x.store.DeleteFile(x.ctx, tenant, "f1", x.now))
			x.refused(x.store.CreateFile(x.ctx, x.newFile("f3")), full)
			x.purge()
			x.createFiles("f3")
		}},
		// A tenant that waits for something to expire must not wait for the sweeper as well; but bytes that are there are there.
		{"what has ended is no file before anybody noticed, and its bytes count until they are gone", func(x *fixture) {
			x.limit(tenant, store.Limits{StoredBytes: 2000, Files: 2})
			f := x.newFile("f1")
			f.ExpiresAt = x.now.Add(time.Second)
			x.ok(x.store.CreateFile(x.ctx, f))
			x.ok(x.store.CreateUpload(x.ctx, x.newUpload("u1", 1000)))
			x.addPart("u1", "p1", 1000)
			full := store.QuotaError{Quota: store.QuotaStoredBytes, Limit: 2000, Asked: 1000}
			x.refused(x.store.CreateFile(x.ctx, x.newFile("f2")), full)
			x.tick()
			x.refused(x.store.CreateFile(x.ctx, x.newFile("f2")), full)
			for _, id := range []string{"f2", "f5"} {
				empty := x.newFile(id)
				empty.Bytes = 0
				x.ok(x.store.CreateFile(x.ctx, empty))
			}
			for _, id := range []string{"f2", "f5"} {
				x.ok(x.store.DeleteFile(x.ctx, tenant, id, x.now))
			}
			_, err := x.store.DeleteExpiredFiles(x.ctx, x.now, 9)
			x.ok(err)
			x.same(x.purge(), 3)
			x.createFiles("f3")
			x.ok(x.store.DeleteFile(x.ctx, tenant, "f3", x.now))
			x.now = start.Add(batch.UploadTTL)
			x.refused(x.store.CreateFile(x.ctx, x.newFile("f4")), full)
			_, err = x.store.ExpireUploads(x.ctx, x.now, 9)
			x.ok(err)
			x.refused(x.store.CreateFile(x.ctx, x.newFile("f4")), full)
			x.same(x.forgetDropped(), []string{"parts/p1"})
			x.createFiles("f4")
		}},
		{"limits of a tenant are its own", func(x *fixture) {
			x.limit(tenant, store.Limits{})
			x.limit(stranger, store.Limits{StoredBytes: 1, Files: 1, OpenBatches: 1, EnqueuedLines: 1, BatchesPerHour: 1})
			x.createFiles("input", "f2")
			x.ok(x.another("b1"))
			x.ok(x.another("b2"))
		}},
		// An operator who lowers a limit does not mean to delete anything.
		{"what is over a new limit stays, and nothing is added", func(x *fixture) {
			x.limit(tenant, store.Limits{})
			x.createFiles("f1", "f2", "f3")
			x.limit(tenant, store.Limits{Files: 2, StoredBytes: 100})
			x.same(x.fileIDs(store.FileQuery{Limit: 9}), []string{"f3", "f2", "f1"})
			x.refused(x.store.CreateFile(x.ctx, x.newFile("f4")), store.QuotaError{Quota: store.QuotaStoredBytes, Limit: 100})
			left, err := x.store.StorageLeft(x.ctx, tenant)
			x.ok(err)
			x.same(left, int64(-2900))
			x.limit(tenant, store.Limits{})
			x.createFiles("f4")
		}},
		// The work for them is done and paid for.
		{"result files count and are never refused", func(x *fixture) {
			x.limit(tenant, store.Limits{StoredBytes: 1100, Files: 2})
			x.start("b1", 1)
			x.seal(x.take("b1", 1))
			b := x.close("b1")
			x.same([]any{b.Status, b.OutputFileID, b.ErrorFileID}, []any{batch.Completed, "out-b1", "err-b1"})
			usage := x.usage(tenant)
			x.same([]int64{usage.StoredBytes, usage.Files}, []int64{1220, 3})
			f := x.newFile("f1")
			f.Bytes = 0
			x.refused(x.store.CreateFile(x.ctx, f), store.QuotaError{Quota: store.QuotaFiles, Limit: 2})
		}},
		{"says how many bytes are left", func(x *fixture) {
			left := func() int64 {
				x.Helper()
				n, err := x.store.StorageLeft(x.ctx, tenant)
				x.ok(err)
				return n
			}
			x.same(left(), int64(math.MaxInt64))
			x.limit(tenant, store.Limits{Files: 5})
			x.same(left(), int64(math.MaxInt64))
			x.limit(tenant, store.Limits{StoredBytes: 2500})
			x.same(left(), int64(2500))
			x.createFiles("f1")
			x.same(left(), int64(1500))
			x.ok(x.store.CreateUpload(x.ctx, x.newUpload("u1", 600)))
			x.same(left(), int64(1500))
			x.addPart("u1", "p1", 600)
			x.same(left(), int64(900))
		}},
		{"I22 of 50 files at once only as many pass as there is room for", func(x *fixture) {
			for name, limits := range map[string]store.Limits{"files": {Files: 4}, "bytes": {StoredBytes: 4999}} {
				y := x.fresh()
				y.limit(tenant, limits)
				y.createFiles("f1", "f2", "f3")
				if n := y.concurrently(func(i int) error { return y.store.CreateFile(y.ctx, y.newFile(fmt.Sprintf("c%d", i))) }); n != 1 {
					x.Errorf("%s: %d passed", name, n)
				}
				y.same(y.usage(tenant).Files, int64(4))
			}
		}},
	}},
	{"quotas of batches", []test{
		{"open batches are taken up to the limit and not beyond, until one is over", func(x *fixture) {
			x.limit(tenant, store.Limits{OpenBatches: 2})
			x.createFiles("input")
			x.ok(x.another("b1"))
			x.start("b2", 1)
			full := store.QuotaError{Quota: store.QuotaOpenBatches, Limit: 2}
			x.refused(x.another("b3"), full)
			x.seal(x.take("b2", 1))
			x.refused(x.another("b3"), full)
			x.close("b2")
			x.ok(x.another("b3"))
			x.cancel("b1")
			x.refused(x.another("b4"), full)
			x.close("b1")
			x.ok(x.another("b4"))
			x.same(x.batchIDs(tenant, "", 9), []string{"b4", "b3", "b2", "b1"})
		}},
		{"enqueued lines are the file's until the batch starts, and then its own", func(x *fixture) {
			x.limit(tenant, store.Limits{EnqueuedLines: 25})
			x.createFiles("input")
			x.ok(x.another("b1"))
			x.ok(x.another("b2"))
			full := store.QuotaError{Quota: store.QuotaEnqueuedLines, Limit: 25, Asked: 10, Used: 20}
			x.refused(x.another("b3"), full)
			st := x.newStart("b1", x.lease(store.StageValidate, "b1"), 1)
			st.Total = 6
			x.ok(x.store.StartBatch(x.ctx, st))
			full.Used = 16
			x.refused(x.another("b3"), full)
			x.limit(tenant, store.Limits{EnqueuedLines: 26})
			x.ok(x.another("b3"))
			x.same(x.usage(tenant).EnqueuedLines, int64(26))
		}},
		{"a file without lines passes a limit of lines that is reached", func(x *fixture) {
			x.limit(tenant, store.Limits{EnqueuedLines: 10})
			x.create("b1")
			f := x.newFile("input")
			f.Lines = 0
			x.ok(x.store.CreateFile(x.ctx, f))
			x.ok(x.another("b2"))
		}},
		{"batches per hour say how long to wait", func(x *fixture) {
			x.limit(tenant, store.Limits{BatchesPerHour: 2})
			x.createFiles("input")
			x.ok(x.another("b1"))
			x.now = start.Add(20 * time.Minute)
			x.ok(x.another("b2"))
			x.cancel("b1")
			x.close("b1")
			x.now = start.Add(50*time.Minute + 1)
			full := store.QuotaError{Quota: store.QuotaBatchesPerHour, Limit: 2, RetryAfter: 10*time.Minute - 1}
			x.refused(x.another("b3"), full)
			x.now = start.Add(time.Hour - 1)
			full.RetryAfter = 1
			x.refused(x.another("b3"), full)
			x.now = start.Add(time.Hour)
			x.ok(x.another("b3"))
			full.RetryAfter = 20 * time.Minute
			x.refused(x.another("b4"), full)
		}},
		{"with fewer batches per hour than there were, the wait is until there is room", func(x *fixture) {
			x.limit(tenant, store.Limits{})
			x.createFiles("input")
			for i := range 4 {
				x.ok(x.another(fmt.Sprintf("b%d", i)))
				x.now = x.now.Add(10 * time.Minute)
			}
			x.limit(tenant, store.Limits{BatchesPerHour: 2})
			full := store.QuotaError{Quota: store.QuotaBatchesPerHour, Limit: 2, RetryAfter: 40 * time.Minute}
			x.refused(x.another("b4"), full)
			x.now = x.now.Add(full.RetryAfter - 1)
			full.RetryAfter = 1
			x.refused(x.another("b4"), full)
			x.tick()
			x.ok(x.another("b4"))
		}},
		{"a batch counts also when its clock is ahead", func(x *fixture) {
			x.limit(tenant, store.Limits{BatchesPerHour: 1})
			x.createFiles("input")
			b := x.newBatch("b1")
			b.InputFileID, b.CreatedAt = "input", x.now.Add(time.Second)
			x.ok(x.store.CreateBatch(x.ctx, b))
			x.refused(x.another("b2"), store.QuotaError{
				Quota: store.QuotaBatchesPerHour, Limit: 1, RetryAfter: time.Hour + time.Second,
			})
		}},
		{"a batch that failed from the beginning counts against batches per hour alone", func(x *fixture) {
			x.limit(tenant, store.Limits{BatchesPerHour: 2, OpenBatches: 1, EnqueuedLines: 10})
			x.createFiles("input")
			_, err := x.store.CreateFailedBatch(x.ctx, x.newBatch("b1"), nil)
			x.ok(err)
			x.same(x.usage(tenant), store.Usage{StoredBytes: 1000, Files: 1, BatchesLastHour: 1})
			x.ok(x.another("b2"))
			_, err = x.store.CreateFailedBatch(x.ctx, x.newBatch("b3"), nil)
			x.refused(err, store.QuotaError{Quota: store.QuotaBatchesPerHour, Limit: 2, RetryAfter: time.Hour})
			_, err = x.store.BatchByID(x.ctx, "b3")
			x.fails(err, store.ErrNotFound)
		}},
		{"the same call under a key is answered with every quota reached", func(x *fixture) {
			x.limit(tenant, store.Limits{OpenBatches: 1, EnqueuedLines: 10, BatchesPerHour: 1})
			key := callOf("k", "call")
			first := x.createOnce("b1", key)
			got, err := x.again("b2", key)
			x.ok(err)
			x.same(got, first)
			x.createFiles("in-b3")
			_, err = x.store.CreateBatchOnce(x.ctx, x.newBatch("b3"), callOf("k3", "call"))
			x.refused(err, store.QuotaError{Quota: store.QuotaOpenBatches, Limit: 1})
			_, err = x.store.BatchOfKey(x.ctx, tenant, callOf("k3", "call"), x.now)
			x.fails(err, store.ErrNotFound)
		}},
		{"a file that is not there is not found, whatever the quotas say", func(x *fixture) {
			x.limit(tenant, store.Limits{OpenBatches: 1, EnqueuedLines: 1, BatchesPerHour: 1})
			x.fails(x.another("b1"), store.ErrNotFound)
		}},
		{"I22 of 50 batches at once only as many pass as there is room for", func(x *fixture) {
			for name, limits := range map[string]store.Limits{
				"open": {OpenBatches: 1}, "lines": {EnqueuedLines: 19}, "rate": {BatchesPerHour: 1},
			} {
				y := x.fresh()
				y.limit(tenant, limits)
				y.createFiles("input")
				n := y.concurrently(func(i int) error {
					b := y.newBatch(fmt.Sprintf("b%d", i))
					b.InputFileID, b.CreatedAt = "input", start.Add(-time.Duration(i))
					if i%2 == 0 {
						return y.store.CreateBatch(y.ctx, b)
					}
					_, err := y.store.CreateBatchOnce(y.ctx, b, callOf(b.ID, "call"))
					return err
				})
				if n != 1 {
					x.Errorf("%s: %d passed", name, n)
				}
				y.same(len(y.batchIDs(tenant, "", 99)), 1)
			}
		}},
	}},
	{"quotas of tokens", []test{
		{"a batch of too many tokens does not start, and stays under its lease as it was", func(x *fixture) {
			x.limit(tenant, store.Limits{EnqueuedTokens: 100})
			x.create("b1")
			lease := x.lease(store.StageValidate, "b1")
			want := x.read("b1")
			st := x.newStart("b1", lease, 3)
			st.Tokens = 101
			x.refused(x.store.StartBatch(x.ctx, st), store.QuotaError{Quota: store.QuotaEnqueuedTokens, Limit: 100, Asked: 101})
			x.same(x.read("b1"), want)
			x.same(x.live(), map[batch.LeaseID]bool{lease: true})
			x.same(x.usage(tenant).EnqueuedLines, int64(10))
			x.ok(x.store.FailBatch(x.ctx, x.failure("b1", lease)))
			x.same(x.read("b1").Status, batch.Failed)
		}},
		{"tokens are summed over all open batches of the tenant", func(x *fixture) {
			x.limit(tenant, store.Limits{EnqueuedTokens: 100})
			begin := func(id string, tokens int64) error {
				x.create(id)
				st := x.newStart(id, x.lease(store.StageValidate, id), 1)
				st.Tokens = tokens
				return x.store.StartBatch(x.ctx, st)
			}
			full := store.QuotaError{Quota: store.QuotaEnqueuedTokens, Limit: 100}
			x.ok(begin("b1", 60))
			x.refused(begin("b2", 41), full)
			x.ok(begin("b3", 40))
			x.refused(begin("b4", 1), full)
			x.ok(begin("b5", 0))
			x.cancel("b1")
			x.refused(begin("b6", 1), full)
			x.seal(x.take("b1", 1))
			x.close("b1")
			x.ok(begin("b7", 60))
			x.same(x.usage(tenant).EnqueuedTokens, int64(100))
		}},
		{"I22 of 50 batches that start at once only as many pass as there is room for", func(x *fixture) {
			x.limit(tenant, store.Limits{})
			starts := make([]store.Start, 50)
			for i := range starts {
				id := fmt.Sprintf("b%d", i)
				x.create(id)
				h := store.Holder{Node: node, Lease: batch.NewLeaseID()}
				_, err := x.store.LeaseBatch(x.ctx, store.StageValidate, h)
				x.ok(err)
				starts[i] = x.newStart(id, h.Lease, 1)
				starts[i].Tokens = 60
			}
			x.limit(tenant, store.Limits{EnqueuedTokens: 100})
			x.same(x.concurrently(func(i int) error { return x.store.StartBatch(x.ctx, starts[i]) }), 1)
		}},
		{"a stopped batch or a lost lease is reported before any quota", func(x *fixture) {
			x.limit(tenant, store.Limits{EnqueuedTokens: 1})
			x.create("b1")
			st := x.newStart("b1", x.lease(store.StageValidate, "b1"), 1)
			st.Tokens = 2
			x.cancel("b1")
			x.fails(x.store.StartBatch(x.ctx, st), store.ErrConflict)
			st.Lease = batch.NewLeaseID()
			x.fails(x.store.StartBatch(x.ctx, st), store.ErrLeaseLost)
		}},
	}},
}

// concurrently makes 50 calls at once and returns how many passed. The others must be refused by a quota.
func (x *fixture) concurrently(call func(i int) error) int {
	x.Helper()
	var passed atomic.Int64
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			err := call(i)
			var refusal *store.QuotaError
			switch {
			case err == nil:
				passed.Add(1)
			case !errors.As(err, &refusal):
				x.Errorf("unexpected error: %v", err)
			}
		})
	}
	wg.Wait()
	return int(passed.Load())
}
