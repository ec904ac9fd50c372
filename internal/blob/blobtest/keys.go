package blobtest

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"batchd/internal/blob"
)

// keyCases say what a key may be, whatever a backend makes of it: "a" and "a/b" are both objects.
var keyCases = []test{
	{"good keys", func(t *testing.T, b blob.Backend) {
		longest := strings.Repeat(strings.Repeat("k", 127)+"/", 3) + strings.Repeat("l", 128)
		keys := []string{
			"a", "0", "A.b_c-d", ".hidden", "-", "...", "a..b/..c/d..", "a/b/c/d/e/f", "tmp/a", "objects/a",
			strings.Repeat("s", 200), longest,
		}
		for i, key := range keys {
			put(t, b, key, Random(uint64(i), 10+i))
		}
		for i, key := range keys {
			wantObject(t, b, key, Random(uint64(i), 10+i))
		}
		slices.Sort(keys)
		wantKeys(t, b, "", keys...)
	}},
	{"a key that begins another", func(t *testing.T, b blob.Backend) {
		keys := []string{"a/b/c", "a", "a/b", "a.d", "a.d/b"}
		for i, key := range keys {
			put(t, b, key, Random(uint64(i), 20))
		}
		for i, key := range keys {
			wantObject(t, b, key, Random(uint64(i), 20))
		}
		slices.Sort(keys)
		wantKeys(t, b, "", keys...)
	}},
	{"bad keys", func(t *testing.T, b blob.Backend) {
		for _, key := range badKeys {
			_, putErr := b.Put(t.Context(), key, strings.NewReader("x"))
			_, readErr := b.ReadAt(t.Context(), key, make([]byte, 1), 0)
			_, statErr := b.Stat(t.Context(), key)
			for what, err := range map[string]error{
				"put": putErr, "read": readErr, "stat": statErr, "delete": b.Delete(t.Context(), key),
			} {
				if !errors.Is(err, blob.ErrBadKey) {
					t.Errorf("%s of %.40q: error = %v, want ErrBadKey", what, key, err)
				}
			}
		}
		wantKeys(t, b, "")
	}},
}

// badKeys are refused by every method: they leave the directory, stand for something else on some file system, or are too
// long.
var badKeys = []string{
	"", "/", "/a", "a/", "a//b", ".", "..", "./a", "a/.", "a/./b", "../a", "a/..", "a/../b", "../../etc/passwd",
	"%2e%2e/a", "a%2fb", "a\\b", "..\\a", "C:a", "a b", "a\x00", "a\n", "é", "a*", "a?", "a@", "~", "a+b",
	strings.Repeat("s", 201), strings.Repeat("k/", 256) + "k",
}
