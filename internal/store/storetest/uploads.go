package storetest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// newUpload returns a pending upload of so many bytes.
func (x *fixture) newUpload(id string, bytes int64) batch.Upload {
	return batch.Upload{
		ID: id, Tenant: tenant, Dialect: "openai", Name: id + ".jsonl", Purpose: batch.PurposeBatch,
		MIMEType: "application/jsonl", Bytes: bytes, Status: batch.UploadPending,
		CreatedAt: x.now, ExpiresAt: x.now.Add(batch.UploadTTL),
	}
}

// newPart returns a part of so many bytes, in a blob named after it.
func (x *fixture) newPart(upload, id string, bytes int64) batch.Part {
	return batch.Part{
		ID: id, Upload: upload, Content: blob("parts/"+id, bytes), CreatedAt: x.now,
		Lines: batch.LineSpan{Broken: true, Tail: true, Whole: bytes / 100},
	}
}

func (x *fixture) addPart(upload, id string, bytes int64) {
	x.Helper()
	x.ok(x.store.AddPart(x.ctx, tenant, x.newPart(upload, id, bytes), x.now))
}

// begin stores an upload of 1,000 bytes that has parts of these ids and 100 bytes each.
func (x *fixture) begin(id string, parts ...string) {
	x.Helper()
	x.ok(x.store.CreateUpload(x.ctx, x.newUpload(id, 1000)))
	for _, p := range parts {
		x.addPart(id, p, 100)
	}
}

// fileOf returns the file that the parts of an upload make, in the order of the ids.
func (x *fixture) fileOf(id string, parts ...string) batch.File {
	f := batch.File{
		ID: "file-" + id, Tenant: tenant, Dialect: "openai", Name: id + ".jsonl", Purpose: batch.PurposeBatch, CreatedAt: x.now,
	}
	for _, p := range parts {
		f.Content = f.Content.Append(blob("parts/"+p, 100), 0, 100)
	}
	f.Bytes, f.Lines = f.Content.Size(), int64(len(parts))
	return f
}

// complete makes a file of an upload.
func (x *fixture) complete(id string, parts ...string) (batch.Upload, batch.File) {
	x.Helper()
	u, f, err := x.store.CompleteUpload(x.ctx, tenant, id, x.fileOf(id, parts...), x.now)
	x.ok(err)
	if f == nil {
		x.Fatal("completing an upload gave no file")
	}
	return u, *f
}

// upload returns an upload as it is now, and its file if it has one.
func (x *fixture) upload(id string) (batch.Upload, *batch.File) {
	x.Helper()
	u, f, err := x.store.Upload(x.ctx, tenant, id, x.now)
	x.ok(err)
	return u, f
}

// partIDs returns the ids of an upload's parts.
func (x *fixture) partIDs(id string) []string {
	x.Helper()
	parts, err := x.store.Parts(x.ctx, tenant, id)
	x.ok(err)
	var ids []string
	for _, p := range parts {
		ids = append(ids, p.ID)
	}
	return ids
}

// uploadCases say what an upload and its parts are until it becomes a file or ends.
var uploadCases = []group{
	{"uploads", []test{
		{"reads back every field", func(x *fixture) {
			u := x.newUpload("u1", 1<<40)
			u.Name, u.Purpose, u.MIMEType, u.FileTTL = odd, "fine tune \x00", odd, 36*time.Hour
			x.ok(x.store.CreateUpload(x.ctx, u))
			got, f := x.upload("u1")
			x.same(got, u)
			x.same(f, (*batch.File)(nil))
		}},
		{"is pending and without a file, whatever its creator says", func(x *fixture) {
			u := x.newUpload("u1", 10)
			u.Status, u.FileID = batch.UploadCompleted, "f1"
			x.ok(x.store.CreateUpload(x.ctx, u))
			got, _ := x.upload("u1")
			x.same(got, x.newUpload("u1", 10))
		}},
		{"refuses an id that is taken, by any tenant", func(x *fixture) {
			x.begin("u1")
			u := x.newUpload("u1", 5)
			u.Tenant = stranger
			x.fails(x.store.CreateUpload(x.ctx, u), store.ErrConflict)
			got, _ := x.upload("u1")
			x.same(got, x.newUpload("u1", 1000))
		}},
		// Before and after maintenance has ended it, an upload answers the same.
		{"is expired from the moment its time is over, noticed or not", func(x *fixture) {
			x.begin("u1", "p1")
			status := func() batch.UploadStatus {
				x.Helper()
				u, _ := x.upload("u1")
				return u.Status
			}
			x.now = start.Add(batch.UploadTTL - 1)
			x.same(status(), batch.UploadPending)
			x.addPart("u1", "p2", 100)
			x.now = start.Add(batch.UploadTTL)
			for range 2 {
				x.same(status(), batch.UploadExpired)
				x.fails(x.store.AddPart(x.ctx, tenant, x.newPart("u1", "p3", 1), x.now), store.ErrConflict)
				_, _, err := x.store.CompleteUpload(x.ctx, tenant, "u1", x.fileOf("u1", "p1"), x.now)
				x.fails(err, store.ErrConflict)
				u, err := x.store.CancelUpload(x.ctx, tenant, "u1", x.now)
				x.fails(err, store.ErrConflict)
				x.same([]any{u.ID, u.Status}, []any{"u1", batch.UploadExpired})
				_, err = x.store.ExpireUploads(x.ctx, x.now, 9)
				x.ok(err)
			}
			x.same(x.fileIDs(store.FileQuery{Limit: 9}), []string(nil))
		}},
		{"those whose time is over lose their parts, so many at a time, longest over first", func(x *fixture) {
			for i, id := range []string{"u3", "u2", "u1"} {
				x.now = start.Add(time.Duration(2-i) * time.Second)
				x.begin(id, "p-"+id)
			}
			x.complete("u2", "p-u2")
			ended := func(at time.Time, n int) int {
				x.Helper()
				n, err := x.store.ExpireUploads(x.ctx, at, n)
				x.ok(err)
				return n
			}
			end := start.Add(batch.UploadTTL)
			x.same([]int{ended(end.Add(-1), 9), ended(end.Add(time.Hour), 0), ended(end.Add(time.Hour), -1)}, []int{0, 0, 0})
			x.same(ended(end.Add(time.Hour), 1), 1)
			x.same([]int{len(x.partIDs("u1")), len(x.partIDs("u3"))}, []int{0, 1})
			x.same(x.free("parts/p-u1", "parts/p-u2", "parts/p-u3"), []string{"parts/p-u1"})
			x.same([]int{ended(end.Add(time.Hour), 9), ended(end.Add(time.Hour), 9)}, []int{1, 0})
			x.same(x.free("parts/p-u1", "parts/p-u2", "parts/p-u3"), []string{"parts/p-u1", "parts/p-u3"})
			u, _ := x.upload("u2")
			x.same(u.Status, batch.UploadCompleted)
		}},
		{"those that are over are forgotten, so many at a time, longest over first, and their files stay", func(x *fixture) {
			x.begin("u1", "p1")
			x.complete("u1", "p1")
			x.tick()
			x.begin("u2")
			_, err := x.store.CancelUpload(x.ctx, tenant, "u2", x.now)
			x.ok(err)
			x.begin("u3")
			forgotten := func(before time.Time, n int) int {
				x.Helper()
				n, err := x.store.ForgetUploads(x.ctx, before, n)
				x.ok(err)
				return n
			}
			known := func(id string) bool {
				x.Helper()
				_, _, err := x.store.Upload(x.ctx, tenant, id, x.now)
				return err == nil
			}
			first := start.Add(batch.UploadTTL)
			x.same([]int{forgotten(first, 9), forgotten(first.Add(1), 0), forgotten(first.Add(1), -1)}, []int{0, 0, 0})
			x.same([]int{forgotten(first.Add(time.Hour), 1), forgotten(first.Add(time.Hour), 9), forgotten(first.Add(time.Hour), 9)}, []int{1, 1, 0})
			x.same([]bool{known("u1"), known("u2"), known("u3")}, []bool{false, false, true})
			x.same(len(x.fileIDs(store.FileQuery{Limit: 9, Now: x.now})), 1)
		}},
		{"a cancelled one has no parts, takes none, and can be cancelled again", func(x *fixture) {
			x.begin("u1", "p1", "p2")
			want := x.newUpload("u1", 1000)
			want.Status = batch.UploadCancelled
			for range 2 {
				got, err := x.store.CancelUpload(x.ctx, tenant, "u1", x.now)
				x.ok(err)
				x.same(got, want)
				x.now = x.now.Add(batch.UploadTTL)
			}
			x.same(x.partIDs("u1"), []string(nil))
			x.same(x.free("parts/p1", "parts/p2"), []string{"parts/p1", "parts/p2"})
			x.fails(x.store.AddPart(x.ctx, tenant, x.newPart("u1", "p3", 1), x.now), store.ErrConflict)
			u, f, err := x.store.CompleteUpload(x.ctx, tenant, "u1", x.fileOf("u1", "p1"), x.now)
			x.fails(err, store.ErrConflict)
			x.same(f, (*batch.File)(nil))
			x.same(u, want)
		}},
	}},
	{"parts", []test{
		{"are read back oldest first with every field", func(x *fixture) {
			x.ok(x.store.CreateUpload(x.ctx, x.newUpload("u1", 1<<40)))
			x.same(x.partIDs("u1"), []string(nil))
			want := []batch.Part{x.newPart("u1", "p2", 5<<20), x.newPart("u1", odd, 0), x.newPart("u1", "p1", 1)}
			want[1].Lines = batch.LineSpan{Head: true, Tail: true}
			want[1].CreatedAt = x.now.Add(-time.Hour)
			want[2].Lines = batch.LineSpan{Broken: true, Head: true, Whole: 1 << 40}
			for _, p := range want {
				x.ok(x.store.AddPart(x.ctx, tenant, p, x.now))
			}
			got, err := x.store.Parts(x.ctx, tenant, "u1")
			x.ok(err)
			x.same(got, want)
		}},
		// No file refers to them yet. The part's row is what keeps them from being collected.
		{"hold their blobs while the upload is pending", func(x *fixture) {
			x.begin("u1", "p1")
			x.same(x.free("parts/p1", "parts/p2"), []string{"parts/p2"})
			x.now = x.now.Add(2 * batch.UploadTTL)
			x.same(x.free("parts/p1"), []string(nil))
		}},
		{"refuse an id that is taken, in any upload", func(x *fixture) {
			x.begin("u1", "p1")
			x.begin("u2")
			for _, upload := range []string{"u1", "u2"} {
				x.fails(x.store.AddPart(x.ctx, tenant, x.newPart(upload, "p1", 7), x.now), store.ErrConflict)
			}
			x.same(x.partIDs("u2"), []string(nil))
			x.addPart("u1", "rest", 900)
			x.addPart("u2", "all", 1000)
		}},
		// A client that saw no answer sends a part again, and it becomes another part. Without a bound an upload could
		// take any amount of space.
		{"may be sent again, and not be longer in all than if each had been", func(x *fixture) {
			x.begin("u1", "p1")
			x.fails(x.store.AddPart(x.ctx, tenant, x.newPart("u1", "p2", 1001), x.now), store.ErrTooLong)
			x.same(x.free("parts/p2"), []string{"parts/p2"})
			x.addPart("u1", "again", 1000)
			x.fails(x.store.AddPart(x.ctx, tenant, x.newPart("u1", "p2", 901), x.now), store.ErrTooLong)
			x.addPart("u1", "p2", 900)
			x.fails(x.store.AddPart(x.ctx, tenant, x.newPart("u1", "p3", 1), x.now), store.ErrTooLong)
			x.addPart("u1", "p4", 0)
			x.same(x.partIDs("u1"), []string{"p1", "again", "p2", "p4"})
		}},
		{"are so many and no more", func(x *fixture) {
			x.begin("u1")
			errs := make([]error, batch.MaxParts)
			var wg sync.WaitGroup
			for i := range errs {
				p := x.newPart("u1", fmt.Sprintf("p%d", i), 0)
				wg.Go(func() { errs[i] = x.store.AddPart(x.ctx, tenant, p, x.now) })
			}
			wg.Wait()
			x.ok(errors.Join(errs...))
			x.fails(x.store.AddPart(x.ctx, tenant, x.newPart("u1", "more", 0), x.now), store.ErrTooManyParts)
			x.same(len(x.partIDs("u1")), batch.MaxParts)
		}},
		{"need an upload", func(x *fixture) {
			x.fails(x.store.AddPart(x.ctx, tenant, x.newPart("u1", "p1", 1), x.now), store.ErrNotFound)
			_, err := x.store.Parts(x.ctx, tenant, "u1")
			x.fails(err, store.ErrNotFound)
		}},
		{"that come at the same time never pass what they may have", func(x *fixture) {
			x.begin("u1")
			errs := make([]error, 30)
			var wg sync.WaitGroup
			for i := range errs {
				p := x.newPart("u1", fmt.Sprintf("p%d", i), 100)
				wg.Go(func() { errs[i] = x.store.AddPart(x.ctx, tenant, p, x.now) })
			}
			wg.Wait()
			var passed, tooLong int
			for _, err := range errs {
				if err == nil {
					passed++
					continue
				}
				x.fails(err, store.ErrTooLong)
				tooLong++
			}
			x.same([]int{passed, tooLong, len(x.partIDs("u1"))}, []int{20, 10, 20})
		}},
	}},
}
