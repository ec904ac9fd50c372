package unit

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"batchd/internal/batch"
	"batchd/internal/datadir"
	"batchd/internal/journal"
)

// setLost closes a journal and moves it to datadir.Lost, durably. It returns where it is now, and how many results are in it.
func (k *Keeper) setLost(name string, log *journal.Journal) (kept string, results int, err error) {
	err = log.Lines(func(uint32, batch.Kind, batch.Usage) error { results++; return nil })
	if err = errors.Join(err, log.Close()); err != nil {
		return "", 0, err
	}
	if kept, err = k.moveToLost(name); err != nil {
		return "", 0, fmt.Errorf("set journal aside: %w", err)
	}
	return kept, results, nil
}

// moveToLost renames a journal into datadir.Lost, under a name that is free there. A power cut may leave it with both
// names, and the next start then keeps it twice.
func (k *Keeper) moveToLost(name string) (string, error) {
	dir := path.Join(path.Dir(k.o.Dir), datadir.Lost)
	if err := k.o.Disk.MkdirAll(dir); err != nil {
		return "", err
	}
	if err := k.o.Disk.SyncDir(path.Dir(dir)); err != nil {
		return "", err
	}
	kept, err := k.freeName(path.Join(dir, path.Base(name)))
	if err != nil {
		return "", err
	}
	if err := k.o.Disk.Rename(name, kept); err != nil {
		return "", err
	}
	if err := k.o.Disk.SyncDir(dir); err != nil {
		return "", err
	}
	return kept, k.o.Disk.SyncDir(path.Dir(name))
}

// freeName returns the name, with a number behind it if it is taken.
func (k *Keeper) freeName(name string) (string, error) {
	free := name
	for n := 2; ; n++ {
		_, err := k.o.Disk.Stat(free)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return free, nil
		case err != nil:
			return "", err
		}
		free = fmt.Sprintf("%s.%d", name, n)
	}
}
