package check_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/blob/disk"
	"batchd/internal/check"
	"batchd/internal/journal"
	"batchd/internal/store"
	"batchd/internal/vfs/memfs"
)

// rows is the metadata store as Start sees it: the units of the batches that it knows.
type rows map[string][]store.UnitRow

func (r rows) UnknownBatches(_ context.Context, ids []string) ([]string, error) {
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return r[id] != nil }), nil
}

func (r rows) UnitRows(_ context.Context, id string, first, n int) ([]store.UnitRow, error) {
	units, ok := r[id]
	if !ok {
		return nil, store.ErrNotFound
	}
	return units[min(first, len(units)):min(first+n, len(units))], nil
}

// place is a data directory in memory with the rows of its database.
type place struct {
	t     testing.TB
	fsys  *memfs.FS
	blobs *disk.Backend
	rows  rows
}

func newPlace(t testing.TB) *place {
	t.Helper()
	fsys := memfs.New()
	blobs, err := disk.New(fsys, "blobs", disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := fsys.MkdirAll("journals"); err != nil {
		t.Fatal(err)
	}
	return &place{t, fsys, blobs, rows{}}
}

func (p *place) start() error {
	return check.Start(p.t.Context(), check.StartOptions{Dir: "/data", Disk: p.fsys, Blobs: p.blobs, Store: p.rows})
}

// put stores an object.
func (p *place) put(key string) {
	p.t.Helper()
	if _, err := p.blobs.Put(p.t.Context(), key, strings.NewReader("x")); err != nil {
		p.t.Fatal(err)
	}
}

// journal makes a journal of a unit under a lease, adopted by others.
func (p *place) journal(id string, unit int, lease batch.LeaseID, adopted ...batch.LeaseID) string {
	p.t.Helper()
	name := fmt.Sprintf("journals/%s-%d-%s.journal", id, unit, lease)
	j, err := journal.Create(p.fsys, name, journal.Header{Unit: batch.UnitID{Batch: id, Ordinal: unit}, Lease: lease})
	if err != nil {
		p.t.Fatal(err)
	}
	for _, l := range adopted {
		err = errors.Join(err, j.Adopt(l))
	}
	if err := errors.Join(err, j.Close()); err != nil {
		p.t.Fatal(err)
	}
	return name
}

// unit is the row of a unit under a lease.
func unit(id string, ordinal int, lease batch.LeaseID) store.UnitRow {
	return store.UnitRow{Unit: batch.Unit{UnitID: batch.UnitID{Batch: id, Ordinal: ordinal}, Lease: lease}}
}

func TestAStartPassesOverWhatACrashLeaves(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	if err := p.start(); err != nil {
		t.Fatalf("an empty directory: %v", err)
	}
	held, old, next := batch.NewLeaseID(), batch.NewLeaseID(), batch.NewLeaseID()
	sealed := unit("batch_a", 2, batch.NewLeaseID())
	sealed.Seal = &batch.Seal{}
	p.rows["batch_a"] = []store.UnitRow{unit("batch_a", 0, held), unit("batch_a", 1, next), sealed}
	p.rows["batch-with-hyphens"] = []store.UnitRow{}
	p.put("files/0123456789abcdef0123456789abcdef")
	p.put("files/of-an-older-form")
	p.put("segments/of-no-batch")
	for _, id := range []string{"batch_a", "batch-with-hyphens"} {
		p.put(blob.BatchKey("plans", id, batch.NewLeaseID().String()))
		p.put(blob.BatchKey("segments", id, "0-"+batch.NewLeaseID().String()))
	}
	p.journal("batch_a", 0, held)
	p.journal("batch_a", 1, old, batch.NewLeaseID(), next) // adopted, and adopted again
	p.journal("batch_a", 2, batch.NewLeaseID())            // of a sealed unit
	if err := p.fsys.Rename(p.journal("batch_gone", 0, old), "journals/x.journal.unusable"); err != nil {
		t.Fatal(err)
	}
	f, err := p.fsys.Create("journals/no-header.journal")
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	if err := p.start(); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestD12AStartOverADatabaseThatLostTimeIsRefused(t *testing.T) {
	t.Parallel()
	lease, other := batch.NewLeaseID(), batch.NewLeaseID()
	for name, c := range map[string]struct {
		prepare func(p *place) (file string)
		problem string
		others  int
	}{
		"plan of an unknown batch": {func(p *place) string {
			key := blob.BatchKey("plans", "batch_b", lease.String())
			p.put(key)
			return p.blobs.File(key)
		}, "is of batch batch_b, of which batchd.db has no row", 0},
		"segments of unknown batches": {func(p *place) string {
			first := blob.BatchKey("segments", "batch_b", "0-"+lease.String())
			p.put(first)
			p.put(blob.BatchKey("segments", "batch_b", "1-"+lease.String()))
			p.put(blob.BatchKey("segments", "batch_a", "1-"+lease.String()))
			return p.blobs.File(first)
		}, "is of batch batch_b, of which batchd.db has no row", 1},
		"journal of an unknown batch": {
			func(p *place) string { return p.journal("batch_b", 0, lease) },
			"is of batch batch_b, of which batchd.db has no row", 0,
		},
		"journal of a unit that is not there": {
			func(p *place) string { return p.journal("batch_a", 2, lease) },
			"is of unit 2 of batch batch_a, of which batchd.db has no row", 0,
		},
		"journal of a unit that was never leased": {
			func(p *place) string { return p.journal("batch_a", 1, lease) },
			"holds results of unit 1 of batch batch_a, which was never leased by its row in batchd.db", 0,
		},
		"journal under another lease": {
			func(p *place) string { return p.journal("batch_a", 0, lease, batch.NewLeaseID()) },
			fmt.Sprintf("holds results of unit 0 of batch batch_a under lease %s, and its row in batchd.db carries lease %s", lease, other), 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			p.rows["batch_a"] = []store.UnitRow{unit("batch_a", 0, other), unit("batch_a", 1, batch.LeaseID{})}
			file := c.prepare(p)
			err := p.start()
			var refused *check.RefusedError
			if !errors.As(err, &refused) {
				t.Fatalf("got %v, want a refusal", err)
			}
			if refused.File != file || refused.Problem != c.problem || refused.Others != c.others {
				t.Errorf("got %+v, want %s %s, and %d others", refused, file, c.problem, c.others)
			}
			for _, part := range []string{"/data", file, c.problem, "`batchd check /data`", "`batchd repair /data`", "--accept-older"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		})
	}
}

// TestAStartAsksOncePerThousandBatches counts what a start costs with a hundred thousand objects: it reads none of them, and
// the store is asked in pages.
func TestAStartAsksOncePerThousandBatches(t *testing.T) {
	t.Parallel()
	known := &asked{rows: rows{}}
	p := &named{}
	for n := range 50_000 {
		id := fmt.Sprintf("batch_%032x", n)
		known.rows[id] = []store.UnitRow{}
		p.keys = append(p.keys, blob.BatchKey("plans", id, batch.NewLeaseID().String()),
			blob.BatchKey("segments", id, "0-"+batch.NewLeaseID().String()))
	}
	err := check.Start(t.Context(), check.StartOptions{Dir: "/data", Disk: memfs.New(), Blobs: p, Store: known})
	if err != nil || known.times != 100 {
		t.Errorf("the store was asked %d times, %v, want 100", known.times, err)
	}
}

// asked counts how often the store is asked about batches.
type asked struct {
	rows
	times int
}

func (a *asked) UnknownBatches(ctx context.Context, ids []string) ([]string, error) {
	a.times++
	return a.rows.UnknownBatches(ctx, ids)
}

// named is keys without objects.
type named struct{ keys []string }

func (n *named) Keys(_ context.Context, prefix string, fn func(string) error) error {
	for _, key := range n.keys {
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		if err := fn(key); err != nil {
			return err
		}
	}
	return nil
}

func (n *named) File(key string) string { return key }

func TestKeysSayWhatTheyAreOf(t *testing.T) {
	t.Parallel()
	lease := batch.NewLeaseID().String()
	for key, want := range map[string]check.Object{
		blob.RandomKey(blob.Files):                    {Kind: check.Upload},
		blob.BatchKey("plans", "batch_a", lease):      {Kind: check.Plan, Batch: "batch_a", Tail: lease},
		blob.BatchKey("plans", "a-b", lease):          {Kind: check.Plan, Batch: "a-b", Tail: lease},
		blob.BatchKey("segments", "a-7", "12-"+lease): {Kind: check.Segment, Batch: "a-7", Unit: 12, Tail: lease},
		"manifests/batch_a/" + lease + "-output":      {Kind: check.Manifest, Batch: "batch_a", Tail: lease},
		"files/batch_a-" + lease + "-error":           {Kind: check.Result, Batch: "batch_a", Tail: lease},
		"plans/f/batch_a-" + lease:                    {Kind: check.Unknown}, // not where a plan of it lies
		"plans/p":                                     {Kind: check.Unknown},
		"segments/0/batch_a-x-" + lease:               {Kind: check.Unknown},
		"manifests/batch_a/output":                    {Kind: check.Unknown},
		"elsewhere/" + lease:                          {Kind: check.Unknown},
	} {
		if got := check.ParseKey(key); got != want {
			t.Errorf("%s: got %+v, want %+v", key, got, want)
		}
	}
}
