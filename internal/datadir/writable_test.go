package datadir_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/datadir"
)

func TestOnlyWhatCanStoreNothingIsAProblem(t *testing.T) {
	t.Parallel()
	full := errors.New("no space left on device")
	var disk, store error
	asked := 0
	now := time.Unix(1790000000, 0)
	w := datadir.NewWritable(func() error { asked++; return disk }, func() error { asked++; return store }, func() time.Time { return now })
	check := func(what string, low, faulty bool, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, w.Problems(low, faulty)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	check("all is well", false, false)
	if asked != 0 {
		t.Error("the disk was written to for nothing")
	}
	check("nearly full, but it takes something", true, false)
	disk, store = full, full
	check("just asked", true, false)
	now = now.Add(3 * time.Second)
	check("full", true, false, "the disk takes nothing", "the database takes nothing")
	disk = nil
	now = now.Add(3 * time.Second)
	check("a database that fails", false, true, "the database takes nothing")
	store = nil
	now = now.Add(3 * time.Second)
	check("it is back", false, true)
}
