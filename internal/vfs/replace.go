package vfs

import (
	"errors"
	"io/fs"
	"path"
)

// Replace makes a file that has its whole contents, durably, from the moment the name shows it; a file that had the
// name is replaced. It is written by fill under the name temp, in the same directory, where a file that an earlier
// crash left is removed first. Replace returns the new file, open for reading and writing. After an error the name may
// stand for the old contents or the new ones.
func Replace(fsys FS, temp, name string, fill func(File) error) (File, error) {
	f, err := Place(fsys, temp, name, func(f File) error {
		if err := fill(f); err != nil {
			return err
		}
		return f.Sync()
	})
	if err != nil {
		return nil, err
	}
	if err := fsys.SyncDir(path.Dir(name)); err != nil {
		_ = f.Close() // its contents are durable, only its name is not
		return nil, err
	}
	return f, nil
}

// Place is Replace without its promise for a power cut: the file has its whole contents from the moment the name shows
// it in the eyes of every process of this boot.
func Place(fsys FS, temp, name string, fill func(File) error) (File, error) {
	if err := fsys.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := fsys.Create(temp)
	if err != nil {
		return nil, err
	}
	if err = fill(f); err == nil {
		err = fsys.Rename(temp, name)
	}
	if err != nil {
		_ = f.Close()         // nobody uses it
		_ = fsys.Remove(temp) // what stays is removed by the next one
		return nil, err
	}
	return f, nil
}

// Publish gives a file whose contents are synced its final name, durably, in the place of any file that has it. After
// an error the name may stand for either.
func Publish(fsys FS, from, to string) error {
	if err := fsys.Rename(from, to); err != nil {
		return err
	}
	return fsys.SyncDir(path.Dir(to))
}
