package webhook

import (
	"crypto/rand"
	"encoding/hex"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// NewID mints a webhook's id: "we_" and 32 hexadecimal digits.
func NewID() string { return "we_" + randomHex() }

func randomHex() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the process instead
	return hex.EncodeToString(b[:])
}

// NewTest returns a delivery of the event webhook.test to w at now. It is in no outbox; its subject is the webhook
// itself.
func NewTest(w store.Webhook, now time.Time) store.Delivery {
	return store.Delivery{
		ID: "wh_" + randomHex(), Tenant: w.Tenant, EventID: "evt_" + randomHex(), Event: batch.EventTest, Batch: w.ID,
		CreatedAt: now, Webhook: w.ID, Named: true, URL: w.URL, Secrets: w.Secrets(now), State: store.DeliveryPending,
	}
}
