package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// endpoint is where a delivery goes: a webhook of the tenant, or the callback URL of the batch itself.
type endpoint struct {
	// seq is the webhook's row, nil for a callback, which is at url.
	seq   *int64
	name  string
	named bool
	url   string
}

// enqueueDeliveries writes the deliveries of a batch that reaches its final status at now to the outbox. It must run in
// the transaction that moves the batch: an event is delivered if and only if the move was committed.
func enqueueDeliveries(ctx context.Context, t *tx, b batch.Batch, final batch.Status, now time.Time) error {
	event := final.Event()
	endpoints, err := endpointsFor(ctx, t, b, event)
	if err != nil {
		return err
	}
	eventID := derivedID("evt_", b.ID, string(event))
	for _, e := range endpoints {
		// An id that is there already is the delivery of this very event to this very endpoint.
		if _, err := t.change(ctx, `
			INSERT INTO deliveries (id, tenant, event_id, event, batch, dialect, webhook, named, url, state, created_at, next_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
			derivedID("wh_", eventID, e.name), b.Tenant, eventID, string(event), b.ID, b.Dialect, e.seq, e.named, e.url,
			string(store.DeliveryPending), nanos(now), nanos(now)); err != nil {
			return err
		}
	}
	return nil
}

// webhookChoicesQuery reads only what decides, of those that are not disabled; URL and secrets are joined when a delivery is leased.
const webhookChoicesQuery = `SELECT w.seq, w.id, w.events FROM webhooks w WHERE w.tenant = ? AND w.disabled_at IS NULL ORDER BY w.seq`

// endpointsFor returns where an event of b is to be delivered.
func endpointsFor(ctx context.Context, t *tx, b batch.Batch, event batch.Event) ([]endpoint, error) {
	type choice struct {
		seq int64
		store.Webhook
	}
	choices, err := all(ctx, t, func(rows *sql.Rows) (choice, error) {
		var c choice
		err := rows.Scan(&c.seq, &c.ID, listColumn(&c.Events))
		return c, err
	}, webhookChoicesQuery, b.Tenant)
	if err != nil {
		return nil, err
	}
	var endpoints []endpoint
	for _, c := range choices {
		if c.Wants(event) {
			endpoints = append(endpoints, endpoint{seq: &c.seq, name: c.ID, named: len(c.Events) > 0})
		}
	}
	if b.CallbackURL != "" {
		endpoints = append(endpoints, endpoint{name: "callback", url: b.CallbackURL})
	}
	return endpoints, nil
}

// derivedID returns an id that is a function of what it names, so that an event that is written twice gets one id. part
// has no NUL in it, so two pairs never read as the same text.
func derivedID(prefix, whole, part string) string {
	sum := sha256.Sum256([]byte(whole + "\x00" + part))
	return prefix + hex.EncodeToString(sum[:16])
}
