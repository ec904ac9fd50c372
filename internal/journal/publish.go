package journal

import (
	"fmt"

	"batchd/internal/vfs"
)

// Suffix ends the name of every journal; anything else in their directory is not ours to touch.
const Suffix = ".journal"

// What this package appends to a journal's path for files of its own. Whoever lists a directory of journals passes over
// them.
const (
	// TempSuffix marks a file that has not taken its name yet; one that a crash leaves is garbage.
	TempSuffix = ".new"
	// SuspectSuffix marks an empty file that stands beside a journal whose fsync failed and that no copy has
	// replaced yet.
	SuspectSuffix = ".suspect"
	// DamagedSuffix marks a copy made by Preserve, which is the operator's to remove.
	DamagedSuffix = ".damaged"
)

// Preserve copies the file aside, byte for byte and durably, for its operator to look at, and returns the copy's
// path: that of the journal with DamagedSuffix. A copy that is there already is kept, as damage stays in the file
// and would be copied again at every start.
func Preserve(fsys vfs.FS, name string) (string, error) {
	aside := name + DamagedSuffix
	if _, err := fsys.Stat(aside); err == nil {
		return aside, nil
	}
	src, err := fsys.Open(name)
	if err != nil {
		return "", fmt.Errorf("preserve journal %s: %w", name, err)
	}
	defer func() { _ = src.Close() }() // only read from
	dst, err := publish(fsys, aside, func(f vfs.File) error {
		size, err := src.Size()
		if err != nil {
			return err
		}
		return copyRange(f, src, 0, size)
	})
	if err == nil {
		err = dst.Close()
	}
	if err != nil {
		return "", fmt.Errorf("preserve journal %s: %w", name, err)
	}
	return aside, nil
}

// publish makes a file that has its whole contents, durably, from the moment the name shows it; a file that had
// the name is replaced. It returns the new file, open.
func publish(fsys vfs.FS, name string, fill func(vfs.File) error) (vfs.File, error) {
	return vfs.Replace(fsys, name+TempSuffix, name, fill)
}
