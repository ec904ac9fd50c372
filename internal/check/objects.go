package check

import (
	"context"
	"fmt"
	"slices"

	"batchd/internal/batch"
	"batchd/internal/blob"
)

// keysAtOnce bounds how many objects are compared at a time.
const keysAtOnce = 500

// objects looks at each stored object: does a row refer to it, and does it name a batch that has no row?
func (c *checker) objects(ctx context.Context) error {
	page := make([]blob.Info, 0, keysAtOnce)
	look := func() error {
		infos := slices.Clone(page)
		page = page[:0]
		first := true
		return c.confirm(ctx, func() ([]Finding, error) {
			if !first { // some may have gone
				infos = slices.DeleteFunc(infos, func(i blob.Info) bool { _, err := c.o.Objects.Stat(ctx, i.Key); return err != nil })
			}
			first = false
			return c.compareObjects(ctx, infos)
		})
	}
	err := c.o.Objects.List(ctx, "", func(info blob.Info) error {
		c.sum.Objects++
		c.total += info.Size
		page = append(page, info)
		if len(page) < keysAtOnce {
			return nil
		}
		return look()
	})
	if err != nil {
		return err
	}
	return look()
}

// compareObjects asks the store about some objects. Leases are read first: an object whose lease is gone by then is
// referred to, or nobody comes back for it.
func (c *checker) compareObjects(ctx context.Context, infos []blob.Info) ([]Finding, error) {
	leases, err := c.store.LiveLeases(ctx)
	if err != nil {
		return nil, err
	}
	keys, ids := make([]string, len(infos)), make([]string, 0, len(infos))
	for i, info := range infos {
		keys[i] = info.Key
		if o := ParseKey(info.Key); o.Batch != "" {
			ids = append(ids, o.Batch)
		}
	}
	unknown, err := c.store.UnknownBatches(ctx, slices.Compact(ids))
	if err != nil {
		return nil, err
	}
	free, err := c.store.Unreferenced(ctx, keys)
	if err != nil {
		return nil, err
	}
	noRow, noReference := setOf(unknown), setOf(free)
	var found []Finding
	for _, info := range infos {
		o := ParseKey(info.Key)
		f := Finding{Kind: o.Kind, File: c.o.Objects.File(info.Key), BatchID: o.Batch, Bytes: info.Size}
		if o.Kind == Segment {
			f.Unit = &o.Unit
		}
		lease, _ := batch.ParseLeaseID(o.Tail)
		switch {
		case noRow[o.Batch]:
			f.State, f.Problem, f.Remedy = LostState, "is of a batch that the database has no row of", c.repairRemedy()
		case !noReference[info.Key], o.Kind != Segment && leases[lease]:
			continue
		default:
			f.State, f.Problem, f.Remedy = Unreferenced, "no row refers to it", "a server deletes it after a day"
			if o.Kind == Upload && c.lostTime {
				f.Remedy = "its row may be among the changes that are lost: `batchd repair` sets it aside, and a server deletes it after a day"
			}
		}
		found = append(found, f)
	}
	return found, nil
}

func setOf(items []string) map[string]bool {
	set := make(map[string]bool, len(items))
	for _, item := range items {
		set[item] = true
	}
	return set
}

// verify reads the bytes of an object from offset on, block by block, and returns what is wrong with them, "" for nothing.
func (c *checker) verify(ctx context.Context, b batch.Blob, offset, length int64) (string, error) {
	bad, problem := 0, ""
	for left := length; left > 0; {
		n := min(left, batch.BlobBlock-offset%batch.BlobBlock)
		err := c.readRange(ctx, b, offset, n)
		switch {
		case err == nil:
		case context.Cause(ctx) != nil:
			return "", context.Cause(ctx)
		case isAbsent(err):
			return "is not there", nil
		case bad == 0:
			problem = err.Error()
			fallthrough
		default:
			bad++
		}
		offset, left = offset+n, left-n
		c.done += n
		c.o.Progress(c.done, max(c.done, c.total))
	}
	if bad > 1 {
		problem = fmt.Sprintf("%s; so are %d more blocks", problem, bad-1)
	}
	return problem, nil
}
