package vfs

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// syncContents uses fdatasync: it flushes a changed size with the contents and leaves out only times and modes,
// which nothing depends on, so it often saves a commit of the file system's journal.
func syncContents(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) {
		for {
			failed = syscall.Fdatasync(int(fd))
			// An interrupted call wrote nothing off as lost; any other error did, and is never retried.
			if !errors.Is(failed, syscall.EINTR) {
				return
			}
		}
	})
	if err != nil {
		failed = fs.ErrClosed // the only reason for the function not to be called
	}
	if failed != nil {
		return &fs.PathError{Op: "fdatasync", Path: f.Name(), Err: failed}
	}
	return nil
}
