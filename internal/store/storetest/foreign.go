package storetest

import (
	"strings"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// answer is all that a method returns.
type answer struct {
	Value any
	Err   string
}

func answerOf(value any, err error) answer {
	a := answer{Value: value}
	if err != nil {
		a.Err = err.Error()
	}
	return a
}

// foreignCalls are the methods that take a tenant and an id, each called by the stranger.
func (x *fixture) foreignCalls() map[string]func(id string) answer {
	s, now := x.store, x.now
	return map[string]func(id string) answer{
		"File":       func(id string) answer { return answerOf(s.File(x.ctx, stranger, id, now)) },
		"DeleteFile": func(id string) answer { return answerOf(nil, s.DeleteFile(x.ctx, stranger, id, now)) },
		"ListFiles": func(id string) answer {
			return answerOf(s.ListFiles(x.ctx, stranger, store.FileQuery{After: id, Limit: 9, Now: now}))
		},
		"ListFiles of a purpose": func(id string) answer {
			q := store.FileQuery{After: id, Limit: 9, Now: now, Purpose: batch.PurposeBatch, Ascending: true}
			return answerOf(s.ListFiles(x.ctx, stranger, q))
		},
		"CreateBatch": func(id string) answer {
			b := x.newBatch("new")
			b.Tenant, b.InputFileID = stranger, id
			return answerOf(nil, s.CreateBatch(x.ctx, b))
		},
		"CreateBatchOnce": func(id string) answer {
			b := x.newBatch("new")
			b.Tenant, b.InputFileID = stranger, id
			return answerOf(s.CreateBatchOnce(x.ctx, b, callOf("k", "call")))
		},
		"BatchOfKey": func(id string) answer {
			return answerOf(s.BatchOfKey(x.ctx, stranger, callOf(id, "call"), now))
		},
		"Batch":       func(id string) answer { return answerOf(s.Batch(x.ctx, stranger, id)) },
		"CancelBatch": func(id string) answer { return answerOf(s.CancelBatch(x.ctx, stranger, id, now)) },
		"EditBatch": func(id string) answer {
			remark := "mine"
			return answerOf(s.EditBatch(x.ctx, stranger, id, store.Edit{Remark: &remark}, now))
		},
		"ListBatches": func(id string) answer {
			return answerOf(s.ListBatches(x.ctx, stranger, store.BatchQuery{After: id, Limit: 9}))
		},
		"ListBatches of a state": func(id string) answer {
			q := store.BatchQuery{After: id, Limit: 9, Statuses: []batch.Status{batch.InProgress}}
			return answerOf(s.ListBatches(x.ctx, stranger, q))
		},
		"Upload": func(id string) answer {
			u, f, err := s.Upload(x.ctx, stranger, id, now)
			return answerOf([]any{u, f}, err)
		},
		"AddPart": func(id string) answer {
			return answerOf(nil, s.AddPart(x.ctx, stranger, x.newPart(id, "new", 1), now))
		},
		"Parts": func(id string) answer { return answerOf(s.Parts(x.ctx, stranger, id)) },
		"CompleteUpload": func(id string) answer {
			f := x.newFile("new")
			f.Tenant = stranger
			u, made, err := s.CompleteUpload(x.ctx, stranger, id, f, now)
			return answerOf([]any{u, made}, err)
		},
		"CancelUpload": func(id string) answer { return answerOf(s.CancelUpload(x.ctx, stranger, id, now)) },
	}
}

// fillStore fills the store with a tenant's objects in every state that an id can name, and returns their ids. None is
// part of a word that a message may use.
func (x *fixture) fillStore() []string {
	x.Helper()
	x.limit(tenant, store.Limits{})
	x.limit(stranger, store.Limits{})
	x.createFiles("id_here", "id_gone")
	x.ok(x.store.DeleteFile(x.ctx, tenant, "id_gone", x.now))
	x.createExpiring("id_past")
	x.begin("id_wait", "id_part")
	x.begin("id_done", "id_kept")
	x.complete("id_done", "id_kept")
	x.begin("id_left", "id_lost")
	_, err := x.store.CancelUpload(x.ctx, tenant, "id_left", x.now)
	x.ok(err)
	x.createOnce("id_new", callOf("id_key", "call"))
	x.start("id_run", 1)
	x.start("id_end", 1)
	x.seal(x.take("id_end", 1))
	x.close("id_end")
	x.tick()
	return []string{
		"id_here", "id_gone", "id_past", "id_wait", "id_part", "id_done", "id_kept", "id_left", "id_new", "id_key", "id_run",
		"id_end",
	}
}

// foreignCases say that a tenant can neither see nor change, nor even tell apart from nothing, what another has.
var foreignCases = []group{
	{"D9 foreign ids", []test{
		// Ids are not secret. A difference would tell a stranger that there is such an object.
		{"every method answers a foreign id exactly as an absent one", func(x *fixture) {
			ids := x.fillStore()
			for name, call := range x.foreignCalls() {
				want := call("none")
				if want.Err == "" {
					x.Errorf("%s found what is not there", name)
				}
				for _, id := range ids {
					got := call(id)
					got.Err = strings.ReplaceAll(got.Err, id, "none")
					x.same([]any{name, id, got}, []any{name, id, want})
				}
			}
		}},
		{"no call of a stranger changes anything", func(x *fixture) {
			ids := x.fillStore()
			seen := func() []any {
				batches, err := x.store.ListBatches(x.ctx, tenant, store.BatchQuery{Limit: 99})
				x.ok(err)
				files, err := x.store.ListFiles(x.ctx, tenant, store.FileQuery{Limit: 99, Now: x.now})
				x.ok(err)
				all := []any{batches, files, x.usage(tenant), x.usage(stranger), x.partIDs("id_wait")}
				for _, id := range []string{"id_wait", "id_done", "id_left"} {
					u, f := x.upload(id)
					all = append(all, u, f)
				}
				return all
			}
			want := seen()
			for _, call := range x.foreignCalls() {
				for _, id := range ids {
					call(id)
				}
			}
			x.same(seen(), want)
		}},
	}},
}
