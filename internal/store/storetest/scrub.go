package storetest

import (
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// damage notes that a blob of a file was found damaged now.
func (x *fixture) damage(file, key string, problem store.Problem) bool {
	x.Helper()
	added, err := x.store.RecordDamage(x.ctx, store.Damage{File: file, Key: key, Problem: problem, Seen: x.now})
	x.ok(err)
	return added
}

// damages returns what is known of at most n.
func (x *fixture) damages(n int) []store.Damage {
	x.Helper()
	found, err := x.store.Damages(x.ctx, n)
	x.ok(err)
	return found
}

// filesFrom returns the ids of the files from a sequence number on.
func (x *fixture) filesFrom(first int64, n int) (ids []string, next int64) {
	x.Helper()
	files, err := x.store.FilesFrom(x.ctx, first, n)
	x.ok(err)
	for _, f := range files {
		ids, next = append(ids, f.ID), f.Seq+1
	}
	return ids, next
}

// scrubCases say what the scrubber finds and leaves in a store.
var scrubCases = []group{
	{"scrubbing", []test{
		{"goes on where it was", func(x *fixture) {
			got, err := x.store.ScrubState(x.ctx)
			x.ok(err)
			x.same(got, store.ScrubState{})
			for _, want := range []store.ScrubState{
				{Started: x.now, File: 1 << 40, Offset: 1 << 50}, {Started: x.now, Finished: x.now.Add(time.Hour)},
			} {
				x.ok(x.store.SaveScrub(x.ctx, want))
				x.reopen()
				got, err = x.store.ScrubState(x.ctx)
				x.ok(err)
				x.same(got, want)
			}
		}},
		{"sees every tenant's files that are not deleted, in order", func(x *fixture) {
			x.createFiles("f1", "f2", "f3")
			f := x.newFile("f4")
			f.Tenant, f.ContentBlob, f.Content = stranger, blob("manifests/f4", 10), nil
			x.ok(x.store.CreateFile(x.ctx, f))
			x.ok(x.store.DeleteFile(x.ctx, tenant, "f2", x.now))
			ids, next := x.filesFrom(0, 2)
			x.same(ids, []string{"f1", "f3"})
			ids, next = x.filesFrom(next, 2)
			x.same(ids, []string{"f4"})
			ids, _ = x.filesFrom(next, 2)
			x.same(ids, []string(nil))
			files, err := x.store.FilesFrom(x.ctx, 0, 9)
			x.ok(err)
			x.same(files[0].Content, x.newFile("f1").Content)
			x.same(files[2].ContentBlob, f.ContentBlob)
			x.same(files[2].Purpose, batch.PurposeBatch)
		}},
		{"damage is new once, and keeps when it was found", func(x *fixture) {
			x.createFiles("f1", "f2")
			first := x.now
			x.same(x.damage("f1", "uploads/f1", store.ProblemDamaged), true)
			x.tick()
			x.same(x.damage("f1", "uploads/f1", store.ProblemMissing), false)
			x.same(x.damage("f1", "uploads/other", store.ProblemUnreadable), true)
			x.same(x.damage("f2", "uploads/f1", store.ProblemMissing), true)
			x.reopen()
			files, err := x.store.FilesFrom(x.ctx, 0, 9)
			x.ok(err)
			want := []store.Damage{
				{File: "f1", Seq: files[0].Seq, Key: "uploads/f1", Problem: store.ProblemMissing, Found: first, Seen: x.now},
				{File: "f1", Seq: files[0].Seq, Key: "uploads/other", Problem: store.ProblemUnreadable, Found: x.now, Seen: x.now},
				{File: "f2", Seq: files[1].Seq, Key: "uploads/f1", Problem: store.ProblemMissing, Found: x.now, Seen: x.now},
			}
			x.same(x.damages(9), want)
			x.same(x.damages(1), want[:1])
		}},
		{"damage that is not found again is forgotten", func(x *fixture) {
			x.createFiles("f1", "f2")
			x.damage("f1", "uploads/f1", store.ProblemDamaged)
			x.damage("f2", "uploads/f2", store.ProblemDamaged)
			x.tick()
			x.ok(x.store.ForgetDamage(x.ctx, x.now.Add(-time.Hour)))
			x.same(len(x.damages(9)), 2)
			x.damage("f2", "uploads/f2", store.ProblemDamaged)
			x.ok(x.store.ForgetDamage(x.ctx, x.now))
			left := x.damages(9)
			x.same(len(left), 1)
			x.same(left[0].File, "f2")
			x.same(x.damage("f1", "uploads/f1", store.ProblemDamaged), true)
		}},
		{"damage can be dropped blob by blob", func(x *fixture) {
			x.createFiles("f1", "f2")
			for _, at := range [][2]string{{"f1", "a"}, {"f1", "b"}, {"f2", "a"}} {
				x.damage(at[0], at[1], store.ProblemDamaged)
			}
			x.ok(x.store.DropDamage(x.ctx, "f1", "a"))
			x.ok(x.store.DropDamage(x.ctx, "f1", "a"))
			x.ok(x.store.DropDamage(x.ctx, "nothing", "a"))
			left := x.damages(9)
			x.same(len(left), 2)
			x.same([]string{left[0].File, left[0].Key, left[1].File, left[1].Key}, []string{"f1", "b", "f2", "a"})
		}},
		// A file that its user deletes while it is read loses its blobs: that is no damage.
		{"a file that is deleted or gone has none", func(x *fixture) {
			x.createFiles("f1", "f2")
			x.damage("f1", "uploads/f1", store.ProblemDamaged)
			x.ok(x.store.DeleteFile(x.ctx, tenant, "f1", x.now))
			x.same(x.damages(9), []store.Damage(nil))
			x.same(x.damage("f1", "uploads/more", store.ProblemDamaged), false)
			x.tick()
			x.same(x.purge(), 1)
			x.same(x.damage("f1", "uploads/f1", store.ProblemDamaged), false)
			x.same(x.damages(9), []store.Damage(nil))
		}},
	}},
}
