package batch

import (
	"sort"
	"time"
)

// Purpose is what a file is for.
type Purpose string

// The purposes batchd itself gives a meaning; others are stored and shown, no more.
const (
	PurposeBatch       Purpose = "batch"
	PurposeBatchOutput Purpose = "batch_output"
)

// BlobBlock is the number of bytes that one checksum of a Blob covers; the last block may be shorter.
const BlobBlock = 1 << 20

// Blob refers to an immutable object in the blob store. The checksums are kept here, beside the reference and
// away from the bytes, so that a reader can tell a damaged object from a sound one.
type Blob struct {
	// Key is the object's name in the blob store.
	Key string
	// Size is its length in bytes.
	Size int64
	// Sums holds the CRC32C (Castagnoli) of each block of BlobBlock bytes.
	Sums []uint32
}

// Zero reports whether b refers to nothing.
func (b Blob) Zero() bool { return b.Key == "" }

// Extent is a run of a file's bytes inside one blob.
type Extent struct {
	// Start is the position in the file of the extent's first byte.
	Start  int64
	Blob   Blob
	Offset int64
	Length int64
}

// Manifest is a file's content: extents in ascending order of Start, without gaps.
type Manifest []Extent

// Size returns the file's length in bytes.
func (m Manifest) Size() int64 {
	if len(m) == 0 {
		return 0
	}
	last := m[len(m)-1]
	return last.Start + last.Length
}

// Find returns the index of the extent that holds position off, or len(m) if off is at or past the end.
func (m Manifest) Find(off int64) int {
	return sort.Search(len(m), func(i int) bool { return m[i].Start+m[i].Length > off })
}

// Append adds length bytes of b from offset on to the end of the manifest.
func (m Manifest) Append(b Blob, offset, length int64) Manifest {
	return append(m, Extent{Start: m.Size(), Blob: b, Offset: offset, Length: length})
}

// Blobs returns the distinct keys the manifest refers to, in order of first use.
func (m Manifest) Blobs() []string {
	seen := make(map[string]bool, len(m))
	var keys []string
	for _, e := range m {
		if !seen[e.Blob.Key] {
			seen[e.Blob.Key] = true
			keys = append(keys, e.Blob.Key)
		}
	}
	return keys
}

// File describes bytes that a user uploaded or that a batch produced. It never changes once it exists.
type File struct {
	ID string
	// Seq is the creation sequence, assigned by the store; lists order by it.
	Seq     int64
	Tenant  string
	Dialect string
	// Name is the user's name for the file. It is data to show, never a path.
	Name    string
	Purpose Purpose
	Bytes   int64
	// Lines is the number of non-blank lines of an uploaded batch file, or of a result file.
	Lines     int64
	CreatedAt time.Time
	// ExpiresAt is zero for a file that is kept until it is deleted.
	ExpiresAt time.Time

	// Content is the manifest when it is small enough for the file's row; otherwise ContentBlob is an object
	// that holds it, encoded by EncodeManifest.
	Content     Manifest
	ContentBlob Blob
}

// Expired reports whether the file has expired at now.
func (f File) Expired(now time.Time) bool {
	return !f.ExpiresAt.IsZero() && !now.Before(f.ExpiresAt)
}
