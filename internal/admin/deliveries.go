package admin

import (
	"context"
	"errors"
	"time"

	"batchd/internal/store"
)

// Delivery is a stored delivery as its operator sees it: without secrets.
type Delivery struct {
	store.Delivery
	// TenantName is the name of its tenant.
	TenantName string
}

// Deliveries returns deliveries, newest first. The query's Tenant is a name.
func (s *Service) Deliveries(ctx context.Context, q store.DeliveryQuery) ([]Delivery, error) {
	id, names, err := s.tenants(ctx, q.Tenant)
	if err != nil {
		return nil, err
	}
	q.Tenant = id
	if q.Webhook != "" {
		if _, err := s.o.Store.Webhook(ctx, q.Webhook); err != nil {
			return nil, noWebhook(q.Webhook, err)
		}
	}
	stored, err := s.o.Store.ListDeliveries(ctx, q)
	var deliveries []Delivery
	for _, d := range stored {
		deliveries = append(deliveries, Delivery{Delivery: d, TenantName: names[d.Tenant]})
	}
	return deliveries, err
}

// Redeliver has a delivery sent once more, with the same ids, by the server that runs on the store; where it fails, it is
// tried again while its event is young enough. One that is pending, or whose webhook is disabled, is a fault of class
// batch.Conflict about the delivery or the webhook.
func (s *Service) Redeliver(ctx context.Context, id string) (Delivery, error) {
	d, err := s.o.Store.Redeliver(ctx, id, s.o.Now())
	switch {
	case errors.Is(err, store.ErrNotFound):
		return Delivery{}, notFound(paramDelivery, "no delivery has the id %s", id)
	case errors.Is(err, store.ErrConflict) && d.State == store.DeliveryPending:
		return Delivery{}, conflict(paramDelivery, "delivery %s is pending already: its next attempt is due at %s",
			id, d.NextAt.UTC().Format(time.RFC3339))
	case errors.Is(err, store.ErrConflict):
		return Delivery{}, conflict(paramWebhook, "webhook %s is disabled, since its endpoint answered 410", d.Webhook)
	case err != nil:
		return Delivery{}, err
	}
	owner, err := s.o.Store.Tenant(ctx, d.Tenant)
	return Delivery{Delivery: d, TenantName: owner.Name}, err
}
