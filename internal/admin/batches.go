package admin

import (
	"context"
	"errors"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// Batch is a stored batch with the name of its tenant.
type Batch struct {
	batch.Batch
	TenantName string
}

// Batches returns a page of the batches of the tenant with this name, or of all with "", newest first. after is the id of the last batch of the page before,
// "" for the first page. Counts are those that are stored, which those of a running batch are ahead of.
func (s *Service) Batches(ctx context.Context, tenantName, after string, limit int) (store.Page[Batch], error) {
	id, names, err := s.tenants(ctx, tenantName)
	if err != nil {
		return store.Page[Batch]{}, err
	}
	var stored store.Page[batch.Batch]
	if id == "" {
		stored, err = s.o.Store.ListAllBatches(ctx, after, limit)
	} else {
		stored, err = s.o.Store.ListBatches(ctx, id, store.BatchQuery{After: after, Limit: limit})
	}
	if errors.Is(err, store.ErrBadCursor) {
		return store.Page[Batch]{}, notFound("batch", "no batch has the id %s", after)
	}
	if err != nil {
		return store.Page[Batch]{}, err
	}
	page := store.Page[Batch]{HasMore: stored.HasMore}
	for _, b := range stored.Items {
		page.Items = append(page.Items, Batch{Batch: b, TenantName: names[b.Tenant]})
	}
	return page, nil
}
