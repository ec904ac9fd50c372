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

// address is where a delivery goes: to a webhook, or to the callback of the batch itself.
type address struct {
	// seq is the webhook's key, nil for a callback, whose address is url.
	seq   *int64
	name  string
	named bool
	url   string
}

// tell writes the deliveries of a batch that comes to its final status at now. It must run in the transaction that
// moves the batch, so that no end goes untold and none is told of that did not happen.
func tell(ctx context.Context, t *tx, b batch.Batch, final batch.Status, now time.Time) error {
	event := final.Event()
	addresses, err := addressesOf(ctx, t, b, event)
	if err != nil {
		return err
	}
	eventID := derivedID("evt_", b.ID, string(event))
	for _, a := range addresses {
		// An id that is there already is a delivery of this very event to this very address.
		if _, err := t.change(ctx, `
			INSERT INTO deliveries (id, tenant, event_id, event, batch, dialect, webhook, named, url, state, created_at, next_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
			derivedID("wh_", eventID, a.name), b.Tenant, eventID, string(event), b.ID, b.Dialect, a.seq, a.named, a.url,
			string(store.DeliveryPending), nanos(now), nanos(now)); err != nil {
			return err
		}
	}
	return nil
}

const webhookChoicesQuery = `SELECT w.seq, w.id, w.events FROM webhooks w WHERE w.tenant = ? ORDER BY w.seq`

// addressesOf returns who is to be told of an event of b.
func addressesOf(ctx context.Context, t *tx, b batch.Batch, event batch.Event) ([]address, error) {
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
	var addresses []address
	for _, c := range choices {
		if c.Wants(event) {
			addresses = append(addresses, address{seq: &c.seq, name: c.ID, named: len(c.Events) > 0})
		}
	}
	if b.CallbackURL != "" {
		addresses = append(addresses, address{name: "callback", url: b.CallbackURL})
	}
	return addresses, nil
}

// derivedID returns an id that follows from what it names, so that telling twice of one thing yields one id. part has no
// NUL in it, so two pairs never read as the same text.
func derivedID(prefix, whole, part string) string {
	sum := sha256.Sum256([]byte(whole + "\x00" + part))
	return prefix + hex.EncodeToString(sum[:16])
}
