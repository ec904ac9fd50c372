package datadir

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockedOffset lies far behind the file's text: Windows keeps others from reading locked bytes.
const lockedOffset = 1 << 30

// tryLock locks one byte of the open file for as long as it stays open.
func tryLock(f *os.File) error {
	at := windows.Overlapped{Offset: lockedOffset}
	err := windows.LockFileEx(windows.Handle(f.Fd()),
		windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return errHeld
	}
	return err
}

// unlock leaves the lock to the closing of the file, which no child process has.
func unlock(*os.File) error { return nil }
