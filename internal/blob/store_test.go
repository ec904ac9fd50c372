package blob_test

import (
	"bytes"
	"context"
	"errors"
	"hash/crc32"
	"io"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/blob/blobtest"
)

// counting counts the reads that reach a backend and lets them fail.
type counting struct {
	blob.Backend
	reads atomic.Int64
	err   error
}

func (c *counting) ReadAt(ctx context.Context, key string, p []byte, off int64) (int, error) {
	c.reads.Add(1)
	if c.err != nil {
		return 0, c.err
	}
	return c.Backend.ReadAt(ctx, key, p, off)
}

// storeOf returns a store with an object of that many whole blocks.
func storeOf(tb testing.TB, blocks, cacheBlocks int) (*counting, blob.Store, batch.Blob) {
	tb.Helper()
	c := &counting{Backend: blobtest.NewMemory()}
	s := blob.NewStore(c, blob.Options{CacheBlocks: cacheBlocks})
	ref, err := s.Put(context.Background(), "files/a", bytes.NewReader(blobtest.Random(1, blocks*batch.BlobBlock)))
	if err != nil {
		tb.Fatal(err)
	}
	return c, s, ref
}

// readBlocks reads a few bytes of each of the blocks and returns how many reads that cost the backend.
func readBlocks(t *testing.T, c *counting, s blob.Store, ref batch.Blob, blocks ...int64) int64 {
	t.Helper()
	before := c.reads.Load()
	for _, i := range blocks {
		if _, err := s.ReadAt(t.Context(), ref, make([]byte, 100), i*batch.BlobBlock+50); err != nil {
			t.Fatal(err)
		}
	}
	return c.reads.Load() - before
}

func TestChecksumsAreCRC32COfEachBlock(t *testing.T) {
	t.Parallel()
	contents := blobtest.Random(2, 2*batch.BlobBlock+10)
	s := blob.NewStore(blobtest.NewMemory(), blob.Options{})
	// Pieces that do not match blocks must not matter.
	for _, r := range []io.Reader{
		bytes.NewReader(contents),
		io.MultiReader(bytes.NewReader(contents[:7]), bytes.NewReader(contents[7:])),
	} {
		got, err := s.Put(t.Context(), "a", r)
		if err != nil {
			t.Fatal(err)
		}
		want := batch.Blob{Key: "a", Size: int64(len(contents))}
		for block := range slices.Chunk(contents, batch.BlobBlock) {
			want.Sums = append(want.Sums, crc32.Checksum(block, crc32.MakeTable(crc32.Castagnoli)))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("reference (-want +got):\n%s", diff)
		}
	}
}

func TestReadAtReadsABlockOnceWhileItIsCached(t *testing.T) {
	t.Parallel()
	c, s, ref := storeOf(t, 3, 2)
	for _, step := range []struct {
		blocks []int64
		want   int64
	}{
		{[]int64{0, 0, 0}, 1},
		{[]int64{1, 0, 1}, 1},
		{[]int64{0, 2}, 1},    // pushes out 1, which was used before 0
		{[]int64{0, 2, 0}, 0}, // still there
		{[]int64{1}, 1},       // pushes out 2
		{[]int64{0, 1}, 0},
		{[]int64{2}, 1},
	} {
		if got := readBlocks(t, c, s, ref, step.blocks...); got != step.want {
			t.Errorf("blocks %v took %d reads, want %d", step.blocks, got, step.want)
		}
	}
}

func TestReadAtWorksWithoutACache(t *testing.T) {
	t.Parallel()
	c, s, ref := storeOf(t, 2, -1)
	if got := readBlocks(t, c, s, ref, 0, 0, 1); got != 3 {
		t.Errorf("three reads took %d, want 3", got)
	}
}

func TestDownloadsLeaveTheCacheAlone(t *testing.T) {
	t.Parallel()
	c, s, ref := storeOf(t, 4, 2)
	readBlocks(t, c, s, ref, 0, 1)
	r := s.Open(t.Context(), ref, 0, ref.Size)
	defer r.Close()
	before := c.reads.Load()
	if n, err := io.Copy(io.Discard, r); n != ref.Size || err != nil {
		t.Fatalf("copy = %d, %v", n, err)
	}
	if got := c.reads.Load() - before; got != 4 {
		t.Errorf("the download took %d reads, want one per block", got)
	}
	if got := readBlocks(t, c, s, ref, 0, 1); got != 0 {
		t.Errorf("%d blocks were pushed out by the download", got)
	}
}

func TestOpenReadsNothingBeforeItIsRead(t *testing.T) {
	t.Parallel()
	c, s, ref := storeOf(t, 3, 2)
	r := s.Open(t.Context(), ref, batch.BlobBlock, 10)
	if c.reads.Load() != 0 {
		t.Error("Open read")
	}
	if got, err := io.ReadAll(r); len(got) != 10 || err != nil || c.reads.Load() != 1 {
		t.Errorf("read %d bytes, %v, with %d reads, want 10 with 1", len(got), err, c.reads.Load())
	}
}

func TestDamagedBlockIsNotCached(t *testing.T) {
	t.Parallel()
	c, s, ref := storeOf(t, 1, 2)
	sound := blobtest.Random(1, batch.BlobBlock)
	bad := bytes.Clone(sound)
	bad[0]++
	for _, step := range []struct {
		contents []byte
		want     error
	}{{bad, blob.ErrCorrupt}, {sound, nil}, {bad, nil}} { // the last one is answered from the cache
		if _, err := c.Put(t.Context(), ref.Key, bytes.NewReader(step.contents)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.ReadAt(t.Context(), ref, make([]byte, 10), 0); !errors.Is(err, step.want) {
			t.Errorf("read = %v, want %v", err, step.want)
		}
	}
}

func TestBackendErrorsAreNotTakenForDamage(t *testing.T) {
	t.Parallel()
	c, s, ref := storeOf(t, 1, 2)
	c.err = errors.New("network is down")
	_, readErr := s.ReadAt(t.Context(), ref, make([]byte, 10), 0)
	_, streamErr := io.ReadAll(s.Open(t.Context(), ref, 0, 10))
	for what, err := range map[string]error{"read": readErr, "stream": streamErr} {
		if !errors.Is(err, c.err) || errors.Is(err, blob.ErrCorrupt) || !errors.Is(err, blob.ErrUnreadable) {
			t.Errorf("%s = %v, want the backend's error", what, err)
		}
	}
}

// Who waits for what cannot be read must not wait for what is gone, nor count the end of its own time.
func TestAnAbsentObjectAndTheEndOfAContextAreNotUnreadable(t *testing.T) {
	t.Parallel()
	c, s, ref := storeOf(t, 1, 2)
	if err := s.Delete(t.Context(), ref.Key); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ReadAt(t.Context(), ref, make([]byte, 10), 0); !errors.Is(err, blob.ErrNotExist) || errors.Is(err, blob.ErrUnreadable) {
		t.Errorf("absent: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := s.Open(ctx, ref, 0, 10)
	c.err = context.Canceled
	cancel()
	if _, err := io.ReadAll(r); !errors.Is(err, context.Canceled) || errors.Is(err, blob.ErrUnreadable) {
		t.Errorf("cancelled: %v", err)
	}
}

// forgetful stores less than it is given.
type forgetful struct{ blob.Backend }

func (f forgetful) Put(ctx context.Context, key string, r io.Reader) (int64, error) {
	n, err := f.Backend.Put(ctx, key, r)
	return n - 1, err
}

func TestPutNoticesABackendThatDropsBytes(t *testing.T) {
	t.Parallel()
	s := blob.NewStore(forgetful{blobtest.NewMemory()}, blob.Options{})
	if ref, err := s.Put(t.Context(), "a", bytes.NewReader([]byte("xy"))); err == nil {
		t.Errorf("put = %+v, want an error", ref)
	}
}

// shortWriter takes less than it is given and says nothing.
type shortWriter struct{}

func (shortWriter) Write(p []byte) (int, error) { return len(p) / 2, nil }

func TestWriteToReportsAWriterThatFails(t *testing.T) {
	t.Parallel()
	_, s, ref := storeOf(t, 2, 1)
	r := s.Open(t.Context(), ref, 0, ref.Size)
	defer r.Close()
	if n, err := io.Copy(shortWriter{}, r); !errors.Is(err, io.ErrShortWrite) || n != batch.BlobBlock/2 {
		t.Errorf("copy = %d, %v, want half a block and io.ErrShortWrite", n, err)
	}
	reader, writer := io.Pipe()
	_ = reader.CloseWithError(io.ErrClosedPipe)
	if _, err := io.Copy(writer, r); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("copy = %v, want the writer's error", err)
	}
}

func TestReadingACachedLineAllocatesNothing(t *testing.T) {
	_, s, ref := storeOf(t, 2, 2)
	p, ctx := make([]byte, 4000), t.Context()
	read := func() {
		if _, err := s.ReadAt(ctx, ref, p, batch.BlobBlock-2000); err != nil {
			t.Fatal(err)
		}
	}
	read()
	if n := testing.AllocsPerRun(100, read); n > 0 {
		t.Errorf("%v allocations a read, want none", n)
	}
}

func BenchmarkReadAt(b *testing.B) {
	_, s, ref := storeOf(b, 8, 16)
	p, ctx := make([]byte, 2000), b.Context()
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	off := int64(0)
	for b.Loop() {
		if _, err := s.ReadAt(ctx, ref, p, off); err != nil {
			b.Fatal(err)
		}
		off = (off + 70_001) % (ref.Size - int64(len(p)))
	}
}

func BenchmarkOpen(b *testing.B) {
	_, s, ref := storeOf(b, 8, 16)
	b.SetBytes(ref.Size)
	b.ReportAllocs()
	for b.Loop() {
		r := s.Open(b.Context(), ref, 0, ref.Size)
		if _, err := io.Copy(io.Discard, r); err != nil {
			b.Fatal(err)
		}
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
