package httpapi_test

import (
	"encoding/json"
	"testing"
	"time"

	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/dialect/openai"
)

// editable is a dialect whose batches can be edited.
type editable struct{ *openai.Dialect }

func (editable) ParseEditBatch(body []byte) (dialect.EditBatch, error) {
	var asked struct{ Remark *string }
	if err := json.Unmarshal(body, &asked); err != nil {
		return dialect.EditBatch{}, batch.Invalidf("remark", "", "No JSON.")
	}
	return dialect.EditBatch{Remark: asked.Remark}, nil
}

func TestEditChangesTheRemarkInEveryState(t *testing.T) {
	t.Parallel()
	for _, state := range []batch.Status{batch.Validating, batch.InProgress, batch.Finalizing, batch.Completed, batch.Failed} {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			clock := now
			f := newFixture(t, func(o *options) {
				o.Mounts[0].Dialect = editable{openai.New(openai.Options{})}
				o.Now = func() time.Time { return clock }
			})
			id := f.mustCreate(f.mustUpload(goodLine))
			f.advance(id, state)
			before, err := f.store.Batch(t.Context(), ours, id)
			if err != nil {
				t.Fatal(err)
			}
			clock = now.Add(time.Minute)
			if got := object(t, f.want(f.do("PATCH", "/v1/batches/"+id, `{"remark":"for the audit"}`), 200)); got["status"] != string(state) {
				t.Errorf("answer %v", got)
			}
			after, err := f.store.Batch(t.Context(), ours, id)
			if err != nil || after.Remark != "for the audit" || after.Version != before.Version+1 || !after.UpdatedAt.Equal(clock) {
				t.Errorf("remark %q, version %d after %d, updated %s, %v", after.Remark, after.Version, before.Version, after.UpdatedAt, err)
			}
		})
	}
}

func TestRefusedEditsChangeNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *options) { o.Mounts[0].Dialect = editable{openai.New(openai.Options{})} })
	id := f.mustCreate(f.mustUpload(goodLine))
	f.want(f.do("PATCH", "/v1/batches/"+id, `{"remark":`), 400)
	f.want(f.do("PATCH", "/v1/batches/batch_none", `{"remark":"x"}`), 404)
	f.want(f.do("PATCH", "/v1/batches/"+id, `{"remark":"x"}`, "Authorization", "Bearer theirs"), 404)
	f.want(f.do("PATCH", "/v1/batches/"+id, `{"remark":"x"}`, "Content-Encoding", "gzip"), 400)
	if b, err := f.store.Batch(t.Context(), ours, id); err != nil || b.Remark != "" || b.Version != 0 {
		t.Errorf("remark %q, version %d, %v", b.Remark, b.Version, err)
	}
}

func TestDialectsWithoutEditingTakeNoPatch(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]dialect.Dialect{
		"no editor": openai.New(openai.Options{}), "strict": editable{openai.New(openai.Options{Strict: true})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, func(o *options) { o.Mounts[0].Dialect = d })
			id := f.mustCreate(f.mustUpload(goodLine))
			for _, method := range []string{"PATCH", "PUT"} {
				w := f.do(method, "/v1/batches/"+id, `{"remark":"x"}`)
				if got := faultOf(t, w); got.Status != 405 || w.Header().Get("Allow") != "GET, HEAD" {
					t.Errorf("%s: fault %+v, Allow %q", method, got, w.Header().Get("Allow"))
				}
			}
		})
	}
}

func TestEditorsRouteNamesPatchAmongItsMethods(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *options) { o.Mounts[0].Dialect = editable{openai.New(openai.Options{})} })
	if got := f.do("PUT", "/v1/batches/x", "").Header().Get("Allow"); got != "GET, HEAD, PATCH" {
		t.Errorf("Allow %q", got)
	}
}
