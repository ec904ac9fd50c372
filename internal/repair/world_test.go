package repair_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/blob/disk"
	"batchd/internal/check"
	"batchd/internal/datadir"
	"batchd/internal/dialect"
	"batchd/internal/dialect/openai"
	"batchd/internal/extsort"
	"batchd/internal/journal"
	"batchd/internal/plan"
	"batchd/internal/repair"
	"batchd/internal/store"
	"batchd/internal/store/sqlite"
	"batchd/internal/vfs"
)

var now = time.Unix(1_790_000_000, 0)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is a data directory.
type world struct {
	t       testing.TB
	fsys    *vfs.OS
	store   *sqlite.Store
	objects *disk.Backend
	blobs   blob.Store
	tenant  string
	// planned are the entries of the batches that were planned, a unit after the other, perUnit each.
	planned map[string][]plan.Entry
	units   map[string][]batch.UnitSpan
	// done is what was reported.
	done []repair.Action
}

const perUnit = 1000

func newWorld(t testing.TB) *world {
	t.Helper()
	fsys, err := vfs.NewOS(t.TempDir(), vfs.OSOptions{})
	must(t, err)
	must(t, errors.Join(fsys.MkdirAll(datadir.Journals), fsys.MkdirAll(datadir.Temp)))
	objects, err := disk.New(fsys, datadir.Blobs, disk.Options{})
	must(t, err)
	st, err := sqlite.Open(t.Context(), filepath.Join(fsys.Root(), datadir.Database), sqlite.Options{MayCreate: true})
	must(t, err)
	t.Cleanup(func() { _ = st.Close() })
	tenant, err := st.DefaultTenant(t.Context())
	must(t, err)
	return &world{
		t: t, fsys: fsys, store: st, objects: objects, blobs: blob.NewStore(objects, blob.Options{}), tenant: tenant,
		planned: map[string][]plan.Entry{}, units: map[string][]batch.UnitSpan{},
	}
}

// create stores an input of so many lines and a batch of it.
func (w *world) create(id string, lines int) {
	w.t.Helper()
	var text strings.Builder
	for i := range lines {
		fmt.Fprintf(&text, `{"custom_id":"c%d","method":"POST","url":"/v1/chat/completions","body":{"model":"m","messages":[]}}`+"\n", i+1)
	}
	ref, err := w.blobs.Put(w.t.Context(), blob.RandomKey(blob.Files), strings.NewReader(text.String()))
	must(w.t, err)
	content := batch.Manifest{}.Append(ref, 0, ref.Size)
	must(w.t, w.store.CreateFile(w.t.Context(), batch.File{
		ID: "file-" + id, Tenant: w.tenant, Dialect: openai.Name, Purpose: batch.PurposeBatch, Bytes: ref.Size, Lines: int64(lines), CreatedAt: now,
		Content: content,
	}))
	must(w.t, w.store.CreateBatch(w.t.Context(), batch.Batch{
		ID: id, Tenant: w.tenant, Dialect: openai.Name, Endpoint: "/v1/chat/completions", InputFileID: "file-" + id, Window: "24h",
		CreatedAt: now, ExpiresAt: now.Add(24 * time.Hour),
	}))
	w.plan(id, content)
}

// plan finds out what the plan of an input is, and leaves it where a process that died might have.
func (w *world) plan(id string, content batch.Manifest) plan.Result {
	w.t.Helper()
	result, err := plan.Validate(w.t.Context(), plan.Input{
		Blobs: w.blobs, Dialect: openai.New(openai.Options{}), Content: content, Rules: dialect.LineRules{Endpoint: "/v1/chat/completions"},
		Limits: batch.DefaultLimits(), PlanKey: blob.BatchKey("plans", id, batch.NewLeaseID().String()),
		Temp: extsort.Temp{FS: w.fsys, Dir: datadir.Temp},
	})
	must(w.t, err)
	entries, err := plan.ReadEntries(w.t.Context(), w.blobs, result.Plan, 0, int(result.Total))
	must(w.t, err)
	w.planned[id], w.units[id] = entries, result.Units
	return result
}

// start creates a batch and starts it.
func (w *world) start(id string, lines int) {
	w.t.Helper()
	w.create(id, lines)
	h := store.Holder{Node: "node", Lease: batch.NewLeaseID()}
	b, err := w.store.LeaseBatch(w.t.Context(), store.StageValidate, h)
	must(w.t, err)
	if b.ID != id {
		w.t.Fatalf("%s was leased", b.ID)
	}
	file, err := w.store.InputFile(w.t.Context(), id)
	must(w.t, err)
	result := w.plan(id, file.Content)
	must(w.t, w.store.StartBatch(w.t.Context(), store.Start{
		Batch: id, Lease: h.Lease, Now: now, Units: result.Units, Total: result.Total, Plan: result.Plan, Models: result.Models, InLineOrder: true,
	}))
}

// lines returns the numbers of the lines of a unit.
func (w *world) lines(id string, unit int) []uint32 {
	var lines []uint32
	span := w.units[id][unit]
	for _, e := range w.planned[id][span.First : span.First+int64(span.Count)] {
		lines = append(lines, e.Line)
	}
	return lines
}

// recordOf is the result of a line, the same each time: every tenth failed.
func recordOf(line uint32) journal.Record {
	r := journal.Record{Line: line, Kind: batch.KindOutput, Usage: batch.Usage{Input: 3, Output: 4, Total: 7}}
	if line%10 == 0 {
		r.Kind, r.Usage = batch.KindFailed, batch.Usage{}
		r.Text = batch.MemoryBody(fmt.Sprintf(`{"custom_id":"c%d","response":null,"error":{"code":"x"}}`, line))
		return r
	}
	r.Text = batch.MemoryBody(fmt.Sprintf(
		`{"custom_id":"c%d","response":{"body":{"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}},"error":null}`, line))
	return r
}

// journal makes a journal of a unit under a lease of its own with the results of some lines, and returns its name.
func (w *world) journal(id string, unit int, lines []uint32) string {
	w.t.Helper()
	name, j := w.openJournal(id, unit, lines)
	must(w.t, j.Close())
	return name
}

func (w *world) openJournal(id string, unit int, lines []uint32) (string, *journal.Journal) {
	w.t.Helper()
	lease := batch.NewLeaseID()
	name := fmt.Sprintf("%s/%s-%d-%s%s", datadir.Journals, id, unit, lease, journal.Suffix)
	j, err := journal.Create(w.fsys, name, journal.Header{Unit: batch.UnitID{Batch: id, Ordinal: unit}, Lease: lease})
	must(w.t, err)
	for _, line := range lines {
		must(w.t, j.Append(recordOf(line)))
	}
	return name, j
}

// segment stores a segment of a unit with the results of some lines, without a seal, and returns its key.
func (w *world) segment(id string, unit int, lines []uint32) string {
	w.t.Helper()
	_, j := w.openJournal(id, unit, lines)
	built, err := j.Build(blob.BatchKey("segments", id, fmt.Sprintf("%d-", unit)), lines, nil)
	must(w.t, err)
	_, err = w.blobs.Put(w.t.Context(), built.Key, built.Reader())
	must(w.t, errors.Join(err, built.Close(), j.Remove()))
	return built.Key
}

// damage changes a byte of an object.
func (w *world) damage(key string) {
	w.t.Helper()
	info, err := w.objects.Stat(w.t.Context(), key)
	must(w.t, err)
	raw := make([]byte, info.Size)
	_, err = w.objects.ReadAt(w.t.Context(), key, raw, 0)
	must(w.t, err)
	raw[len(raw)/2] ^= 1
	_, err = w.objects.Put(w.t.Context(), key, strings.NewReader(string(raw)))
	must(w.t, err)
}

// repair runs repair to its end.
func (w *world) repair(change ...func(*repair.Options)) {
	w.t.Helper()
	must(w.t, w.tryRepair(change...))
	must(w.t, check.Start(w.t.Context(), check.StartOptions{Dir: w.fsys.Root(), Disk: w.fsys, Blobs: w.objects, Store: w.store}))
}

func (w *world) tryRepair(change ...func(*repair.Options)) error {
	o := repair.Options{
		Disk: w.fsys, Store: w.store, Objects: w.objects, Blobs: w.blobs,
		Move:    func(name, as string) (string, error) { return datadir.SetAside(w.fsys, name, as) },
		Dialect: func(string) (dialect.Dialect, error) { return openai.New(openai.Options{}), nil },
		Temp:    extsort.Temp{FS: w.fsys, Dir: datadir.Temp}, Now: func() time.Time { return now },
		Report: func(a repair.Action) error { w.done = append(w.done, a); return nil },
	}
	for _, c := range change {
		c(&o)
	}
	return repair.Run(w.t.Context(), o)
}

// did checks what was reported, each thing as "step kind batch/unit results".
func (w *world) did(want ...string) {
	w.t.Helper()
	var got []string
	for _, a := range w.done {
		text := fmt.Sprintf("%s %s %s", a.Step, a.Kind, a.BatchID)
		if a.Unit != nil {
			text += fmt.Sprintf("/%d %d", *a.Unit, a.Results)
		}
		got = append(got, strings.TrimSpace(text))
		if a.Reason == "" || (a.KeptAs != "") != (a.Step == repair.SetAside) {
			w.t.Errorf("reported without why, or what it is now: %+v", a)
		}
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("got %q,\nwant %q", got, want)
	}
}

// unit returns a unit's row.
func (w *world) unit(id string, unit int) store.UnitRow {
	w.t.Helper()
	rows, err := w.store.UnitRows(w.t.Context(), id, unit, 1)
	must(w.t, err)
	if len(rows) != 1 {
		w.t.Fatalf("unit %d of %s has no row", unit, id)
	}
	return rows[0]
}
