package blobtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"batchd/internal/batch"
	"batchd/internal/blob"
)

// putCases say that an object is stored whole or not at all.
var putCases = []test{
	{"put and read back", func(t *testing.T, b blob.Backend) {
		want := Random(1, 10_000)
		put(t, b, "files/a", want)
		wantObject(t, b, "files/a", want)
	}},
	{"empty object", func(t *testing.T, b blob.Backend) {
		put(t, b, "empty", nil)
		wantObject(t, b, "empty", nil)
		n, err := b.ReadAt(t.Context(), "empty", make([]byte, 1), 0)
		if n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("read = %d, %v, want io.EOF", n, err)
		}
	}},
	// Of more than two blocks, so that a backend which handles blocks one by one has a whole one in the middle.
	{"large object", func(t *testing.T, b blob.Backend) {
		want := Random(2, 2*batch.BlobBlock+12_345)
		put(t, b, "files/large", want)
		wantObject(t, b, "files/large", want)
	}},
	{"putting the same again", func(t *testing.T, b blob.Backend) {
		want := Random(3, 5000)
		put(t, b, "files/a", want)
		put(t, b, "files/a", want)
		wantObject(t, b, "files/a", want)
		wantKeys(t, b, "", "files/a")
	}},
	// io.ErrUnexpectedEOF is also what io.ReadFull says of a short last piece, which is no failure.
	{"a failing reader leaves nothing", func(t *testing.T, b blob.Backend) {
		for name, err := range map[string]error{
			"an error of its own":          errReader,
			"the error of a broken upload": io.ErrUnexpectedEOF,
		} {
			for _, size := range []int{0, 1, 1000, batch.BlobBlock + 7} {
				r := io.MultiReader(bytes.NewReader(Random(4, size)), iotest.ErrReader(err))
				_, got := b.Put(t.Context(), "files/a", r)
				if !errors.Is(got, err) {
					t.Errorf("%s after %d bytes: put = %v, want that error", name, size, got)
				}
				wantNoObject(t, b, "files/a")
			}
		}
		wantKeys(t, b, "")
	}},
	{"a failing reader replaces nothing", func(t *testing.T, b blob.Backend) {
		want := Random(5, 5000)
		put(t, b, "files/a", want)
		r := io.MultiReader(bytes.NewReader(want[:1000]), iotest.ErrReader(errReader))
		if _, err := b.Put(t.Context(), "files/a", r); !errors.Is(err, errReader) {
			t.Errorf("put = %v, want the reader's error", err)
		}
		wantObject(t, b, "files/a", want)
	}},
	{"reads in odd pieces", func(t *testing.T, b blob.Backend) {
		want := Random(6, 5000)
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"byte by byte":          iotest.OneByteReader,
			"half of what is asked": iotest.HalfReader,
			"last bytes with EOF":   iotest.DataErrReader,
		} {
			n, err := b.Put(t.Context(), "files/a", wrap(bytes.NewReader(want)))
			if n != int64(len(want)) || err != nil {
				t.Errorf("%s: put = %d, %v, want %d", name, n, err, len(want))
			}
			wantObject(t, b, "files/a", want)
		}
	}},
	{"a reader that yields nothing", func(t *testing.T, b blob.Backend) {
		if _, err := b.Put(t.Context(), "files/a", stuck{}); !errors.Is(err, io.ErrNoProgress) {
			t.Errorf("put = %v, want io.ErrNoProgress", err)
		}
		wantNoObject(t, b, "files/a")
	}},
	{"put with a cancelled context", func(t *testing.T, b blob.Backend) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := b.Put(ctx, "files/a", bytes.NewReader(Random(7, 100)))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("put = %v, want context.Canceled", err)
		}
		wantNoObject(t, b, "files/a")
	}},
	{"put cancelled half way", func(t *testing.T, b blob.Backend) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		left := 3 * batch.BlobBlock
		r := readerFunc(func(p []byte) (int, error) {
			if left == 0 {
				return 0, io.EOF
			}
			if left < batch.BlobBlock {
				cancel()
			}
			n := min(left, len(p))
			left -= n
			return n, nil
		})
		if _, err := b.Put(ctx, "files/a", r); !errors.Is(err, context.Canceled) {
			t.Errorf("put = %v, want context.Canceled", err)
		}
		wantNoObject(t, b, "files/a")
		wantKeys(t, b, "")
	}},
}

// errReader is an error that no backend knows.
var errReader = errors.New("reader broke")

// stuck is a reader that breaks the rules: it returns nothing and no error, for ever.
type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

// readerFunc is a reader made of one function.
type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
