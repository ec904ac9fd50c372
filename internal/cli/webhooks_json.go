package cli

import (
	"time"

	"batchd/internal/app"
)

// webhookObject is a webhook in JSON. Times are unix seconds; no events stands for all.
type webhookObject struct {
	ID        string   `json:"id"`
	Tenant    string   `json:"tenant"`
	URL       string   `json:"url"`
	Events    []string `json:"events"`
	CreatedAt *int64   `json:"created_at"`
	// PreviousUntil is until when the secret before the current one signs too.
	PreviousUntil *int64 `json:"previous_secret_until"`
}

// secretObject is a webhook with its secret.
type secretObject struct {
	Secret string `json:"secret"`
	webhookObject
}

func webhookJSON(w app.Webhook) webhookObject {
	return webhookObject{
		ID: w.ID, Tenant: w.Tenant, URL: w.URL, Events: append([]string{}, w.Events...),
		CreatedAt: unixOf(w.CreatedAt), PreviousUntil: unixOf(w.PreviousUntil),
	}
}

// removedObject says that a webhook is no more.
type removedObject struct {
	ID      string `json:"id"`
	Deleted bool   `json:"deleted"`
}

// callbackObject is the secret of a tenant's callbacks.
type callbackObject struct {
	Tenant string `json:"tenant"`
	Secret string `json:"secret"`
}

// testObject is what came of a test event.
type testObject struct {
	Webhook    string  `json:"webhook"`
	URL        string  `json:"url"`
	EventID    string  `json:"event_id"`
	OK         bool    `json:"ok"`
	Status     *int    `json:"status"`
	Error      *string `json:"error"`
	DurationMS int64   `json:"duration_ms"`
}

func testJSON(t app.WebhookTest) testObject {
	return testObject{
		Webhook: t.ID, URL: t.URL, EventID: t.EventID, OK: t.OK, Status: orNull(t.Status), Error: orNull(t.Problem),
		DurationMS: t.Took.Round(time.Millisecond).Milliseconds(),
	}
}

// deliveryObject is a delivery in JSON. Webhook is null for the callback of the batch itself.
type deliveryObject struct {
	ID         string  `json:"id"`
	Tenant     string  `json:"tenant"`
	Webhook    *string `json:"webhook"`
	URL        string  `json:"url"`
	Batch      string  `json:"batch"`
	EventID    string  `json:"event_id"`
	Event      string  `json:"event"`
	State      string  `json:"state"`
	Attempts   int     `json:"attempts"`
	LastStatus *int    `json:"last_status"`
	LastError  *string `json:"last_error"`
	CreatedAt  *int64  `json:"created_at"`
	UpdatedAt  *int64  `json:"updated_at"`
	NextAt     *int64  `json:"next_at"`
}

func deliveryJSON(d app.WebhookDelivery) deliveryObject {
	return deliveryObject{
		ID: d.ID, Tenant: d.Tenant, Webhook: orNull(d.Webhook), URL: d.URL, Batch: d.Batch, EventID: d.EventID, Event: d.Event,
		State: d.State, Attempts: d.Attempts, LastStatus: orNull(d.LastStatus), LastError: orNull(d.LastError),
		CreatedAt: unixOf(d.CreatedAt), UpdatedAt: unixOf(d.UpdatedAt), NextAt: unixOf(d.NextAt),
	}
}

// orNull is a value that JSON shows as null where there is none.
func orNull[T comparable](v T) *T {
	var none T
	if v == none {
		return nil
	}
	return &v
}
