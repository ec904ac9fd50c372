package storetest

import (
	"fmt"
	"sync"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// completionCases say what becomes of an upload, and that it counts against the quota of storage until it has ended.
var completionCases = []group{
	{"completed uploads", []test{
		{"makes the file and drops the parts", func(x *fixture) {
			x.begin("u1", "p1", "p2", "p3")
			made := x.tick()
			u, f := x.complete("u1", "p2", "p1")
			want := x.fileOf("u1", "p2", "p1")
			if f.Seq == 0 {
				x.Error("no sequence number was assigned")
			}
			want.Seq, want.CreatedAt = f.Seq, made
			x.same(f, want)
			x.same([]any{u.Status, u.FileID}, []any{batch.UploadCompleted, "file-u1"})
			got, fileNow := x.upload("u1")
			x.same(got, u)
			x.same(fileNow, &want)
			stored, err := x.store.File(x.ctx, tenant, "file-u1", x.now)
			x.ok(err)
			x.same(stored, want)
			x.same(x.partIDs("u1"), []string(nil))
			x.same(x.free("parts/p1", "parts/p2", "parts/p3"), []string{"parts/p3"})
			x.fails(x.store.AddPart(x.ctx, tenant, x.newPart("u1", "p4", 1), x.now), store.ErrConflict)
			_, err = x.store.CancelUpload(x.ctx, tenant, "u1", x.now)
			x.fails(err, store.ErrConflict)
		}},
		// A client whose first call got no answer repeats it.
		{"again gives the same file, also after the upload's time, and makes none", func(x *fixture) {
			x.begin("u1", "p1")
			u, f := x.complete("u1", "p1")
			x.now = x.now.Add(2 * batch.UploadTTL)
			_, err := x.store.ExpireUploads(x.ctx, x.now, 9)
			x.ok(err)
			other := x.fileOf("u1", "p1")
			other.ID = "other"
			again, g, err := x.store.CompleteUpload(x.ctx, tenant, "u1", other, x.now)
			x.ok(err)
			x.same(again, u)
			x.same(g, &f)
			x.same(x.fileIDs(store.FileQuery{Limit: 9}), []string{"file-u1"})
		}},
		{"gives no file once that is deleted or has expired", func(x *fixture) {
			x.begin("u1", "p1")
			x.begin("u2", "p2")
			x.complete("u1", "p1")
			f := x.fileOf("u2", "p2")
			f.ExpiresAt = x.now.Add(time.Second)
			_, _, err := x.store.CompleteUpload(x.ctx, tenant, "u2", f, x.now)
			x.ok(err)
			x.ok(x.store.DeleteFile(x.ctx, tenant, "file-u1", x.now))
			x.tick()
			for _, id := range []string{"u1", "u2"} {
				u, gone := x.upload(id)
				x.same([]any{u.Status, u.FileID}, []any{batch.UploadCompleted, "file-" + id})
				x.same(gone, (*batch.File)(nil))
				u, gone, err = x.store.CompleteUpload(x.ctx, tenant, id, x.fileOf(id), x.now)
				x.ok(err)
				x.same(u.Status, batch.UploadCompleted)
				x.same(gone, (*batch.File)(nil))
			}
		}},
		{"a file whose id is taken changes nothing", func(x *fixture) {
			x.begin("u1", "p1")
			x.createFiles("file-u1")
			_, _, err := x.store.CompleteUpload(x.ctx, tenant, "u1", x.fileOf("u1", "p1"), x.now)
			x.fails(err, store.ErrConflict)
			u, f := x.upload("u1")
			x.same(u, x.newUpload("u1", 1000))
			x.same(f, (*batch.File)(nil))
			x.same(x.partIDs("u1"), []string{"p1"})
		}},
		{"refuses a file of another tenant", func(x *fixture) {
			x.begin("u1", "p1")
			f := x.fileOf("u1", "p1")
			f.Tenant = stranger
			if _, _, err := x.store.CompleteUpload(x.ctx, tenant, "u1", f, x.now); err == nil {
				x.Fatal("made a file for another tenant")
			}
			x.same(x.partIDs("u1"), []string{"p1"})
		}},
		// The store cannot see which parts such a manifest names.
		{"a file whose manifest is a blob of its own holds every part", func(x *fixture) {
			x.begin("u1", "p1", "p2")
			f := x.fileOf("u1", "p1", "p2")
			f.Content, f.ContentBlob = nil, blob("manifests/u1", 9<<20)
			_, got, err := x.store.CompleteUpload(x.ctx, tenant, "u1", f, x.now)
			x.ok(err)
			f.Seq = got.Seq
			x.same(got, &f)
			x.same(x.free("parts/p1", "parts/p2", "manifests/u1"), []string(nil))
			x.ok(x.store.DeleteFile(x.ctx, tenant, f.ID, x.now))
			x.purge()
			x.same(len(x.free("parts/p1", "parts/p2", "manifests/u1")), 3)
		}},
		{"at the same time as a cancel one of the two wins", func(x *fixture) {
			for i := range 10 {
				id := fmt.Sprintf("u%d", i)
				x.begin(id, "p-"+id)
				var wg sync.WaitGroup
				var completed, cancelled error
				wg.Go(func() { _, _, completed = x.store.CompleteUpload(x.ctx, tenant, id, x.fileOf(id, "p-"+id), x.now) })
				wg.Go(func() { _, cancelled = x.store.CancelUpload(x.ctx, tenant, id, x.now) })
				wg.Wait()
				if (completed == nil) == (cancelled == nil) {
					x.Fatalf("complete answered %v, cancel %v", completed, cancelled)
				}
				_, f := x.upload(id)
				x.same(f != nil, completed == nil)
				x.same(len(x.free("parts/p-"+id)) == 1, cancelled == nil)
			}
		}},
		{"many at the same time make one file", func(x *fixture) {
			x.begin("u1", "p1")
			var wg sync.WaitGroup
			for i := range 12 {
				wg.Go(func() {
					f := x.fileOf("u1", "p1")
					f.ID = fmt.Sprintf("f%d", i)
					u, got, err := x.store.CompleteUpload(x.ctx, tenant, "u1", f, x.now)
					if err != nil || got == nil || got.ID != u.FileID {
						x.Errorf("upload %+v, file %+v, error %v", u, got, err)
					}
				})
			}
			wg.Wait()
			x.same(len(x.fileIDs(store.FileQuery{Limit: 99})), 1)
		}},
	}},
	{"quotas of uploads", []test{
		{"an upload needs room for its whole file", func(x *fixture) {
			x.limit(tenant, store.Limits{StoredBytes: 2000, Files: 2})
			x.createFiles("f1")
			x.refused(x.store.CreateUpload(x.ctx, x.newUpload("u1", 1001)),
				store.QuotaError{Quota: store.QuotaStoredBytes, Limit: 2000})
			x.ok(x.store.CreateUpload(x.ctx, x.newUpload("u1", 1000)))
			f := x.newFile("f2")
			f.Bytes = 0
			x.ok(x.store.CreateFile(x.ctx, f))
			x.refused(x.store.CreateUpload(x.ctx, x.newUpload("u2", 1)), store.QuotaError{Quota: store.QuotaFiles, Limit: 2})
		}},
		{"a part needs room, whatever was there when the upload began", func(x *fixture) {
			x.limit(tenant, store.Limits{StoredBytes: 1500, Files: 1})
			x.begin("u1", "p1")
			x.createFiles("f1")
			x.addPart("u1", "p2", 400)
			x.refused(x.store.AddPart(x.ctx, tenant, x.newPart("u1", "p3", 1), x.now),
				store.QuotaError{Quota: store.QuotaStoredBytes, Limit: 1500})
			x.same(x.partIDs("u1"), []string{"p1", "p2"})
			x.same(x.free("parts/p3"), []string{"parts/p3"})
			x.ok(x.store.DeleteFile(x.ctx, tenant, "f1", x.now))
			x.refused(x.store.AddPart(x.ctx, tenant, x.newPart("u1", "p3", 1), x.now),
				store.QuotaError{Quota: store.QuotaStoredBytes, Limit: 1500})
			x.purge()
			x.addPart("u1", "p3", 500)
		}},
		// Its bytes were counted as they came, as parts.
		{"a completed upload needs room for a file, and no more bytes than it has", func(x *fixture) {
			x.limit(tenant, store.Limits{})
			x.begin("u1", "p1", "p2")
			x.limit(tenant, store.Limits{StoredBytes: 1, Files: 1})
			x.complete("u1", "p1", "p2")
			x.limit(tenant, store.Limits{})
			x.begin("u2", "p3")
			x.limit(tenant, store.Limits{Files: 1})
			_, _, err := x.store.CompleteUpload(x.ctx, tenant, "u2", x.fileOf("u2", "p3"), x.now)
			x.refused(err, store.QuotaError{Quota: store.QuotaFiles, Limit: 1})
			x.same(x.partIDs("u2"), []string{"p3"})
			x.ok(x.store.DeleteFile(x.ctx, tenant, "file-u1", x.now))
			x.complete("u2", "p3")
		}},
		{"a file that repeats a part needs room for the repetition", func(x *fixture) {
			x.limit(tenant, store.Limits{StoredBytes: 1000})
			x.begin("u1", "p1")
			x.limit(tenant, store.Limits{StoredBytes: 199})
			_, _, err := x.store.CompleteUpload(x.ctx, tenant, "u1", x.fileOf("u1", "p1", "p1"), x.now)
			x.refused(err, store.QuotaError{Quota: store.QuotaStoredBytes, Limit: 199})
		}},
		{"bytes count as parts and then as the file, and those of dropped parts until they are gone", func(x *fixture) {
			x.limit(tenant, store.Limits{})
			x.begin("u1", "p1", "p2")
			x.same(x.usage(tenant), store.Usage{StoredBytes: 200})
			x.complete("u1", "p1")
			x.same(x.usage(tenant), store.Usage{StoredBytes: 200, DeletedBytes: 100, Files: 1})
			x.same(x.forgetDropped(), []string{"parts/p2"})
			x.same(x.usage(tenant), store.Usage{StoredBytes: 100, Files: 1})
			x.begin("u2", "p3")
			x.begin("u3", "p4")
			x.same(x.usage(tenant), store.Usage{StoredBytes: 300, Files: 1})
			_, err := x.store.CancelUpload(x.ctx, tenant, "u2", x.now)
			x.ok(err)
			x.same(x.usage(tenant), store.Usage{StoredBytes: 300, DeletedBytes: 100, Files: 1})
			x.now = x.now.Add(batch.UploadTTL)
			for range 2 {
				x.same(x.usage(tenant), store.Usage{StoredBytes: 300, DeletedBytes: 200, Files: 1})
				_, err = x.store.ExpireUploads(x.ctx, x.now, 9)
				x.ok(err)
			}
			x.same(x.forgetDropped(), []string{"parts/p3", "parts/p4"})
			x.same(x.usage(tenant), store.Usage{StoredBytes: 100, Files: 1})
		}},
		{"I22 of 50 uploads that complete at once only as many pass as there is room for", func(x *fixture) {
			x.limit(tenant, store.Limits{Files: 1})
			for i := range 50 {
				x.begin(fmt.Sprintf("u%d", i))
			}
			x.same(x.concurrently(func(i int) error {
				id := fmt.Sprintf("u%d", i)
				_, _, err := x.store.CompleteUpload(x.ctx, tenant, id, x.fileOf(id), x.now)
				return err
			}), 1)
		}},
	}},
}
