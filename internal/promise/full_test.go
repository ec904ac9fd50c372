//go:build !failpoint

package promise

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
)

// TestB02FullDisk has a disk that not a byte of fits on: nothing is created, every file can be deleted all the same, and a
// server that is killed there starts again.
func TestB02FullDisk(t *testing.T) {
	t.Parallel()
	n, disk := smallDisk(t, steady(0), "24m")
	n.start()
	in := input{lines: 100}
	var ids []string
	for range 60 {
		f, err := n.upload("input.jsonl", in.write)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, f.ID)
	}
	fillers := 0
	full := func() {
		fillers++
		fill(t, disk, filepath.Join(disk, fmt.Sprintf("filler-%d", fillers)), 0)
	}
	full()
	var refused *refusal
	if _, err := n.create(ids[0], "24h"); !errors.As(err, &refused) || refused.status != http.StatusInsufficientStorage {
		t.Errorf("create a batch: got %v, want 507", err)
	}
	if _, err := n.upload("input.jsonl", in.write); !errors.As(err, &refused) || refused.status != http.StatusInsufficientStorage {
		t.Errorf("upload: got %v, want 507", err)
	}
	remove := func(id string) {
		t.Helper()
		if _, err := n.do(http.MethodDelete, "/v1/files/"+id, "", nil); err != nil {
			t.Errorf("delete %s: %v", id, err)
		}
	}
	for _, id := range ids[:40] {
		remove(id)
	}
	full()
	n.kill()
	full()
	n.start()
	for _, id := range ids[40:] {
		remove(id)
	}
	n.kill()
	n.age()
	n.start()
	until(t, endWithin, "there is room again", func() bool {
		_, err := n.upload("input.jsonl", in.write)
		return err == nil
	})
	n.stop()
}
