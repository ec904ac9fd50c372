//go:build !linux

package vfs

import "os"

// syncContents flushes contents and metadata; on macOS os.File.Sync also makes the drive empty its own cache.
func syncContents(f *os.File) error { return f.Sync() }
