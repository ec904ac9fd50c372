package batch_test

import (
	"bytes"
	"testing"

	"batchd/internal/batch"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// blobs generates references with as many checksums as their size asks for.
func blobs() *rapid.Generator[batch.Blob] {
	return rapid.Custom(func(t *rapid.T) batch.Blob {
		size := rapid.Int64Range(0, 5*batch.BlobBlock).Draw(t, "size")
		n := int((size + batch.BlobBlock - 1) / batch.BlobBlock)
		return batch.Blob{
			Key: rapid.StringMatching(`[a-z]+/[a-z0-9-]{1,40}`).Draw(t, "key"), Size: size,
			Sums: rapid.SliceOfN(rapid.Uint32(), n, n).Draw(t, "sums"),
		}
	})
}

func manifests() *rapid.Generator[batch.Manifest] {
	return rapid.Custom(func(t *rapid.T) batch.Manifest {
		var m batch.Manifest
		for range rapid.IntRange(0, 20).Draw(t, "extents") {
			b := blobs().Draw(t, "blob")
			m = m.Append(b, rapid.Int64Range(0, b.Size).Draw(t, "offset"), rapid.Int64Range(1, 1<<40).Draw(t, "length"))
		}
		return m
	})
}

func TestManifestSurvivesItsEncoding(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := manifests().Draw(t, "manifest")
		got, err := batch.DecodeManifest(batch.EncodeManifest(m))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(m, got); d != "" {
			t.Fatalf("manifest changed (-want +got):\n%s", d)
		}
	})
}

func TestEveryPositionIsFoundInItsExtent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := manifests().Draw(t, "manifest")
		off := rapid.Int64Range(0, m.Size()+10).Draw(t, "offset")
		i := m.Find(off)
		if off >= m.Size() {
			if i != len(m) {
				t.Fatalf("offset %d past the end %d: extent %d", off, m.Size(), i)
			}
			return
		}
		if e := m[i]; off < e.Start || off >= e.Start+e.Length {
			t.Fatalf("offset %d: extent %d covers %d to %d", off, i, e.Start, e.Start+e.Length)
		}
	})
}

func TestDamagedManifestIsRefusedNotMisread(t *testing.T) {
	t.Parallel()
	m := batch.Manifest{}.Append(batch.Blob{Key: "a/b", Size: 10, Sums: []uint32{7}}, 0, 10)
	whole := batch.EncodeManifest(m)
	for n := range whole {
		if _, err := batch.DecodeManifest(whole[:n]); err == nil {
			t.Errorf("the first %d of %d bytes were taken", n, len(whole))
		}
	}
	if _, err := batch.DecodeManifest(append(bytes.Clone(whole), 0)); err == nil {
		t.Error("a byte too many was taken")
	}
}

func FuzzDecodeManifest(f *testing.F) {
	f.Add(batch.EncodeManifest(batch.Manifest{}.Append(batch.Blob{Key: "k", Size: 1, Sums: []uint32{1}}, 0, 1)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := batch.DecodeManifest(raw)
		if err != nil {
			return
		}
		again, err := batch.DecodeManifest(batch.EncodeManifest(m))
		if err != nil || !cmp.Equal(m, again) {
			t.Fatalf("decoded manifest does not survive its encoding: %v", err)
		}
	})
}
