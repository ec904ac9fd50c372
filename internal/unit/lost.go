package unit

import (
	"errors"
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
	kept, err = datadir.SetAside(k.o.Disk, name, path.Base(name))
	return kept, results, err
}
