package unit

import (
	"context"
	"errors"
	"fmt"
	"path"

	"batchd/internal/batch"
	"batchd/internal/failpoint"
	"batchd/internal/journal"
	"batchd/internal/store"
)

// path returns where the journal of a unit under a lease lives. The name is for people: what counts is the header.
func (k *Keeper) path(id batch.UnitID, lease batch.LeaseID) string {
	return path.Join(k.o.Dir, fmt.Sprintf("%s-%d-%s%s", id.Batch, id.Ordinal, lease, journal.Suffix))
}

// Adopted is a unit that a journal of an earlier process was found for.
type Adopted struct {
	Unit batch.Unit
	log  *journal.Journal
	done map[uint32]bool
	// Counts is what the journal adds to the batch's shown counts.
	Counts batch.Counts
}

// Recover adopts every journal in the directory, by lease id and never by name: it appends the new lease to the journal,
// then puts it in the unit's row in place of any lease that the journal names. The journal of a sealed unit is garbage
// and removed; one whose header is unusable is set aside for a person to look at; a damaged one is copied first and its
// whole frames are kept. One that no row answers to is an error: check.Start, which comes before, has refused to start.
// Recover must run before anything is leased.
func (k *Keeper) Recover(ctx context.Context, node string) ([]*Adopted, error) {
	names, err := journal.List(k.o.Disk, k.o.Dir)
	if err != nil {
		return nil, err
	}
	var adopted []*Adopted
	for _, name := range names {
		a, err := k.adopt(ctx, name, node)
		if err != nil {
			return nil, fmt.Errorf("adopt journal %s: %w", name, err)
		}
		if a != nil {
			adopted = append(adopted, a)
		}
	}
	return adopted, nil
}

// adopt takes over one journal; nil means that there was nothing in it to take over.
func (k *Keeper) adopt(ctx context.Context, name, node string) (*Adopted, error) {
	log, replay, err := journal.Open(k.o.Disk, name)
	if errors.Is(err, journal.ErrForeign) {
		return nil, k.setAside(name)
	}
	if err != nil {
		return nil, err
	}
	if err := k.report(name, replay); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	h := store.Holder{Node: node, Lease: batch.NewLeaseID()}
	err = log.Adopt(h.Lease)
	k.tellRescues(log, 0)
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	failpoint.Hit(failpoint.JournalAdopted)
	unit, err := k.o.Store.AdoptUnit(ctx, replay.Header.Unit, replay.Leases, h)
	switch {
	case errors.Is(err, store.ErrSealed):
		k.o.Logger.Info("remove journal of a sealed unit", "journal", name)
		return nil, errors.Join(log.Close(), log.Remove())
	case err != nil:
		return nil, errors.Join(err, log.Close())
	}
	failpoint.Hit(failpoint.UnitAdopted)
	a := &Adopted{Unit: unit, log: log, done: make(map[uint32]bool)}
	err = log.Lines(func(line uint32, kind batch.Kind, _ batch.Usage) error {
		if !a.done[line] {
			a.done[line] = true
			a.Counts = a.Counts.Add(countOf(kind))
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return a, nil
}

// setAside renames a file that is no usable journal, so that it is kept and not looked at again.
func (k *Keeper) setAside(name string) error {
	aside := name + ".unusable"
	k.o.Logger.Error("journal header is unusable; its lines are run again and the file is kept",
		"journal", name, "kept_as", aside)
	if err := k.o.Disk.Rename(name, aside); err != nil {
		return fmt.Errorf("set journal aside: %w", err)
	}
	return nil
}

// report says loudly what is damaged in a journal and keeps a copy of it. A torn tail is what a crash leaves behind
// and needs no copy.
func (k *Keeper) report(name string, replay journal.Replay) error {
	for _, d := range replay.Damage {
		if d.Torn {
			k.o.Logger.Info("cut torn tail off journal", "journal", name, "offset", d.Offset, "bytes", d.Length)
			continue
		}
		k.o.Logger.Error("journal is damaged; whole frames are kept and the lines in this range are run again",
			"journal", name, "offset", d.Offset, "bytes", d.Length, "reason", d.Reason)
	}
	if !replay.Damaged() {
		return nil
	}
	kept, err := journal.Preserve(k.o.Disk, name)
	if err != nil {
		return fmt.Errorf("keep a copy of the damaged journal: %w", err)
	}
	k.o.Logger.Error("copy of the damaged journal kept", "journal", name, "kept_as", kept)
	return nil
}

// Resume opens an adopted unit.
func (k *Keeper) Resume(ctx context.Context, in *Input, a *Adopted) (*Unit, error) {
	return k.openUnit(ctx, in, a.Unit, a.log, a.done)
}
