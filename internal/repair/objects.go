package repair

import (
	"context"
	"path"
	"slices"
	"strings"

	"batchd/internal/check"
)

// keysAtOnce bounds how many objects are compared at a time.
const keysAtOnce = 500

// objects sets aside what is stored of batches without a row, and, where the database has lost time, all that no row refers
// to and that was perhaps promised: uploads. Plans, manifests and merged results of a known batch are made again from what
// was kept.
func (r *repairer) objects(ctx context.Context) error {
	var page []string
	look := func() error {
		err := r.compare(ctx, page)
		page = page[:0]
		return err
	}
	err := r.Objects.Keys(ctx, "", func(key string) error {
		if page = append(page, key); len(page) < keysAtOnce {
			return nil
		}
		return look()
	})
	if err != nil {
		return err
	}
	return look()
}

// compare looks at some objects.
func (r *repairer) compare(ctx context.Context, keys []string) error {
	var ids, uploads []string
	for _, key := range keys {
		switch o := check.ParseKey(key); {
		case o.Batch != "":
			ids = append(ids, o.Batch)
		case r.LostTime && o.Kind == check.Upload:
			uploads = append(uploads, key)
		}
	}
	unknown, err := r.Store.UnknownBatches(ctx, slices.Compact(ids))
	if err != nil {
		return err
	}
	free, err := r.Store.Unreferenced(ctx, uploads)
	if err != nil {
		return err
	}
	for _, key := range keys {
		o := check.ParseKey(key)
		a := Action{Kind: o.Kind, File: r.Objects.File(key), BatchID: o.Batch}
		switch {
		case o.Batch != "" && slices.Contains(unknown, o.Batch):
			a.Reason = noRow
		case slices.Contains(free, key):
			a.Reason = "the database has lost time, and no row refers to it"
		default:
			continue
		}
		if o.Kind == check.Segment {
			a.Unit = &o.Unit
			if s, err := r.readSegment(ctx, key); err == nil {
				a.Results = len(s.index)
			}
		}
		if err := r.setAside(a, asideName(a.File, key)); err != nil {
			return err
		}
	}
	return nil
}

// asideName is what the file of an object is called among those set aside: its own name behind that of its kind.
func asideName(file, key string) string {
	kind, _, _ := strings.Cut(key, "/")
	return kind + "-" + path.Base(file)
}
