package datadir

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockedOffset lies far behind the file's text: Windows keeps others from reading locked bytes.
const lockedOffset = 1 << 30

// tryLock locks one byte of the open file for as long as it stays open.
func tryLock(f *os.File) error { return lockFile(f, windows.LOCKFILE_EXCLUSIVE_LOCK) }

// tryShare takes a lock that others may share and a holder of tryLock's excludes.
func tryShare(f *os.File) error { return lockFile(f, 0) }

func lockFile(f *os.File, how uint32) error {
	at := windows.Overlapped{Offset: lockedOffset}
	err := windows.LockFileEx(windows.Handle(f.Fd()), how|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return errHeld
	}
	return err
}

// unlock leaves the lock to the closing of the file, which no child process has.
func unlock(*os.File) error { return nil }
