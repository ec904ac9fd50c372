package jsonl

import "io"

// NewScannerSize is NewScanner with a buffer of size bytes to begin with.
func NewScannerSize(r io.Reader, maxLine int64, size int) *Scanner {
	s := NewScanner(r, maxLine)
	s.buf = make([]byte, size)
	return s
}

// ScannerBuffer returns how many bytes a scanner holds in memory.
func ScannerBuffer(s *Scanner) int { return len(s.buf) }
