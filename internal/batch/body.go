package batch

import "io"

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
