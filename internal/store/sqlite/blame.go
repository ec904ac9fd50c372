package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"
)

// fileSuffixes is what SQLite puts behind a file's name for the files that it keeps of it.
var fileSuffixes = [...]string{"", "-wal", "-shm", "-journal"}

// named adds to an error of SQLite about opening something which file it is about: SQLite only says that it is unable to
// open the database file, also where it is the log that it cannot open. Other errors stay as they are.
func named(path string, err error) error {
	var fault *driver.Error
	if !errors.As(err, &fault) || !aboutOpening(fault.Code()) {
		return err
	}
	if cause := unopenable(path); cause != nil {
		return fmt.Errorf("%w (%w)", cause, err)
	}
	return err
}

// aboutOpening reports whether an SQLite result code may come from a file that cannot be opened.
func aboutOpening(code int) bool {
	switch code & 0xff {
	case codes.SQLITE_CANTOPEN, codes.SQLITE_PERM, codes.SQLITE_READONLY, codes.SQLITE_IOERR:
		return true
	default:
		return false
	}
}

// unopenable looks for what keeps SQLite from opening its files, and returns what the system says about it; nil if there
// is nothing.
func unopenable(path string) error {
	if err := checkFiles(path); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+"-probe-*") // SQLite makes files beside its own
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// checkFiles opens each of SQLite's files that is there and returns the error of the first that cannot be opened for
// writing. Of an index of the log that cannot be opened, like a directory, SQLite speaks only when it first writes.
func checkFiles(path string) error {
	for _, suffix := range fileSuffixes {
		name := path + suffix
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if _, err := os.Lstat(name); err == nil {
				return &fs.PathError{Op: "open", Path: name, Err: errors.New("symbolic link to nothing")}
			}
		case err != nil:
			return err
		default:
			_ = f.Close() // nothing was written
		}
	}
	return nil
}
