package storetest

import (
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// fileCases say what creating, reading, deleting and listing files does.
var fileCases = []group{
	{"files", []test{
		{"reads back every field", func(x *fixture) {
			f := x.newFile("f1")
			f.Name, f.Purpose, f.ExpiresAt = odd, "fine tune \x00", x.now.Add(time.Hour)
			f.Content = f.Content.Append(blob("uploads/f1-part2", 5<<20), 77, 4<<20)
			f.Bytes = f.Content.Size()
			x.ok(x.store.CreateFile(x.ctx, f))
			got, err := x.store.File(x.ctx, tenant, "f1", x.now)
			x.ok(err)
			if got.Seq == 0 {
				x.Error("no sequence number was assigned")
			}
			f.Seq = got.Seq
			x.same(got, f)
		}},
		{"keeps a manifest that is a blob of its own", func(x *fixture) {
			f := x.newFile("f1")
			f.Content, f.ContentBlob = nil, blob("manifests/f1", 9<<20)
			x.ok(x.store.CreateFile(x.ctx, f))
			got, err := x.store.File(x.ctx, tenant, "f1", x.now)
			x.ok(err)
			f.Seq = got.Seq
			x.same(got, f)
			x.same(x.free("manifests/f1"), []string(nil))
		}},
		{"refuses an id that is taken, by any tenant", func(x *fixture) {
			x.createFiles("f1")
			f := x.newFile("f1")
			f.Tenant, f.Name, f.Content = stranger, "other", batch.Manifest{}.Append(blob("uploads/second", 10), 0, 10)
			x.fails(x.store.CreateFile(x.ctx, f), store.ErrConflict)
			got, err := x.store.File(x.ctx, tenant, "f1", x.now)
			x.ok(err)
			x.same(got.Name, "f1.jsonl")
			x.same(x.free("uploads/second"), []string{"uploads/second"})
		}},
		{"hides a foreign file like an absent one", func(x *fixture) {
			x.createFiles("f1")
			_, err := x.store.File(x.ctx, stranger, "f1", x.now)
			x.fails(err, store.ErrNotFound)
			_, err = x.store.File(x.ctx, tenant, "f2", x.now)
			x.fails(err, store.ErrNotFound)
			x.fails(x.store.DeleteFile(x.ctx, stranger, "f1", x.now), store.ErrNotFound)
			_, err = x.store.File(x.ctx, tenant, "f1", x.now)
			x.ok(err)
		}},
		{"a deleted file is absent at once, and cannot be deleted again", func(x *fixture) {
			x.createFiles("f1", "f2")
			x.ok(x.store.DeleteFile(x.ctx, tenant, "f1", x.now))
			_, err := x.store.File(x.ctx, tenant, "f1", x.now)
			x.fails(err, store.ErrNotFound)
			x.fails(x.store.DeleteFile(x.ctx, tenant, "f1", x.now), store.ErrNotFound)
			x.same(x.fileIDs(store.FileQuery{Limit: 10}), []string{"f2"})
			x.fails(x.store.CreateFile(x.ctx, x.newFile("f1")), store.ErrConflict)
		}},
		// Expiry is what users were told. Maintenance comes by when it can.
		{"a file is absent from the moment it expires", func(x *fixture) {
			f := x.newFile("f1")
			f.ExpiresAt = x.now.Add(time.Minute)
			x.ok(x.store.CreateFile(x.ctx, f))
			_, err := x.store.File(x.ctx, tenant, "f1", f.ExpiresAt.Add(-1))
			x.ok(err)
			_, err = x.store.File(x.ctx, tenant, "f1", f.ExpiresAt)
			x.fails(err, store.ErrNotFound)
			x.same(x.fileIDs(store.FileQuery{Limit: 10, Now: f.ExpiresAt.Add(-1)}), []string{"f1"})
			x.same(x.fileIDs(store.FileQuery{Limit: 10, Now: f.ExpiresAt}), []string(nil))
			x.fails(x.store.DeleteFile(x.ctx, tenant, "f1", f.ExpiresAt), store.ErrNotFound)
		}},
		// A store that keeps zero for none would take 1970 for never.
		{"keeps times before and at the start of the epoch apart from none", func(x *fixture) {
			for id, at := range map[string]time.Time{"epoch": time.Unix(0, 0).UTC(), "before": time.Unix(-1, 5).UTC()} {
				f := x.newFile(id)
				f.CreatedAt = at
				x.ok(x.store.CreateFile(x.ctx, f))
				got, err := x.store.File(x.ctx, tenant, id, x.now)
				x.ok(err)
				x.same(got.CreatedAt, at)
				x.same(got.ExpiresAt.IsZero(), true)
			}
		}},
	}},
	{"file lists", []test{
		{"an empty store has an empty page", func(x *fixture) {
			p, err := x.store.ListFiles(x.ctx, tenant, store.FileQuery{Limit: 10, Now: x.now})
			x.ok(err)
			x.same(p, store.Page[batch.File]{})
		}},
		// Clocks are set back; a cursor by time would then skip files.
		{"newest first, in order of creation and not of time or id", func(x *fixture) {
			x.createFiles("b", "a")
			x.now = x.now.Add(-time.Hour)
			x.createFiles("c")
			x.same(x.fileIDs(store.FileQuery{Limit: 10}), []string{"c", "a", "b"})
			x.same(x.fileIDs(store.FileQuery{Limit: 10, Ascending: true}), []string{"b", "a", "c"})
		}},
		// Clients delete what they page through: a cursor serves on when its file is hidden.
		{"pages join up in both orders while files come and go", func(x *fixture) {
			x.createFiles("f1", "f2", "f3", "f4", "f5")
			x.same(x.fileIDs(store.FileQuery{Limit: 2}), []string{"f5", "f4"})
			x.same(x.fileIDs(store.FileQuery{Limit: 2, Ascending: true}), []string{"f1", "f2"})
			x.createFiles("f6")
			x.same(x.fileIDs(store.FileQuery{Limit: 2, After: "f4"}), []string{"f3", "f2"})
			x.same(x.fileIDs(store.FileQuery{Limit: 9, After: "f4", Ascending: true}), []string{"f5", "f6"})
			x.ok(x.store.DeleteFile(x.ctx, tenant, "f3", x.now))
			x.same(x.fileIDs(store.FileQuery{Limit: 9, After: "f4"}), []string{"f2", "f1"})
			x.same(x.fileIDs(store.FileQuery{Limit: 9, After: "f3"}), []string{"f2", "f1"})
		}},
		{"says whether there is more", func(x *fixture) {
			x.createFiles("f1", "f2", "f3")
			for limit, more := range map[int]bool{1: true, 2: true, 3: false, 4: false} {
				for _, ascending := range []bool{false, true} {
					p, err := x.store.ListFiles(x.ctx, tenant, store.FileQuery{Limit: limit, Now: x.now, Ascending: ascending})
					x.ok(err)
					x.same(p.HasMore, more)
					x.same(len(p.Items), min(limit, 3))
				}
			}
		}},
		{"keeps to a purpose", func(x *fixture) {
			x.createFiles("f1", "f2")
			for _, id := range []string{"o1", "o2", "o3"} {
				f := x.newFile(id)
				f.Purpose = batch.PurposeBatchOutput
				x.ok(x.store.CreateFile(x.ctx, f))
			}
			q := store.FileQuery{Purpose: batch.PurposeBatchOutput, Limit: 2}
			x.same(x.fileIDs(q), []string{"o3", "o2"})
			q.After = "o2"
			x.same(x.fileIDs(q), []string{"o1"})
			q.After, q.Ascending = "f2", true
			x.same(x.fileIDs(q), []string{"o1", "o2"})
			x.same(x.fileIDs(store.FileQuery{Purpose: "none", Limit: 2}), []string(nil))
		}},
		{"refuses an unknown or foreign cursor", func(x *fixture) {
			x.createFiles("f1")
			_, err := x.store.ListFiles(x.ctx, tenant, store.FileQuery{After: "f0", Limit: 10, Now: x.now})
			x.fails(err, store.ErrBadCursor)
			_, err = x.store.ListFiles(x.ctx, stranger, store.FileQuery{After: "f1", Limit: 10, Now: x.now})
			x.fails(err, store.ErrBadCursor)
		}},
		{"shows a tenant only its own", func(x *fixture) {
			x.createFiles("f1")
			f := x.newFile("s1")
			f.Tenant = stranger
			x.ok(x.store.CreateFile(x.ctx, f))
			x.same(x.fileIDs(store.FileQuery{Limit: 10}), []string{"f1"})
		}},
	}},
}

// fileIDs lists a page and returns the ids on it.
func (x *fixture) fileIDs(q store.FileQuery) []string {
	x.Helper()
	if q.Now.IsZero() {
		q.Now = x.now
	}
	p, err := x.store.ListFiles(x.ctx, tenant, q)
	x.ok(err)
	var ids []string
	for _, f := range p.Items {
		ids = append(ids, f.ID)
	}
	return ids
}
