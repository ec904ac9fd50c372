package blobtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/batch"
	"batchd/internal/blob"
)

// size has two whole blocks and a short one.
const size = 2*batch.BlobBlock + 1000

// storeCases say what a Store adds to a backend: it reads ranges back, and hands out no byte that was not checked.
var storeCases = []test{
	{"every range reads back", func(t *testing.T, b blob.Backend) {
		for _, length := range []int{1, batch.BlobBlock, batch.BlobBlock + 1, size} {
			s, want := blob.NewStore(b, blob.Options{CacheBlocks: 2}), Random(uint64(length), length)
			ref := putStore(t, s, "files/a", want)
			if ref.Key != "files/a" || ref.Size != int64(length) || len(ref.Sums) != (length+batch.BlobBlock-1)/batch.BlobBlock {
				t.Errorf("reference = %s, %d bytes, %d checksums", ref.Key, ref.Size, len(ref.Sums))
			}
			edges := []int{0, 1, batch.BlobBlock - 1, batch.BlobBlock, batch.BlobBlock + 1, length - 1, length}
			for _, from := range edges {
				for _, to := range edges {
					if from <= to && to <= length {
						wantRange(t, s, ref, want, span{from, to})
					}
				}
			}
		}
	}},
	{"readers keep the rules", func(t *testing.T, b blob.Backend) {
		s, want := blob.NewStore(b, blob.Options{}), Random(1, size)
		ref := putStore(t, s, "a", want)
		r := s.Open(t.Context(), ref, 10, size-20)
		defer r.Close()
		if err := iotest.TestReader(r, want[10:size-10]); err != nil {
			t.Error(err)
		}
		tail := make([]byte, 20)
		n, err := s.ReadAt(t.Context(), ref, tail, size-5)
		if n != 5 || !errors.Is(err, io.EOF) || !bytes.Equal(tail[:5], want[size-5:]) {
			t.Errorf("read past the end = %d, %v, want the last 5 bytes and io.EOF", n, err)
		}
		if n, err := s.ReadAt(t.Context(), ref, tail, size+1); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("read beyond the end = %d, %v, want io.EOF", n, err)
		}
	}},
	{"no bytes", func(t *testing.T, b blob.Backend) {
		s := blob.NewStore(b, blob.Options{})
		ref := putStore(t, s, "a", nil)
		if ref.Size != 0 || len(ref.Sums) != 0 {
			t.Errorf("reference = %+v, want no bytes and no checksums", ref)
		}
		wantRange(t, s, ref, nil, span{0, 0})
	}},
	{"a flipped bit", func(t *testing.T, b blob.Backend) {
		sound := Random(2, size)
		for block := range 3 {
			first, last := block*batch.BlobBlock, min((block+1)*batch.BlobBlock, size)-1
			for _, at := range []int{first, last} {
				bad := bytes.Clone(sound)
				bad[at] ^= 0x10
				wantCorrupt(t, b, corruption{sound, bad, block}, 0)
				wantCorrupt(t, b, corruption{sound, bad, block}, min(at+1, last))
			}
		}
	}},
	{"cut off", func(t *testing.T, b blob.Backend) {
		sound := Random(3, size)
		for length, block := range map[int]int{0: 0, 1: 0, batch.BlobBlock: 1, 2 * batch.BlobBlock: 2, size - 1: 2} {
			wantCorrupt(t, b, corruption{sound, sound[:length], block}, 0)
		}
		whole := sound[:2*batch.BlobBlock]
		wantCorrupt(t, b, corruption{whole, whole[:len(whole)-1], 1}, 0)
	}},
	{"too long", func(t *testing.T, b blob.Backend) {
		for _, length := range []int{1, size, 2 * batch.BlobBlock} {
			sound := Random(4, length)
			wantCorrupt(t, b, corruption{sound, append(bytes.Clone(sound), 0), (length - 1) / batch.BlobBlock}, 0)
		}
	}},
	{"another object's reference", func(t *testing.T, b blob.Backend) {
		s := blob.NewStore(b, blob.Options{})
		one, two := putStore(t, s, "one", Random(5, 100)), putStore(t, s, "two", Random(6, 100))
		wantRange(t, s, one, Random(5, 100), span{0, 100})
		wantRange(t, s, two, Random(6, 100), span{0, 100})
		one.Sums = two.Sums // a cached block of the same place must not answer for it
		if _, err := s.ReadAt(t.Context(), one, make([]byte, 10), 0); !errors.Is(err, blob.ErrCorrupt) {
			t.Errorf("read = %v, want ErrCorrupt", err)
		}
	}},
	{"a reference without all checksums", func(t *testing.T, b blob.Backend) {
		s := blob.NewStore(b, blob.Options{})
		ref := putStore(t, s, "a", Random(7, size))
		for name, bad := range map[string]batch.Blob{
			"none":       {Key: "a", Size: size},
			"too few":    {Key: "a", Size: size, Sums: ref.Sums[:2]},
			"too many":   {Key: "a", Size: size, Sums: append(slices.Clone(ref.Sums), 0)},
			"of no size": {Key: "a", Size: -1},
		} {
			if _, err := s.ReadAt(t.Context(), bad, make([]byte, 1), 0); !errors.Is(err, blob.ErrCorrupt) {
				t.Errorf("%s: read = %v, want ErrCorrupt", name, err)
			}
			if bad.Size < 0 {
				continue
			}
			if _, err := s.Open(t.Context(), bad, 0, 1).Read(make([]byte, 1)); !errors.Is(err, blob.ErrCorrupt) {
				t.Errorf("%s: stream = %v, want ErrCorrupt", name, err)
			}
		}
	}},
	{"ranges outside the object", func(t *testing.T, b blob.Backend) {
		const huge = 1<<63 - 1
		s := blob.NewStore(b, blob.Options{})
		ref := putStore(t, s, "a", Random(8, 100))
		for _, r := range [][2]int64{{-1, 1}, {0, -1}, {0, 101}, {100, 1}, {101, 0}, {huge, huge}, {1, huge}, {huge, 1}} {
			n, err := s.Open(t.Context(), ref, r[0], r[1]).Read(make([]byte, 1))
			if n != 0 || err == nil || errors.Is(err, io.EOF) {
				t.Errorf("open %d at %d: read = %d, %v, want an error that is not io.EOF", r[1], r[0], n, err)
			}
		}
		if _, err := s.ReadAt(t.Context(), ref, make([]byte, 1), -1); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("read at -1 = %v, want an error that is not io.EOF", err)
		}
	}},
	{"absent object", func(t *testing.T, b blob.Backend) {
		s := blob.NewStore(b, blob.Options{})
		ref := batch.Blob{Key: "absent", Size: 1, Sums: []uint32{0}}
		if _, err := s.ReadAt(t.Context(), ref, make([]byte, 1), 0); !errors.Is(err, blob.ErrNotExist) {
			t.Errorf("read = %v, want ErrNotExist", err)
		}
		if _, err := io.ReadAll(s.Open(t.Context(), ref, 0, 1)); !errors.Is(err, blob.ErrNotExist) {
			t.Errorf("stream = %v, want ErrNotExist", err)
		}
	}},
	{"deleted object", func(t *testing.T, b blob.Backend) {
		s := blob.NewStore(b, blob.Options{})
		gone, kept := putStore(t, s, "gone", Random(9, 100)), putStore(t, s, "kept", Random(10, 100))
		wantRange(t, s, gone, Random(9, 100), span{0, 100})
		wantRange(t, s, kept, Random(10, 100), span{0, 100})
		if err := s.Delete(t.Context(), "gone"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.ReadAt(t.Context(), gone, make([]byte, 1), 0); !errors.Is(err, blob.ErrNotExist) {
			t.Errorf("read of a deleted object = %v, want ErrNotExist although it was cached", err)
		}
		wantRange(t, s, kept, Random(10, 100), span{0, 100})
		var keys []string
		err := s.List(t.Context(), "", func(i blob.Info) error {
			keys = append(keys, i.Key)
			return nil
		})
		if err != nil || !slices.Equal(keys, []string{"kept"}) {
			t.Errorf("list = %v, %v, want kept", keys, err)
		}
	}},
	{"a failing put gives no reference", func(t *testing.T, b blob.Backend) {
		s := blob.NewStore(b, blob.Options{})
		for key, r := range map[string]io.Reader{
			"broken": io.MultiReader(bytes.NewReader(Random(11, 100)), iotest.ErrReader(io.ErrUnexpectedEOF)),
			"../bad": bytes.NewReader(nil),
		} {
			if ref, err := s.Put(t.Context(), key, r); err == nil || !ref.Zero() {
				t.Errorf("put %s = %+v, %v, want an error", key, ref, err)
			}
		}
		wantKeys(t, b, "")
	}},
	{"cancelled context", func(t *testing.T, b blob.Backend) {
		s := blob.NewStore(b, blob.Options{})
		ref := putStore(t, s, "a", Random(12, size))
		wantRange(t, s, ref, Random(12, size), span{0, 10})
		ctx, cancel := context.WithCancel(t.Context())
		r := s.Open(ctx, ref, 0, size)
		defer r.Close()
		if _, err := r.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err := io.ReadAll(r); !errors.Is(err, context.Canceled) {
			t.Errorf("stream = %v, want context.Canceled", err)
		}
		if _, err := s.ReadAt(ctx, ref, make([]byte, 1), 0); !errors.Is(err, context.Canceled) {
			t.Errorf("read of a cached block = %v, want context.Canceled", err)
		}
	}},
	{"closed reader", func(t *testing.T, b blob.Backend) {
		s := blob.NewStore(b, blob.Options{})
		ref := putStore(t, s, "a", Random(13, 100))
		r := s.Open(t.Context(), ref, 0, 100)
		if _, err := r.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := r.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
		if _, err := r.Read(make([]byte, 1)); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("read after close = %v, want fs.ErrClosed", err)
		}
	}},
	{"concurrent readers, few cache slots", func(t *testing.T, b blob.Backend) {
		s, want := blob.NewStore(b, blob.Options{CacheBlocks: 2}), Random(14, size)
		ref := putStore(t, s, "a", want)
		var all sync.WaitGroup
		for worker := range 8 {
			all.Go(func() {
				p := make([]byte, 3000)
				for i := range 40 {
					off := (worker*7919 + i*131_071) % (size - len(p))
					if _, err := s.ReadAt(t.Context(), ref, p, int64(off)); err != nil || !bytes.Equal(p, want[off:off+len(p)]) {
						t.Errorf("read at %d: wrong bytes or %v", off, err)
					}
				}
			})
		}
		all.Go(func() { wantRange(t, s, ref, want, span{1, size - 1}) })
		all.Wait()
	}},
}

// span is the bytes from an offset on, up to another.
type span struct{ from, to int }

// wantRange reads a range in each way there is.
func wantRange(t *testing.T, s blob.Store, ref batch.Blob, want []byte, part span) {
	t.Helper()
	from, to := part.from, part.to
	p := make([]byte, to-from)
	n, err := s.ReadAt(t.Context(), ref, p, int64(from))
	if n != len(p) || err != nil || !bytes.Equal(p, want[from:to]) {
		t.Errorf("read %d-%d of %d = %d, %v, or wrong bytes", from, to, len(want), n, err)
	}
	var copied bytes.Buffer
	r := s.Open(t.Context(), ref, int64(from), int64(to-from))
	_, err = io.Copy(&copied, r)
	if err != nil || r.Close() != nil || !bytes.Equal(copied.Bytes(), want[from:to]) {
		t.Errorf("stream %d-%d of %d = %d bytes, %v, or wrong ones", from, to, len(want), copied.Len(), err)
	}
}

// damage describes what wantCorrupt found: how much a stream handed out before it failed, and the blocks reported.
type damage struct {
	Streamed int
	Blocks   []int64
}

// corruption is sound bytes, bad ones in their place, and the first block in which they differ.
type corruption struct {
	sound, bad []byte
	block      int
}

// wantCorrupt stores sound bytes, puts bad ones in their place, and reports an error unless both ways of reading from
// offset from on notice that block is damaged, without handing out any byte of it.
func wantCorrupt(t *testing.T, b blob.Backend, c corruption, from int) {
	t.Helper()
	sound, block := c.sound, c.block
	ref := putStore(t, blob.NewStore(b, blob.Options{}), "a", sound)
	put(t, b, "a", c.bad)
	var reported []int64
	s := blob.NewStore(b, blob.Options{OnCorrupt: func(key string, block int64) {
		if key != "a" {
			t.Errorf("OnCorrupt of %q, want a", key)
		}
		reported = append(reported, block)
	}})
	n, err := s.ReadAt(t.Context(), ref, make([]byte, len(sound)-from), int64(from))
	if n != 0 || !errors.Is(err, blob.ErrCorrupt) {
		t.Errorf("read = %d, %v, want none and ErrCorrupt", n, err)
	}
	r := s.Open(t.Context(), ref, int64(from), int64(len(sound)-from))
	defer r.Close()
	got, err := io.ReadAll(r)
	if !errors.Is(err, blob.ErrCorrupt) || !bytes.Equal(got, sound[from:from+len(got)]) {
		t.Errorf("stream = %d bytes, or wrong ones, %v, want ErrCorrupt", len(got), err)
	}
	if _, again := r.Read(make([]byte, 1)); !errors.Is(again, blob.ErrCorrupt) {
		t.Errorf("read after the error = %v, want it again", again)
	}
	want := damage{Streamed: max(block*batch.BlobBlock-from, 0), Blocks: []int64{int64(block), int64(block)}}
	if diff := cmp.Diff(want, damage{Streamed: len(got), Blocks: reported}); diff != "" {
		t.Errorf("damage in block %d, read from %d (-want +got):\n%s", block, from, diff)
	}
}

// putStore stores an object with its checksums, or ends the test.
func putStore(t *testing.T, s blob.Store, key string, contents []byte) batch.Blob {
	t.Helper()
	ref, err := s.Put(t.Context(), key, bytes.NewReader(contents))
	if err != nil {
		t.Fatal(err)
	}
	return ref
}
