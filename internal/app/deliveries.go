package app

import (
	"context"
	"errors"
	"time"

	"batchd/internal/config"
	"batchd/internal/store"
	"batchd/internal/webhook"
)

// WebhookTest is what came of a test event.
type WebhookTest struct {
	Webhook
	// EventID is the id in the event's body.
	EventID string
	// Status is the HTTP status that the receiver answered, 0 if it did not; then Problem says why.
	Status  int
	Problem string
	Took    time.Duration
	// OK reports whether the receiver took the event.
	OK bool
}

// TestWebhook sends a signed event webhook.test to a webhook, once and from here. A receiver that does not take it
// is no error.
func TestWebhook(ctx context.Context, cfg config.Config, id, userAgent string) (WebhookTest, error) {
	now := time.Now()
	var w store.Webhook
	var owner string
	err := withData(ctx, cfg.DataDir, func(st store.Store) (err error) {
		w, owner, err = webhookWithID(ctx, st, id)
		return err
	})
	if err != nil {
		return WebhookTest{}, err
	}
	event := webhook.NewTest(w, now)
	a := webhook.NewCaller(webhook.CallerOptions{Guard: guardOf(cfg), UserAgent: userAgent}).Call(ctx, event)
	if ctx.Err() != nil {
		return WebhookTest{}, ctx.Err()
	}
	t := WebhookTest{
		Webhook: describeWebhook(w, owner, now), EventID: event.EventID, Status: a.Status, Took: a.Took, OK: a.OK(),
	}
	if a.Err != nil {
		t.Problem = a.Err.Error()
	}
	if errors.Is(a.Err, webhook.ErrRefused) {
		t.Problem += "; " + allowRemedy
	}
	return t, nil
}

// WebhookDelivery is an event on its way to a receiver, or there.
type WebhookDelivery struct {
	ID     string
	Tenant string
	// Webhook is the webhook's id; "" for the callback of the batch itself.
	Webhook string
	URL     string
	Batch   string
	EventID string
	Event   string
	// State is pending, delivered, abandoned, or skipped: an event that the batch's dialect does not announce and that was
	// not asked for.
	State    string
	Attempts int
	// LastStatus and LastError tell of the last attempt; NextAt is when the next is due, zero if there will be none.
	LastStatus int
	LastError  string
	CreatedAt  time.Time
	UpdatedAt  time.Time
	NextAt     time.Time
}

// DeliveryQuery selects deliveries; "" selects all.
type DeliveryQuery struct {
	// Tenant is a name, Webhook and Batch are ids.
	Tenant  string
	Webhook string
	Batch   string
	Limit   int
}

// ListDeliveries returns deliveries, newest first.
func ListDeliveries(ctx context.Context, dataDir string, q DeliveryQuery) ([]WebhookDelivery, error) {
	var deliveries []WebhookDelivery
	err := withData(ctx, dataDir, func(st store.Store) error {
		owner, err := tenantIDOf(ctx, st, q.Tenant)
		if err != nil {
			return err
		}
		if q.Webhook != "" {
			if _, err := st.Webhook(ctx, q.Webhook); err != nil {
				return known(q.Webhook, err)
			}
		}
		names, err := tenantNames(ctx, st)
		if err != nil {
			return err
		}
		stored, err := st.ListDeliveries(ctx, store.DeliveryQuery{Tenant: owner, Webhook: q.Webhook, Batch: q.Batch, Limit: q.Limit})
		for _, d := range stored {
			deliveries = append(deliveries, describeDelivery(d, names[d.Tenant]))
		}
		return err
	})
	return deliveries, err
}

func describeDelivery(d store.Delivery, tenantName string) WebhookDelivery {
	return WebhookDelivery{
		ID: d.ID, Tenant: tenantName, Webhook: d.Webhook, URL: d.URL, Batch: d.Batch, EventID: d.EventID, Event: string(d.Event),
		State: string(d.State), Attempts: d.Attempts, LastStatus: d.LastStatus, LastError: d.LastError,
		CreatedAt: d.CreatedAt, UpdatedAt: d.UpdatedAt, NextAt: d.NextAt,
	}
}

// CallbackSecret returns the secret that signs the callbacks of the tenant with this name.
func CallbackSecret(ctx context.Context, dataDir, tenantName string) (string, error) {
	var secret string
	err := withData(ctx, dataDir, func(st store.Store) error {
		owner, err := namedTenant(ctx, st, tenantName)
		if err != nil {
			return err
		}
		secret, err = st.CallbackSecret(ctx, owner.ID)
		return err
	})
	return secret, err
}
