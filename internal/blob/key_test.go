package blob_test

import (
	"errors"
	"path"
	"strings"
	"testing"

	"batchd/internal/blob"
)

func FuzzCheckKeyLetsNothingOutOfADirectory(f *testing.F) {
	for _, key := range []string{
		"files/file-0198", "segments/b1/3-9f2c", "a", "..", "a/../b", "", "/", "a//b", "%2e%2e/x", "a\\b", "...",
		strings.Repeat("a/", 300),
	} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		err := blob.CheckKey(key)
		if err != nil {
			if !errors.Is(err, blob.ErrBadKey) {
				t.Errorf("CheckKey(%q) = %v, want ErrBadKey", key, err)
			}
			return
		}
		joined := path.Join("/root", key)
		if joined != "/root/"+key || len(key) > 512 {
			t.Errorf("key %q is taken but stands for %q", key, joined)
		}
		if i := strings.IndexFunc(key, func(r rune) bool {
			return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/", r)
		}); i >= 0 {
			t.Errorf("key %q is taken with byte %d out of the alphabet", key, i)
		}
	})
}
