package blobtest

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/blob"
)

// put stores an object, or ends the test.
func put(t *testing.T, b blob.Backend, key string, contents []byte) {
	t.Helper()
	n, err := b.Put(t.Context(), key, bytes.NewReader(contents))
	if n != int64(len(contents)) || err != nil {
		t.Fatalf("put %.40s = %d, %v, want %d", key, n, err, len(contents))
	}
}

// wantObject reports an error unless the object is there with these contents, and returns what Stat says.
func wantObject(t *testing.T, b blob.Backend, key string, want []byte) blob.Info {
	t.Helper()
	info, err := b.Stat(t.Context(), key)
	if err != nil || info.Size != int64(len(want)) {
		t.Errorf("stat %.40s = %+v, %v, want %d bytes", key, info, err, len(want))
	}
	got := make([]byte, len(want)+1) // one byte more, to notice an object that is too long
	n, err := b.ReadAt(t.Context(), key, got, 0)
	if !errors.Is(err, io.EOF) || !bytes.Equal(got[:n], want) {
		t.Errorf("read %.40s = %d bytes, or wrong ones, %v, want %d", key, n, err, len(want))
	}
	return info
}

// wantNoObject reports an error if there is an object, by Stat or to read.
func wantNoObject(t *testing.T, b blob.Backend, key string) {
	t.Helper()
	if info, err := b.Stat(t.Context(), key); !errors.Is(err, blob.ErrNotExist) {
		t.Errorf("stat %s = %+v, %v, want ErrNotExist", key, info, err)
	}
	if n, err := b.ReadAt(t.Context(), key, make([]byte, 1), 0); n != 0 || !errors.Is(err, blob.ErrNotExist) {
		t.Errorf("read %s = %d, %v, want ErrNotExist", key, n, err)
	}
}

// wantKeys reports an error unless the prefix lists exactly these keys, each once.
func wantKeys(t *testing.T, b blob.Backend, prefix string, want ...string) {
	t.Helper()
	var got []string
	err := b.List(t.Context(), prefix, func(info blob.Info) error {
		got = append(got, info.Key)
		return nil
	})
	if err != nil {
		t.Errorf("list %q: %v", prefix, err)
	}
	slices.Sort(got)
	want = slices.Sorted(slices.Values(want))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("list %q (-want +got):\n%s", prefix, diff)
	}
}
