package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"batchd/internal/batch"
	"batchd/internal/datadir"
	"batchd/internal/journal"
)

// journals reads every journal and compares it with its unit's row.
func (c *checker) journals(ctx context.Context) error {
	entries, err := c.o.Disk.ReadDir(datadir.Journals)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		name := path.Join(datadir.Journals, e.Name())
		switch {
		case strings.HasSuffix(name, journal.Suffix):
			c.sum.Journals++
			err = c.confirm(ctx, func() ([]Finding, error) { return c.journal(ctx, name) })
		case strings.HasSuffix(name, journal.DamagedSuffix), strings.HasSuffix(name, ".unusable"):
			err = c.report(Finding{
				State: Noted, Kind: Journal, File: name, Problem: "was set aside because it is damaged",
				Remedy: "batchd never reads or removes it; that is yours to do",
			})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// journal looks at one journal, if it is still there. Its unit's row is read after it: a lease is in the row before a
// journal names it.
func (c *checker) journal(ctx context.Context, name string) ([]Finding, error) {
	f := Finding{State: LostState, Kind: Journal, File: name}
	results := 0
	replay, err := journal.Inspect(c.o.Disk, name, func(uint32, batch.Kind, batch.Usage) error { results++; return context.Cause(ctx) })
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, journal.ErrForeign):
		f.Problem, f.Remedy = "has no header that can be trusted", "the next start sets it aside and sends the lines of its unit again"
		return []Finding{f}, nil
	case context.Cause(ctx) != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		f.Problem, f.Remedy = "cannot be read: "+err.Error(), "see to the disk; a start fails as long as it is so"
		return []Finding{f}, nil
	}
	unit := replay.Header.Unit
	f.BatchID, f.Unit = unit.Batch, &unit.Ordinal
	at, err := StandingOf(ctx, c.store, c.o.Disk, name, replay.Header)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	switch problem := at.Problem(); {
	case problem != "":
		f.Problem, f.Remedy = fmt.Sprintf("%s; it has %d results", problem, results), c.repairRemedy()
		return []Finding{f}, nil
	case at.Row.Seal != nil:
		f.State, f.Problem, f.Remedy = Unreferenced, "its unit is sealed", "the next start removes it"
		return []Finding{f}, nil
	}
	c.sum.Results += int64(results)
	var found []Finding
	for _, d := range replay.Damage {
		if !d.Torn {
			bad := f
			bad.Bytes = d.Length
			bad.Problem, bad.Remedy = "is damaged: "+d.String(), "the next start keeps a copy and sends the lines in this range again"
			found = append(found, bad)
		}
	}
	return found, nil
}
