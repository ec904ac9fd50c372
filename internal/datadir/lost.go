package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"batchd/internal/vfs"
)

// SetAside moves a file of the data directory that fsys is the root of to the directory Lost, durably, under the given name,
// with a number behind it if that is taken: nothing in Lost is ever removed or replaced. It returns where the file is now. A
// power cut may leave it with both names.
func SetAside(fsys vfs.FS, name, as string) (string, error) {
	kept, err := setAside(fsys, name, as)
	if err != nil {
		return "", fmt.Errorf("set %s aside: %w", name, err)
	}
	return kept, nil
}

func setAside(fsys vfs.FS, name, as string) (string, error) {
	kept, err := lostName(fsys, as)
	if err != nil {
		return "", err
	}
	if err := fsys.Rename(name, kept); err != nil {
		return "", err
	}
	if err := fsys.SyncDir(Lost); err != nil {
		return "", err
	}
	return kept, fsys.SyncDir(path.Dir(name))
}

// lostName makes Lost, durably, and returns a name in it that nothing has: the given one, with a number behind it if that is
// taken.
func lostName(fsys vfs.FS, as string) (string, error) {
	if err := fsys.MkdirAll(Lost); err != nil {
		return "", err
	}
	if err := fsys.SyncDir("."); err != nil {
		return "", err
	}
	name := path.Join(Lost, as)
	free := name
	for n := 2; ; n++ {
		_, err := fsys.Stat(free)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return free, nil
		case err != nil:
			return "", err
		}
		free = fmt.Sprintf("%s.%d", name, n)
	}
}
