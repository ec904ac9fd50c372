package diskusage_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"batchd/internal/blob"
	"batchd/internal/datadir"
	"batchd/internal/diskusage"
	"batchd/internal/store"
	"batchd/internal/vfs/memfs"

	"github.com/google/go-cmp/cmp"
)

// rows is a store by the beginning of keys: "acme/result/…" is a result of acme, and what has no use there is unreferenced.
type rows struct {
	// asked is the most keys that were asked about at a time.
	asked int
}

func (r *rows) BlobOwners(_ context.Context, keys []string) ([]store.BlobOwner, error) {
	r.asked = max(r.asked, len(keys))
	var all []store.BlobOwner
	for _, key := range keys {
		parts := strings.Split(key, "/")
		if parts[1] == "none" {
			all = append(all, store.BlobOwner{Use: store.BlobUnreferenced})
			continue
		}
		all = append(all, store.BlobOwner{Use: store.BlobUse(parts[1]), Tenant: parts[0]})
	}
	return all, nil
}

func (r *rows) ListTenants(context.Context) ([]store.Tenant, error) {
	return []store.Tenant{{ID: "acme", Name: "Acme & Sons"}, {ID: "idle", Name: "idle"}}, nil
}

// write puts a file of so many bytes on a disk.
func write(t *testing.T, fsys *memfs.FS, name string, bytes int) {
	t.Helper()
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		if err := fsys.MkdirAll(name[:i]); err != nil {
			t.Fatal(err)
		}
	}
	f, err := fsys.Create(name)
	if err == nil {
		_, err = f.Write(make([]byte, bytes))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// survey surveys blobs of these sizes by key, beside a disk with a database and journals.
func survey(t *testing.T, r *rows, fsys *memfs.FS, blobs map[string]int64) diskusage.Usage {
	t.Helper()
	u, err := diskusage.Survey(t.Context(), diskusage.Options{
		Store: r, FS: fsys, Temp: []string{"tmp", "blobs/tmp"}, Now: func() time.Time { return time.Unix(1790000000, 0) },
		List: func(_ context.Context, fn func(blob.Info) error) error {
			for key, size := range blobs {
				if err := fn(blob.Info{Key: key, Size: size}); err != nil {
					return err
				}
			}
			return nil
		},
		Room: func() (datadir.Room, error) { return datadir.Room{Free: 10, Total: 100, Floor: 5}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestEverythingIsCountedOnceUnderItsUseAndTenant(t *testing.T) {
	t.Parallel()
	fsys := memfs.New()
	write(t, fsys, datadir.Database, 100)
	write(t, fsys, datadir.Database+"-wal", 20)
	write(t, fsys, datadir.Journals+"/a.journal", 7)
	write(t, fsys, datadir.Lost+"/deep/b.journal", 9)
	write(t, fsys, "tmp/x", 1)
	write(t, fsys, "blobs/tmp/y", 2)
	write(t, fsys, datadir.LockFile, 4)
	u := survey(t, &rows{}, fsys, map[string]int64{
		"acme/input/1": 10, "acme/result/1": 20, "acme/result/2": 30, "acme/plan/1": 40, "acme/deleted/1": 50,
		"gone/input/1": 1000, "x/none/1": 3,
	})
	amount := func(bytes, objects int64) diskusage.Amount { return diskusage.Amount{Bytes: bytes, Objects: objects} }
	acme := diskusage.Kept{Inputs: amount(10, 1), Results: amount(50, 2), Plans: amount(40, 1), Deleted: amount(50, 1)}
	want := diskusage.Usage{
		At: time.Unix(1790000000, 0), Unreferenced: amount(3, 1), Database: amount(120, 2), Journals: amount(7, 1), Temporary: amount(3, 2),
		Lost: amount(9, 1), Disk: datadir.Room{Free: 10, Total: 100, Floor: 5},
		Kept: diskusage.Kept{Inputs: amount(1010, 2), Results: acme.Results, Plans: acme.Plans, Deleted: acme.Deleted},
		Tenants: []diskusage.Tenant{
			{ID: "gone", Name: "gone", Kept: diskusage.Kept{Inputs: amount(1000, 1)}}, {ID: "acme", Name: "Acme & Sons", Kept: acme},
		},
	}
	if diff := cmp.Diff(want, u); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := u.Total(); got != amount(1292, 13) {
		t.Errorf("total: got %+v", got)
	}
}

// A million blobs are asked about in pieces, and an empty directory is no fault.
func TestTheStoreIsAskedAboutABoundedNumberOfBlobs(t *testing.T) {
	t.Parallel()
	blobs := make(map[string]int64)
	for i := range 1234 {
		blobs[fmt.Sprintf("acme/input/%d", i)] = 1
	}
	r := &rows{}
	if u := survey(t, r, memfs.New(), blobs); u.Inputs.Objects != 1234 || r.asked > 500 {
		t.Errorf("counted %d, asked about %d at a time", u.Inputs.Objects, r.asked)
	}
	if u := survey(t, r, memfs.New(), nil); u.Total() != (diskusage.Amount{}) {
		t.Errorf("nothing takes %+v", u.Total())
	}
}

func TestADiskThatDoesNotTellIsNull(t *testing.T) {
	t.Parallel()
	raw, err := json.Marshal(diskusage.Usage{At: time.Unix(5, 0)})
	if err != nil || !strings.Contains(string(raw), `"tenants":[],"disk":null`) || !strings.Contains(string(raw), `"created_at":5`) {
		t.Errorf("got %s, %v", raw, err)
	}
}
