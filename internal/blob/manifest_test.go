package blob_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/batch"
	"batchd/internal/blob"
)

// memory is a blob.Store without checksums: a map. opened counts the readers that are not closed.
type memory struct {
	blob.Store
	objects map[string][]byte
	opened  int
}

func (m *memory) Open(_ context.Context, b batch.Blob, offset, length int64) io.ReadCloser {
	m.opened++
	raw := m.objects[b.Key]
	end := min(offset+length, int64(len(raw)))
	return &memoryReader{Reader: bytes.NewReader(raw[min(offset, end):end]), of: m}
}

func (m *memory) ReadAt(_ context.Context, b batch.Blob, p []byte, offset int64) (int, error) {
	return bytes.NewReader([]byte(m.objects[b.Key])).ReadAt(p, offset)
}

type memoryReader struct {
	io.Reader
	of *memory
}

func (r *memoryReader) Close() error {
	r.of.opened--
	return nil
}

// spread cuts text into extents of random lengths, each inside a blob of its own with other bytes around it.
func spread(text string, rng *rand.Rand) (*memory, batch.Manifest) {
	store := &memory{objects: map[string][]byte{}}
	var m batch.Manifest
	for len(text) > 0 {
		n := min(1+rng.IntN(9), len(text))
		before := strings.Repeat("#", rng.IntN(4))
		key := "blob/" + string(rune('a'+len(m)%26)) + strings.Repeat("x", len(m)/26)
		store.objects[key] = []byte(before + text[:n] + "##")
		m = m.Append(batch.Blob{Key: key, Size: int64(len(store.objects[key]))}, int64(len(before)), int64(n))
		text = text[n:]
	}
	return store, m
}

func TestReaderReturnsEveryRangeOfAFileInExtents(t *testing.T) {
	t.Parallel()
	text := "the quick brown fox jumps over the lazy dog"
	store, m := spread(text, rand.New(rand.NewPCG(1, 2)))
	for from := range len(text) + 1 {
		for to := from; to <= len(text); to++ {
			r := blob.NewReader(t.Context(), store, m, int64(from), int64(to-from))
			got, err := io.ReadAll(r)
			if err != nil || string(got) != text[from:to] {
				t.Fatalf("range %d-%d = %q, %v, want %q", from, to, got, err, text[from:to])
			}
			if err := r.Close(); err != nil || store.opened != 0 {
				t.Fatalf("range %d-%d: close = %v with %d extents still open", from, to, err, store.opened)
			}
		}
	}
}

func TestReadFileAtFillsEveryRangeOfAFileInExtents(t *testing.T) {
	t.Parallel()
	text := "the quick brown fox jumps over the lazy dog"
	store, m := spread(text, rand.New(rand.NewPCG(1, 2)))
	for from := range len(text) + 1 {
		for to := from; to <= len(text); to++ {
			got := make([]byte, to-from)
			if err := blob.ReadFileAt(t.Context(), store, m, got, int64(from)); err != nil || string(got) != text[from:to] {
				t.Fatalf("range %d-%d = %q, %v, want %q", from, to, got, err, text[from:to])
			}
		}
	}
	for name, offset := range map[string]int64{"past the end": int64(len(text)) - 1, "at the end": int64(len(text)), "before the start": -1} {
		if err := blob.ReadFileAt(t.Context(), store, m, make([]byte, 2), offset); !errors.Is(err, blob.ErrCorrupt) {
			t.Errorf("%s: error = %v, want ErrCorrupt", name, err)
		}
	}
	store.objects[m[1].Blob.Key] = nil
	if err := blob.ReadFileAt(t.Context(), store, m, make([]byte, len(text)), 0); !errors.Is(err, blob.ErrCorrupt) {
		t.Errorf("blob that is short: error = %v, want ErrCorrupt", err)
	}
}

func TestReaderKeepsTheRulesOfReaders(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("abcdefghij", 20)
	store, m := spread(text, rand.New(rand.NewPCG(3, 4)))
	r := blob.NewReader(t.Context(), store, m, 0, m.Size())
	if err := iotest.TestReader(r, []byte(text)); err != nil {
		t.Error(err)
	}
}

func TestReaderClosedEarlyLeavesNothingOpen(t *testing.T) {
	t.Parallel()
	store, m := spread("0123456789", rand.New(rand.NewPCG(5, 6)))
	r := blob.NewReader(t.Context(), store, m, 0, m.Size())
	if _, err := r.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil || store.opened != 0 {
		t.Errorf("close = %v with %d extents still open", err, store.opened)
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("read after close = %d, %v, want io.EOF", n, err)
	}
}

func TestReaderRefusesARangeOutsideTheFile(t *testing.T) {
	t.Parallel()
	store, m := spread("0123456789", rand.New(rand.NewPCG(7, 8)))
	for name, offset := range map[string]int64{"past the end": 5, "at the end": 10, "before the start": -1} {
		_, err := io.ReadAll(blob.NewReader(t.Context(), store, m, offset, 6))
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: error = %v, want io.ErrUnexpectedEOF", name, err)
		}
	}
}

func TestReaderReportsAShortBlob(t *testing.T) {
	t.Parallel()
	store := &memory{objects: map[string][]byte{"a": []byte("123")}}
	m := batch.Manifest(nil).Append(batch.Blob{Key: "a", Size: 5}, 0, 5)
	got, err := io.ReadAll(blob.NewReader(t.Context(), store, m, 0, 5))
	if string(got) != "123" || !errors.Is(err, blob.ErrCorrupt) {
		t.Errorf("read = %q, %v, want the three bytes and ErrCorrupt", got, err)
	}
}

func TestContentReadsAManifestFromRowOrBlob(t *testing.T) {
	t.Parallel()
	want := batch.Manifest(nil).
		Append(batch.Blob{Key: "a", Size: 5, Sums: []uint32{1}}, 1, 3).
		Append(batch.Blob{Key: "b", Size: 7, Sums: []uint32{2}}, 0, 7)
	raw := batch.EncodeManifest(want)
	store := &memory{objects: map[string][]byte{"m": raw, "bad": raw[:len(raw)-1]}}
	sound := batch.Blob{Key: "m", Size: int64(len(raw))}

	for name, f := range map[string]batch.File{
		"row":  {Bytes: 10, Content: want},
		"blob": {Bytes: 10, ContentBlob: sound},
	} {
		got, err := blob.Content(t.Context(), store, f)
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s: content = %v, %v, want %v", name, got, err, want)
		}
	}
	for name, f := range map[string]batch.File{
		"cut short":         {Bytes: 10, ContentBlob: batch.Blob{Key: "bad", Size: int64(len(raw) - 1)}},
		"of another length": {Bytes: 11, ContentBlob: sound},
	} {
		if _, err := blob.Content(t.Context(), store, f); !errors.Is(err, blob.ErrCorrupt) {
			t.Errorf("%s: error = %v, want ErrCorrupt", name, err)
		}
	}
}
