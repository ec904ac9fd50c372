// Package blob is the contract of the store of immutable objects: uploaded files, plans, sealed segments, large
// manifests. An object is whole and durable when Put returns, never changes, and is read only through its
// reference, whose checksums are kept away from the bytes: a damaged byte is noticed before it is handed out.
// It knows nothing of what the bytes mean.
package blob

import (
	"context"
	"errors"
	"io"
	"time"

	"batchd/internal/batch"
)

// Errors that callers branch on. Backends wrap them.
var (
	// ErrNotExist means that there is no object of that key.
	ErrNotExist = errors.New("blob does not exist")
	// ErrCorrupt means that bytes read back do not match the reference's checksums or size.
	ErrCorrupt = errors.New("blob is corrupt")
	// ErrUnreadable means that an object could not be read, which says nothing of its bytes: permission denied, something
	// else in its place, an error of the disk. A later try may succeed.
	ErrUnreadable = errors.New("blob cannot be read")
	// ErrNoSpace means that the backend has no room; what was written of the object is gone again.
	ErrNoSpace = errors.New("no space left for blobs")
	// ErrBadKey means that a key is not of the allowed form.
	ErrBadKey = errors.New("blob key is malformed")
)

// Backend keeps objects under keys of the form that CheckKey takes; anything else is ErrBadKey. A key that is the
// beginning of another ("a" and "a/b") is as good as any. All methods may be called concurrently. A backend does not
// check contents; Store does, on top of any backend.
type Backend interface {
	// Put stores everything r yields until io.EOF under key and returns its length. When it returns nil the object
	// survives kill -9 and power loss. If r fails or ctx ends, nothing is stored and that error is returned,
	// wrapped. Putting a key again replaces the object in one step: callers only ever do that with the same bytes.
	Put(ctx context.Context, key string, r io.Reader) (int64, error)
	// ReadAt fills p from the object's offset off. Fewer bytes than len(p) come with io.EOF. An absent object is
	// ErrNotExist.
	ReadAt(ctx context.Context, key string, p []byte, off int64) (int, error)
	// Stat returns the object's length and the time it was stored, or ErrNotExist.
	Stat(ctx context.Context, key string) (Info, error)
	// Delete removes the object. Deleting an absent one is no error.
	Delete(ctx context.Context, key string) error
	// List calls fn for every object whose key starts with prefix, in no particular order, until fn returns an
	// error, which List returns as it is. The prefix need not end at a slash; one that no key can start with matches
	// nothing. Objects put or deleted meanwhile may or may not be seen.
	List(ctx context.Context, prefix string, fn func(Info) error) error
}

// Info describes a stored object.
type Info struct {
	Key    string
	Size   int64
	Stored time.Time
}

// Store is a backend with checksums: what the rest of batchd uses.
type Store interface {
	// Put stores everything r yields under key and returns the reference that reads it back. It promises what
	// Backend.Put does.
	Put(ctx context.Context, key string, r io.Reader) (batch.Blob, error)
	// ReadAt fills p from offset off of the object, reading and checking whole blocks; recently checked blocks are
	// kept in a small cache shared by all readers. Fewer bytes than len(p) come with io.EOF. A mismatch is ErrCorrupt, an
	// absent object ErrNotExist, and whatever else keeps it from being read but the end of ctx ErrUnreadable; p then holds
	// nothing of use. It may be called concurrently.
	ReadAt(ctx context.Context, b batch.Blob, p []byte, off int64) (int, error)
	// Open returns a reader of length bytes from offset on. Each block is checked before its first byte is
	// returned; blocks outside the range are not. Memory is one block, until Close. Nothing is read before the first
	// Read or WriteTo, and errors, those of ReadAt and of a range that leaves the object, come from there. The reader is for one
	// goroutine; ctx bounds all of its reads.
	Open(ctx context.Context, b batch.Blob, offset, length int64) io.ReadCloser
	// Delete and List are the backend's.
	Delete(ctx context.Context, key string) error
	List(ctx context.Context, prefix string, fn func(Info) error) error
}
