//go:build unix

package datadir

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// tryLock locks the open file for as long as it stays open. Unlike fcntl's locks, flock's belong to the open file,
// so that a second attempt of the same process fails as it should.
func tryLock(f *os.File) error { return flock(f, unix.LOCK_EX) }

// tryShare takes a lock that others may share and a holder of tryLock's excludes.
func tryShare(f *os.File) error { return flock(f, unix.LOCK_SH) }

func flock(f *os.File, how int) error {
	err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errHeld
	}
	return err
}

// unlock gives the lock back before the file is closed: a process that is being started as a child has the file open too, from
// its fork to its exec, and would hold the lock for so long.
func unlock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_UN) }
