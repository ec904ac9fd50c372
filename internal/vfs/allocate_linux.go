package vfs

import (
	"errors"
	"os"
	"syscall"
)

// allocate asks the file system for the room, which writes nothing, and writes where it cannot be asked.
func allocate(f *os.File, from, to int64) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) {
		for {
			failed = syscall.Fallocate(int(fd), 0, from, to-from)
			if !errors.Is(failed, syscall.EINTR) {
				return
			}
		}
	})
	switch {
	case err != nil:
		return err
	case errors.Is(failed, syscall.EOPNOTSUPP) || errors.Is(failed, syscall.ENOSYS):
		return fillUp(f, from, to)
	case failed != nil:
		return &os.PathError{Op: "fallocate", Path: f.Name(), Err: failed}
	default:
		return nil
	}
}
