package blobtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"batchd/internal/batch"
	"batchd/internal/blob"
)

// readCases say what reading and looking at an object answers, also where there is none.
var readCases = []test{
	{"absent object", func(t *testing.T, b blob.Backend) {
		wantNoObject(t, b, "files/absent")
		wantNoObject(t, b, "no/such/directory/absent")
		wantKeys(t, b, "")
	}},
	{"read at and past the end", func(t *testing.T, b blob.Backend) {
		want := Random(10, batch.BlobBlock+100)
		put(t, b, "a", want)
		for _, test := range []struct {
			off, len, want int
		}{
			{0, len(want), len(want)},
			{0, 1, 1},
			{batch.BlobBlock - 1, 2, 2},
			{len(want) - 1, 1, 1},
			{len(want) - 10, 11, 10},
			{0, len(want) + 1, len(want)},
			{len(want), 1, 0},
			{len(want) + 1000, 1, 0},
			{5, 0, 0},
		} {
			p := make([]byte, test.len)
			n, err := b.ReadAt(t.Context(), "a", p, int64(test.off))
			if n != test.want || test.want > 0 && !bytes.Equal(p[:n], want[test.off:test.off+n]) {
				t.Errorf("read %d at %d = %d bytes, or wrong ones, want %d", test.len, test.off, n, test.want)
			}
			if short := test.want < test.len; short != errors.Is(err, io.EOF) || !short && err != nil {
				t.Errorf("read %d at %d: error = %v, want io.EOF: %v", test.len, test.off, err, short)
			}
		}
		if _, err := b.ReadAt(t.Context(), "a", make([]byte, 1), -1); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("read at -1: error = %v, want one that is not io.EOF", err)
		}
	}},
	{"stat", func(t *testing.T, b blob.Backend) {
		put(t, b, "files/a", Random(11, 1234))
		first := wantObject(t, b, "files/a", Random(11, 1234))
		if first.Key != "files/a" || first.Stored.IsZero() {
			t.Errorf("stat = %+v, want the key and a time", first)
		}
		err := b.List(t.Context(), "files/", func(listed blob.Info) error {
			if listed.Key != first.Key || listed.Size != first.Size || !listed.Stored.Equal(first.Stored) {
				t.Errorf("list says %+v, stat %+v", listed, first)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}},
	{"other calls with cancelled context", func(t *testing.T, b blob.Backend) {
		put(t, b, "files/a", Random(8, 100))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, readErr := b.ReadAt(ctx, "files/a", make([]byte, 1), 0)
		_, statErr := b.Stat(ctx, "files/a")
		listErr := b.List(ctx, "", func(blob.Info) error { return nil })
		for what, err := range map[string]error{
			"read": readErr, "stat": statErr, "list": listErr, "delete": b.Delete(ctx, "files/a"),
		} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: error = %v, want context.Canceled", what, err)
			}
		}
		wantObject(t, b, "files/a", Random(8, 100))
	}},
}
