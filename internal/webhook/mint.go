package webhook

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// secretBytes is the length of a signing key. Standard Webhooks asks for 24 to 64.
const secretBytes = 32

// NewSecret mints a signing secret: "whsec_" and 32 random bytes in base64.
func NewSecret() string {
	key := make([]byte, secretBytes)
	_, _ = rand.Read(key) // never fails: it ends the process instead
	return "whsec_" + base64.StdEncoding.EncodeToString(key)
}

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
	d := store.Delivery{
		ID: "wh_" + randomHex(), Tenant: w.Tenant, EventID: "evt_" + randomHex(), Event: batch.EventTest, Batch: w.ID,
		CreatedAt: now, Webhook: w.ID, Named: true, URL: w.URL, Secrets: []string{w.Secret}, State: store.DeliveryPending,
	}
	if w.Previous != "" && now.Before(w.PreviousUntil) {
		d.Secrets = append(d.Secrets, w.Previous)
	}
	return d
}
