package storetest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// callOf is the key of a call; what it asks for is given by a word.
func callOf(key, asks string) store.IdempotencyKey {
	return store.IdempotencyKey{Key: key, Fingerprint: sha256.Sum256([]byte(asks))}
}

// createOnce stores the batch id and its input file under a key that is free.
func (x *fixture) createOnce(id string, key store.IdempotencyKey) batch.Batch {
	x.Helper()
	x.createFiles("in-" + id)
	b, err := x.store.CreateBatchOnce(x.ctx, x.newBatch(id), key)
	x.ok(err)
	x.same(b.ID, id)
	return b
}

// again asks for the batch id under a key that should be taken, with no input file at hand.
func (x *fixture) again(id string, key store.IdempotencyKey) (batch.Batch, error) {
	b := x.newBatch(id)
	b.InputFileID = "none"
	return x.store.CreateBatchOnce(x.ctx, b, key)
}

// onceCases say that an idempotency key makes one batch, and for how long.
var onceCases = []group{
	{"I28 batches created once", []test{
		{"the first call creates what it asked for", func(x *fixture) {
			got := x.createOnce("b1", callOf("k", "call"))
			x.createFiles("in-b2")
			x.ok(x.store.CreateBatch(x.ctx, x.newBatch("b2")))
			want := x.read("b2")
			want.ID, want.InputFileID, want.Seq = "b1", "in-b1", got.Seq
			x.same(got, want)
			x.same(x.read("b1"), want)
		}},
		// The file that the first call named may be gone by then. The key alone decides.
		{"the same call again gets that batch, as it then is", func(x *fixture) {
			key := callOf("k", "call")
			first := x.createOnce("b1", key)
			got, err := x.again("b2", key)
			x.ok(err)
			x.same(got, first)
			x.cancel("b1")
			x.tick()
			for _, read := range []func() (batch.Batch, error){
				func() (batch.Batch, error) { return x.again("b2", key) },
				func() (batch.Batch, error) { return x.store.BatchOfKey(x.ctx, tenant, key, x.now) },
			} {
				got, err := read()
				x.ok(err)
				x.same(got, x.read("b1"))
			}
			x.same(x.batchIDs(tenant, "", 9), []string{"b1"})
		}},
		{"a batch that is failed from the beginning is created once, too", func(x *fixture) {
			key := callOf("k", "call")
			first, err := x.store.CreateFailedBatchOnce(x.ctx, x.newBatch("b1"), key, lineErrors)
			x.ok(err)
			x.same(first.Status, batch.Failed)
			x.same(first.Errors, lineErrors)
			x.same(x.read("b1"), first)
			for _, id := range []string{"b1", "b2"} {
				got, err := x.store.CreateFailedBatchOnce(x.ctx, x.newBatch(id), key, nil)
				x.ok(err)
				x.same(got, first)
			}
			got, err := x.again("b3", key)
			x.ok(err)
			x.same(got, first)
			_, err = x.store.CreateFailedBatchOnce(x.ctx, x.newBatch("b2"), callOf("k", "another call"), nil)
			x.fails(err, store.ErrKeyReused)
			x.same(x.batchIDs(tenant, "", 9), []string{"b1"})
		}},
		{"another call under the key is refused, and creates nothing", func(x *fixture) {
			x.createOnce("b1", callOf("k", "call"))
			x.createFiles("in-b2")
			b, err := x.store.CreateBatchOnce(x.ctx, x.newBatch("b2"), callOf("k", "another call"))
			x.fails(err, store.ErrKeyReused)
			x.same(b, batch.Batch{})
			_, err = x.store.BatchOfKey(x.ctx, tenant, callOf("k", "another call"), x.now)
			x.fails(err, store.ErrKeyReused)
			x.same(x.batchIDs(tenant, "", 9), []string{"b1"})
		}},
		{"another key creates another batch, also of the same call", func(x *fixture) {
			for i, key := range []string{"k", "K", "k ", odd} {
				x.createOnce(fmt.Sprintf("b%d", i), callOf(key, "call"))
			}
			b, err := x.again("b9", callOf(odd, "call"))
			x.ok(err)
			x.same(b.ID, "b3")
		}},
		{"a key of another tenant is another key", func(x *fixture) {
			key := callOf("k", "call")
			x.createOnce("b1", key)
			_, err := x.store.BatchOfKey(x.ctx, stranger, key, x.now)
			x.fails(err, store.ErrNotFound)
			f, b := x.newFile("in-s1"), x.newBatch("s1")
			f.Tenant, b.Tenant = stranger, stranger
			x.ok(x.store.CreateFile(x.ctx, f))
			got, err := x.store.CreateBatchOnce(x.ctx, b, callOf("k", "another call"))
			x.ok(err)
			x.same(got.ID, "s1")
			got, err = x.again("b2", key)
			x.ok(err)
			x.same(got.ID, "b1")
		}},
		// A client mends what was wrong and sends the call again, under the same key.
		{"a refused call leaves the key free", func(x *fixture) {
			_, err := x.store.CreateBatchOnce(x.ctx, x.newBatch("b1"), callOf("k", "call"))
			x.fails(err, store.ErrNotFound)
			x.create("b0")
			x.createFiles("in-b1")
			taken := x.newBatch("b1")
			taken.ID = "b0"
			_, err = x.store.CreateBatchOnce(x.ctx, taken, callOf("k", "call"))
			x.fails(err, store.ErrConflict)
			_, err = x.store.BatchOfKey(x.ctx, tenant, callOf("k", "call"), x.now)
			x.fails(err, store.ErrNotFound)
			_, err = x.store.CreateBatchOnce(x.ctx, x.newBatch("b1"), callOf("k", "another call"))
			x.ok(err)
		}},
		// It must not take the key from the batch that had it, not even for a clock that then goes back.
		{"a refused call leaves a key that could be taken anew as it was", func(x *fixture) {
			key := callOf("k", "call")
			x.createOnce("b1", key)
			begin := x.now
			x.now = begin.Add(store.IdempotencyKeyTTL)
			_, err := x.store.CreateBatchOnce(x.ctx, x.newBatch("b2"), callOf("k", "another call"))
			x.fails(err, store.ErrNotFound)
			x.now = begin
			b, err := x.again("b3", key)
			x.ok(err)
			x.same(b.ID, "b1")
		}},
	}},
	{"I28 expiry of keys", []test{
		// Whether or not maintenance has forgotten it yet.
		{"a key is taken anew a day after its batch was created, and not before", func(x *fixture) {
			key := callOf("k", "call")
			x.createOnce("b1", key)
			x.now = start.Add(store.IdempotencyKeyTTL - 1)
			b, err := x.again("b2", key)
			x.ok(err)
			x.same(b.ID, "b1")
			x.now = start.Add(store.IdempotencyKeyTTL)
			_, err = x.store.BatchOfKey(x.ctx, tenant, key, x.now)
			x.fails(err, store.ErrNotFound)
			x.createOnce("b3", callOf("k", "another call"))
			x.now = x.now.Add(store.IdempotencyKeyTTL - 1)
			_, err = x.again("b4", key)
			x.fails(err, store.ErrKeyReused)
			x.same(x.batchIDs(tenant, "", 9), []string{"b3", "b1"})
		}},
		{"keys are forgotten oldest first and so many at a time, and their batches stay", func(x *fixture) {
			x.createOnce("b1", callOf("k1", "call"))
			x.tick()
			x.createOnce("b2", callOf("k2", "call"))
			x.tick()
			x.createOnce("b3", callOf("k3", "call"))
			for _, c := range []struct {
				before time.Time
				n      int
				want   int
			}{{start, 9, 0}, {x.now, 0, 0}, {x.now, 1, 1}} {
				n, err := x.store.ForgetIdempotencyKeys(x.ctx, c.before, c.n)
				x.ok(err)
				x.same(n, c.want)
			}
			_, err := x.store.BatchOfKey(x.ctx, tenant, callOf("k1", "call"), x.now)
			x.fails(err, store.ErrNotFound)
			_, err = x.store.BatchOfKey(x.ctx, tenant, callOf("k2", "call"), x.now)
			x.ok(err)
			n, err := x.store.ForgetIdempotencyKeys(x.ctx, x.now.Add(1), 9)
			x.ok(err)
			x.same(n, 2)
			x.same(x.batchIDs(tenant, "", 9), []string{"b3", "b2", "b1"})
			x.createOnce("b4", callOf("k1", "another call"))
		}},
		{"a key is remembered when the store is opened again", func(x *fixture) {
			key := callOf("k", "call")
			x.createOnce("b1", key)
			x.reopen()
			b, err := x.again("b2", key)
			x.ok(err)
			x.same(b, x.read("b1"))
			_, err = x.again("b2", callOf("k", "another call"))
			x.fails(err, store.ErrKeyReused)
		}},
		{"concurrent calls make one batch", func(x *fixture) {
			x.createFiles("input")
			x.same(x.race(12, func(int) string { return "call" }), map[string]int{"won": 1, "joined": 11})
			x.same(len(x.batchIDs(tenant, "", 99)), 1)
		}},
		{"of concurrent calls that differ one wins, and the others are refused", func(x *fixture) {
			x.createFiles("input")
			x.same(x.race(12, func(i int) string { return fmt.Sprint(i) }), map[string]int{"won": 1, "refused": 11})
			x.same(len(x.batchIDs(tenant, "", 99)), 1)
		}},
	}},
}

// race lets n callers create a batch over the file "input" under one key at once, and counts what they were answered:
// that the batch is theirs, that it is another's, or that the key is taken by another call.
func (x *fixture) race(n int, asks func(i int) string) map[string]int {
	var mu sync.Mutex
	answers := make(map[string]int)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			b := x.newBatch(fmt.Sprintf("b%d", i))
			b.InputFileID = "input"
			got, err := x.store.CreateBatchOnce(x.ctx, b, callOf("k", asks(i)))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case errors.Is(err, store.ErrKeyReused):
				answers["refused"]++
			case err != nil:
				x.Errorf("unexpected error: %v", err)
			case got.ID == b.ID:
				answers["won"]++
			default:
				answers["joined"]++
			}
		})
	}
	wg.Wait()
	return answers
}
