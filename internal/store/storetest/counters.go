package storetest

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// countersProperty drives random histories of files and uploads of two tenants, and after each step compares what the store
// counts with what it holds.
var countersProperty = property{"what is stored agrees with what is counted", func(t *testing.T, open Opener) {
	rapid.Check(t, func(r *rapid.T) {
		c := &counters{T: r, x: newFixture(t, open), left: make(map[string]counted), sent: make(map[string]counted)}
		defer func() { c.must(c.x.store.Close()) }()
		for _, owner := range []string{tenant, stranger} {
			c.x.limit(owner, store.Limits{StoredBytes: 2500, Files: 6})
		}
		actions := []func(){
			c.createFile, c.createFile, c.deleteFile, c.begin, c.addPart, c.addPart, c.addPart, c.complete, c.cancel,
			c.sweepFiles, c.sweepUploads, c.purge, c.wait, c.finish,
		}
		for range rapid.IntRange(10, modelSteps).Draw(r, "steps") {
			rapid.SampledFrom(actions).Draw(r, "action")()
			for _, owner := range []string{tenant, stranger} {
				c.compare(owner)
			}
		}
	})
}}

// counters makes calls that may well be refused: what matters is that the count agrees with whatever came of them.
type counters struct {
	*rapid.T
	x             *fixture
	files         []batch.File   // all that were created, also those that are deleted by now
	uploads       []batch.Upload // all that were begun, whatever became of them
	minted, parts int            // how many ids of files, uploads and batches, and of parts, were given out
	tries         int            // how many parts were tried, which gives each a blob of its own
	// left has all files that are not purged, by id, and sent all parts whose blobs are not forgotten, by key.
	left map[string]counted
	sent map[string]counted
}

// counted is what counts against a tenant.
type counted struct {
	tenant string
	bytes  int64
}

func (c *counters) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatalf("unexpected error: %v", err)
	}
}

// owner draws a tenant, so that wrong ones come up too.
func (c *counters) owner() string {
	return rapid.SampledFrom([]string{tenant, tenant, stranger}).Draw(c.T, "tenant")
}

// newFile draws a file of any tenant, which may expire at once, later or never.
func (c *counters) newFile() batch.File {
	f := c.x.newFile(fmt.Sprintf("f%d", c.minted))
	c.minted++
	f.Tenant, f.Bytes = c.owner(), rapid.Int64Range(0, 900).Draw(c.T, "bytes")
	if rapid.Bool().Draw(c.T, "mortal") {
		f.ExpiresAt = c.x.now.Add(time.Duration(rapid.IntRange(0, 30).Draw(c.T, "ttl")) * time.Minute)
	}
	return f
}

func (c *counters) createFile() {
	f := c.newFile()
	if c.x.store.CreateFile(c.x.ctx, f) == nil {
		c.made(f)
	}
}

func (c *counters) made(f batch.File) {
	c.files = append(c.files, f)
	c.left[f.ID] = counted{f.Tenant, f.Bytes}
}

func (c *counters) deleteFile() {
	if len(c.files) > 0 {
		_ = c.x.store.DeleteFile(c.x.ctx, c.owner(), rapid.SampledFrom(c.files).Draw(c.T, "file").ID, c.x.now)
	}
}

func (c *counters) begin() {
	u := c.x.newUpload(fmt.Sprintf("u%d", c.minted), rapid.Int64Range(1, 900).Draw(c.T, "bytes"))
	c.minted++
	u.Tenant = c.owner()
	if c.x.store.CreateUpload(c.x.ctx, u) == nil {
		c.uploads = append(c.uploads, u)
	}
}

// upload draws an upload, or returns one that does not exist.
func (c *counters) upload() batch.Upload {
	if len(c.uploads) == 0 {
		return c.x.newUpload("none", 1)
	}
	return rapid.SampledFrom(c.uploads).Draw(c.T, "upload")
}

// addPart adds a part that may be too long, of an id that may be taken, to an upload that may have ended.
func (c *counters) addPart() {
	u := c.upload()
	p := c.x.newPart(u.ID, fmt.Sprintf("p%d", c.parts), rapid.Int64Range(0, u.Bytes+10).Draw(c.T, "bytes"))
	if rapid.IntRange(0, 5).Draw(c.T, "taken id") > 0 {
		c.parts++
	}
	p.Content.Key = fmt.Sprintf("parts/%d", c.tries)
	c.tries++
	if c.x.store.AddPart(c.x.ctx, u.Tenant, p, c.x.now) == nil {
		c.sent[p.Content.Key] = counted{u.Tenant, p.Content.Size}
	}
}

// complete ends an upload with a file that none of its parts is in.
func (c *counters) complete() {
	u, f := c.upload(), c.newFile()
	f.Tenant = u.Tenant
	if done, _, err := c.x.store.CompleteUpload(c.x.ctx, u.Tenant, u.ID, f, c.x.now); err == nil && done.FileID == f.ID {
		c.made(f)
	}
}

func (c *counters) cancel() {
	_, _ = c.x.store.CancelUpload(c.x.ctx, c.owner(), c.upload().ID, c.x.now)
}

// sweepFiles, sweepUploads and purge do what maintenance does, a few at a time, so that much of what has expired is still
// counted when it is compared.
func (c *counters) sweepFiles() {
	_, err := c.x.store.DeleteExpiredFiles(c.x.ctx, c.x.now, rapid.IntRange(0, 3).Draw(c.T, "n"))
	c.must(err)
}

func (c *counters) sweepUploads() {
	_, err := c.x.store.ExpireUploads(c.x.ctx, c.x.now, rapid.IntRange(0, 3).Draw(c.T, "n"))
	c.must(err)
}

func (c *counters) purge() {
	n := rapid.IntRange(0, 3).Draw(c.T, "n")
	files, err := c.x.store.HiddenFiles(c.x.ctx, store.HiddenQuery{Limit: n})
	c.must(err)
	purged, err := c.x.store.PurgeFiles(c.x.ctx, hiddenIDs(files))
	c.must(err)
	if purged != len(files) {
		c.Fatalf("purged %d of %d files", purged, len(files))
	}
	for _, f := range files {
		delete(c.left, f.ID)
	}
	keys, err := c.x.store.DroppedBlobs(c.x.ctx, c.x.now, c.x.now, n)
	c.must(err)
	c.must(c.x.store.ForgetDroppedBlobs(c.x.ctx, keys))
	for _, key := range keys {
		delete(c.sent, key)
	}
}

// wait lets files expire, and after some waits uploads too.
func (c *counters) wait() {
	c.x.now = c.x.now.Add(time.Duration(rapid.IntRange(1, 40).Draw(c.T, "wait")) * time.Minute)
}

// finish runs a batch of the tenant to its end, which makes result files that no quota refuses.
func (c *counters) finish() {
	id := fmt.Sprintf("b%d", c.minted)
	c.minted++
	if len(c.files) == 0 {
		return
	}
	b := c.x.newBatch(id)
	b.InputFileID = rapid.SampledFrom(c.files).Draw(c.T, "file").ID
	if c.x.store.CreateBatch(c.x.ctx, b) != nil {
		return
	}
	c.must(c.x.store.StartBatch(c.x.ctx, c.x.newStart(id, c.x.lease(store.StageValidate, id), 1)))
	c.x.seal(c.x.take(id, 1))
	closed := c.x.close(id)
	for _, result := range []string{closed.OutputFileID, closed.ErrorFileID} {
		f, err := c.x.store.File(c.x.ctx, tenant, result, c.x.now)
		c.must(err)
		c.left[result] = counted{tenant, f.Bytes}
	}
}

// compare counts the tenant's files and parts one by one.
func (c *counters) compare(owner string) {
	c.Helper()
	var want store.Usage
	for _, of := range []map[string]counted{c.left, c.sent} {
		for _, one := range of {
			if one.tenant == owner {
				want.StoredBytes += one.bytes
			}
		}
	}
	want.DeletedBytes = want.StoredBytes
	files, err := c.x.store.ListFiles(c.x.ctx, owner, store.FileQuery{Limit: 1000, Now: c.x.now})
	c.must(err)
	for _, f := range files.Items {
		want.DeletedBytes -= f.Bytes
		want.Files++
	}
	for _, u := range c.uploads {
		if u.Tenant == owner {
			want.DeletedBytes -= c.partBytes(u)
		}
	}
	got := c.x.usage(owner)
	got.BatchesLastHour = 0
	if got != want {
		c.Fatalf("tenant %s: counted %+v, holds %+v", owner, got, want)
	}
}

// partBytes returns the bytes of the parts of an upload, if it is pending.
func (c *counters) partBytes(u batch.Upload) int64 {
	now, _, err := c.x.store.Upload(c.x.ctx, u.Tenant, u.ID, c.x.now)
	c.must(err)
	parts, err := c.x.store.Parts(c.x.ctx, u.Tenant, u.ID)
	c.must(err)
	if now.Status != batch.UploadPending {
		return 0
	}
	var n int64
	for _, p := range parts {
		n += p.Content.Size
	}
	return n
}
