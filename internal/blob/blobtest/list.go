package blobtest

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/blob"
)

// deleteCases say that deleting takes one object and no other.
var deleteCases = []test{
	{"delete", func(t *testing.T, b blob.Backend) {
		put(t, b, "files/a", Random(9, 100))
		for range 2 {
			if err := b.Delete(t.Context(), "files/a"); err != nil {
				t.Errorf("delete: %v", err)
			}
			wantNoObject(t, b, "files/a")
		}
		if err := b.Delete(t.Context(), "never/was"); err != nil {
			t.Errorf("delete of an absent object: %v", err)
		}
		put(t, b, "files/a", Random(9, 50))
		wantObject(t, b, "files/a", Random(9, 50))
	}},
	{"delete leaves the neighbours", func(t *testing.T, b blob.Backend) {
		keys := []string{"segments/b1/1", "segments/b1/2", "segments/b2/1", "segments/b1/sub/x"}
		for i, key := range keys {
			put(t, b, key, Random(uint64(i), 100))
		}
		for i, key := range keys {
			if err := b.Delete(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			wantKeys(t, b, "", keys[i+1:]...)
		}
		put(t, b, keys[0], Random(0, 100))
		wantKeys(t, b, "", keys[0])
	}},
}

// listCases say which objects a prefix lists. It is a prefix of the text of keys, not of their segments.
var listCases = []test{
	{"list by prefix", func(t *testing.T, b blob.Backend) {
		keys := []string{"a", "files/1", "files/10", "files/2", "plans/b1/l1", "plans/b1/l2", "plans/b10/l1", "plansx"}
		for i, key := range keys {
			put(t, b, key, Random(uint64(i), i))
		}
		for prefix, want := range map[string][]string{
			"":             keys,
			"a":            {"a"},
			"files/":       {"files/1", "files/10", "files/2"},
			"files":        {"files/1", "files/10", "files/2"},
			"files/1":      {"files/1", "files/10"},
			"files/10":     {"files/10"},
			"plans":        {"plans/b1/l1", "plans/b1/l2", "plans/b10/l1", "plansx"},
			"plans/b1":     {"plans/b1/l1", "plans/b1/l2", "plans/b10/l1"},
			"plans/b1/":    {"plans/b1/l1", "plans/b1/l2"},
			"none":         nil,
			"none/":        nil,
			"a/":           nil,
			"/":            nil,
			"/files":       nil,
			"files//":      nil,
			"../":          nil,
			"files/../":    nil,
			"files/1/":     nil,
			"files/\x00":   nil,
			"plans/b1/l1x": nil,
		} {
			wantKeys(t, b, prefix, want...)
		}
	}},
	{"list stops at an error", func(t *testing.T, b blob.Backend) {
		for _, key := range []string{"a/1", "a/2", "b/1"} {
			put(t, b, key, nil)
		}
		calls := 0
		err := b.List(t.Context(), "", func(blob.Info) error {
			calls++
			return errReader
		})
		if err != errReader || calls != 1 { //nolint:errorlint // the contract says: as it is
			t.Errorf("list = %v after %d calls, want fn's own error after one", err, calls)
		}
	}},
	{"list while deleting", func(t *testing.T, b blob.Backend) {
		keys := []string{"a/1", "a/2", "a/b/3", "c/4"}
		for _, key := range keys {
			put(t, b, key, Random(1, 10))
		}
		var seen []string
		err := b.List(t.Context(), "", func(info blob.Info) error {
			seen = append(seen, info.Key)
			return b.Delete(t.Context(), info.Key)
		})
		slices.Sort(seen)
		if diff := cmp.Diff(keys, seen); diff != "" || err != nil {
			t.Errorf("list = %v (-want +got):\n%s", err, diff)
		}
		wantKeys(t, b, "")
	}},
}
