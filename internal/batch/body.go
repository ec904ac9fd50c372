package batch

import "io"

// Body holds bytes in memory or, when they are many, in a temporary file of their owner.
type Body interface {
	// Len returns the number of bytes.
	Len() int64
	// ReadAt reads like io.ReaderAt. It may be called at the same time from several goroutines.
	ReadAt(p []byte, off int64) (int, error)
	// Bytes returns the whole body if it is in memory, else nil.
	Bytes() []byte
	// Close releases the memory or removes the file. The body must not be used afterwards.
	Close() error
}

// MemoryBody is a Body whose bytes are in memory.
type MemoryBody []byte

// Len returns the number of bytes.
func (b MemoryBody) Len() int64 { return int64(len(b)) }

// Bytes returns the bytes themselves; the caller must not change them.
func (b MemoryBody) Bytes() []byte { return b }

// Close does nothing.
func (b MemoryBody) Close() error { return nil }

// ReadAt reads like io.ReaderAt.
func (b MemoryBody) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(b)) {
		return 0, io.EOF
	}
	n := copy(p, b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
