// Package diskusage finds out what uses the disk of a data directory: which blobs are kept for what and by which tenant,
// and what stands beside them. It asks the disk for sizes and the store for owners, and adds them up in one pass, in
// memory that grows with the number of tenants alone. It reads names and sizes only, changes nothing, and may run beside
// a server as well as in one.
package diskusage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"time"

	"batchd/internal/blob"
	"batchd/internal/datadir"
	"batchd/internal/store"
	"batchd/internal/vfs"
)

// keysAtOnce is how many blobs the store is asked about at a time.
const keysAtOnce = 500

// Store is the part of the metadata store that a survey needs.
type Store interface {
	BlobOwners(ctx context.Context, keys []string) ([]store.BlobOwner, error)
	ListTenants(ctx context.Context) ([]store.Tenant, error)
}

// Options configures a survey. All fields are required.
type Options struct {
	Store Store
	// List calls fn for every blob, as blob.Backend's does with an empty prefix.
	List func(ctx context.Context, fn func(blob.Info) error) error
	// FS is the data directory, which has the files of the database, the journals and lost/ under datadir's names; Temp
	// names the directories of temporary files in it.
	FS   vfs.FS
	Temp []string
	// Room asks the disk how much space it has.
	Room func() (datadir.Room, error)
	Now  func() time.Time
}

// Amount is how many bytes so many objects have.
type Amount struct{ Bytes, Objects int64 }

func (a *Amount) add(bytes int64) {
	a.Bytes += bytes
	a.Objects++
}

// plus returns the sum of both.
func (a Amount) plus(b Amount) Amount {
	return Amount{Bytes: a.Bytes + b.Bytes, Objects: a.Objects + b.Objects}
}

// Kept is what blobs use by what they are kept for. Blobs of a deleted file are not counted under what it was.
type Kept struct {
	Inputs, Results, Plans, Deleted Amount
}

// Total returns the sum.
func (k Kept) Total() Amount { return k.Inputs.plus(k.Results).plus(k.Plans).plus(k.Deleted) }

// of returns where a blob of this use is counted, nil for an unreferenced one.
func (k *Kept) of(use store.BlobUse) *Amount {
	switch use {
	case store.BlobInput:
		return &k.Inputs
	case store.BlobResult:
		return &k.Results
	case store.BlobPlan:
		return &k.Plans
	case store.BlobDeleted:
		return &k.Deleted
	default:
		return nil
	}
}

// Tenant is what one tenant's blobs use. Name is its id where the store does not know it any more.
type Tenant struct {
	ID, Name string
	Kept
}

// Usage is what used the disk at a time.
type Usage struct {
	At time.Time
	// Kept is the blobs of all tenants together; Unreferenced are those that nothing refers to, which sweeping removes.
	Kept
	Unreferenced Amount
	// Database is the metadata store's files, Journals the results of units that are not sealed, and Temporary what is being
	// written. Lost is what was set aside because no row answers to it: only the operator removes that.
	Database, Journals, Temporary, Lost Amount
	// Tenants are those that have blobs, the one with most bytes first.
	Tenants []Tenant
	// Disk is the space of the disk, zero where the operating system does not tell.
	Disk datadir.Room
}

// Total returns the sum of everything.
func (u Usage) Total() Amount {
	return u.Kept.Total().plus(u.Unreferenced).plus(u.Database).plus(u.Journals).plus(u.Temporary).plus(u.Lost)
}

// Survey finds out what uses the disk. What is written or removed meanwhile may or may not be counted. It takes about
// as long as listing every blob, which ctx may end early.
func Survey(ctx context.Context, o Options) (Usage, error) {
	s := survey{o: o, usage: Usage{At: o.Now()}, tenants: make(map[string]*Tenant)}
	for _, step := range []func(context.Context) error{s.blobs, s.files, s.name} {
		if err := step(ctx); err != nil {
			return Usage{}, fmt.Errorf("find out what uses the disk: %w", err)
		}
	}
	room, err := o.Room()
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return Usage{}, fmt.Errorf("find out what uses the disk: %w", err)
	}
	s.usage.Disk = room
	return s.usage, nil
}

// survey is a survey under way.
type survey struct {
	o       Options
	usage   Usage
	tenants map[string]*Tenant
	// keys and sizes are the blobs that the store has not been asked about yet.
	keys  []string
	sizes []int64
}

// blobs counts every blob.
func (s *survey) blobs(ctx context.Context) error {
	err := s.o.List(ctx, func(info blob.Info) error {
		s.keys, s.sizes = append(s.keys, info.Key), append(s.sizes, info.Size)
		if len(s.keys) < keysAtOnce {
			return nil
		}
		return s.ask(ctx)
	})
	if err != nil {
		return err
	}
	return s.ask(ctx)
}

// ask counts the blobs that were listed since the last time.
func (s *survey) ask(ctx context.Context) error {
	owners, err := s.o.Store.BlobOwners(ctx, s.keys)
	if err != nil {
		return err
	}
	for i, o := range owners {
		all := s.usage.of(o.Use)
		if all == nil {
			s.usage.Unreferenced.add(s.sizes[i])
			continue
		}
		t := s.tenants[o.Tenant]
		if t == nil {
			t = &Tenant{ID: o.Tenant, Name: o.Tenant}
			s.tenants[o.Tenant] = t
		}
		all.add(s.sizes[i])
		t.of(o.Use).add(s.sizes[i])
	}
	s.keys, s.sizes = s.keys[:0], s.sizes[:0]
	return nil
}

// files counts what is no blob.
func (s *survey) files(context.Context) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := s.o.FS.Stat(datadir.Database + suffix)
		switch {
		case err == nil:
			s.usage.Database.add(info.Size())
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	err := errors.Join(s.tree(datadir.Journals, &s.usage.Journals), s.tree(datadir.Lost, &s.usage.Lost))
	for _, dir := range s.o.Temp {
		err = errors.Join(err, s.tree(dir, &s.usage.Temporary))
	}
	return err
}

// tree counts the files below a directory. What is gone by the time it is looked at is not counted.
func (s *survey) tree(dir string, in *Amount) error {
	entries, err := s.o.FS.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := s.tree(path.Join(dir, e.Name()), in); err != nil {
				return err
			}
			continue
		}
		info, err := e.Info()
		switch {
		case err == nil:
			in.add(info.Size())
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	return nil
}

// name gives the tenants their names and puts them in order.
func (s *survey) name(ctx context.Context) error {
	known, err := s.o.Store.ListTenants(ctx)
	if err != nil {
		return err
	}
	for _, t := range known {
		if used := s.tenants[t.ID]; used != nil {
			used.Name = t.Name
		}
	}
	for _, t := range s.tenants {
		s.usage.Tenants = append(s.usage.Tenants, *t)
	}
	slices.SortFunc(s.usage.Tenants, func(a, b Tenant) int {
		return cmp.Or(cmp.Compare(b.Total().Bytes, a.Total().Bytes), cmp.Compare(a.Name, b.Name))
	})
	return nil
}
