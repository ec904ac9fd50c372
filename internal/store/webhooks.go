package store

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"slices"
	"time"

	"batchd/internal/batch"
)

// secretBytes is the length of a signing key. Standard Webhooks asks for 24 to 64.
const secretBytes = 32

// NewSecret mints a secret that signs deliveries: "whsec_" and 32 random bytes in base64.
func NewSecret() string {
	key := make([]byte, secretBytes)
	_, _ = rand.Read(key) // never fails: crypto/rand ends the process first
	return "whsec_" + base64.StdEncoding.EncodeToString(key)
}

// Webhook is an endpoint to which a tenant wants events delivered.
type Webhook struct {
	// ID is "we_" and 32 hexadecimal digits.
	ID     string
	Tenant string
	URL    string
	// Events are those it wants; none means every one that the batch's dialect announces.
	Events []batch.Event
	// Secret signs, in the form "whsec_" and base64. Previous signs too until PreviousUntil, while receivers change
	// over.
	Secret        string
	Previous      string
	PreviousUntil time.Time
	CreatedAt     time.Time
	// DisabledAt is since when nothing is sent to it, because its endpoint answered 410; zero for one that is sent events.
	DisabledAt time.Time
}

// Wants reports whether the webhook asks for the event.
func (w Webhook) Wants(e batch.Event) bool { return len(w.Events) == 0 || slices.Contains(w.Events, e) }

// Secrets returns those that sign at now, the current one first.
func (w Webhook) Secrets(now time.Time) []string {
	var secrets []string
	if w.Secret != "" {
		secrets = append(secrets, w.Secret)
	}
	if w.Previous != "" && now.Before(w.PreviousUntil) {
		secrets = append(secrets, w.Previous)
	}
	return secrets
}

// DeliveryState is how far a delivery has come.
type DeliveryState string

// The states of a delivery. All but pending are final.
const (
	DeliveryPending   DeliveryState = "pending"
	DeliveryDone      DeliveryState = "delivered"
	DeliveryAbandoned DeliveryState = "abandoned"
	// DeliverySkipped is an event that the batch's dialect does not announce and nobody has asked for by name.
	DeliverySkipped DeliveryState = "skipped"
)

// Delivery is one event on its way to one endpoint: a row of the outbox, written in the transaction that made the
// event.
type Delivery struct {
	// ID is "wh_" and 32 hexadecimal digits, the same in every attempt.
	ID     string
	Tenant string
	// EventID is "evt_" and 32 hexadecimal digits, the same for every endpoint.
	EventID string
	Event   batch.Event
	// Batch is the batch's id, Dialect the one that created it.
	Batch     string
	Dialect   string
	CreatedAt time.Time
	// Webhook is the endpoint's id; "" for the batch's own callback. Named says that the endpoint asks for the event by
	// name.
	Webhook string
	Named   bool
	URL     string
	// Secrets are those to sign with, the current one first.
	Secrets []string

	State    DeliveryState
	Attempts int
	// NextAt is when the next attempt is due.
	NextAt time.Time
	// LastStatus and LastError describe the last attempt: an HTTP status, or 0 and why there was none.
	LastStatus int
	LastError  string
	UpdatedAt  time.Time
}

// Attempt is what an attempt at a delivery came to.
type Attempt struct {
	Delivery string
	State    DeliveryState
	Status   int
	Error    string
	// NextAt is when a pending one is due again.
	NextAt time.Time
	Now    time.Time
	// Gone says of an abandoned one that its endpoint wants no more events at all.
	Gone bool
}

// Webhooks are the methods on endpoints and the outbox. FailBatch, CloseBatch and CreateFailedBatch write the
// deliveries of a batch's end in their own transaction: one for each webhook of the tenant that wants the event and is not
// disabled, one for the callback.
type Webhooks interface {
	// AddWebhook stores a webhook. An id that is taken is ErrConflict, an unknown tenant ErrNotFound, as is what the
	// methods below do not find.
	AddWebhook(ctx context.Context, w Webhook) error
	// ListWebhooks returns the webhooks of a tenant, or all with "", oldest first.
	ListWebhooks(ctx context.Context, tenant string) ([]Webhook, error)
	// Webhook returns a webhook of any tenant by its id.
	Webhook(ctx context.Context, id string) (Webhook, error)
	// RemoveWebhook forgets a webhook and its deliveries, done or not; ErrNotFound.
	RemoveWebhook(ctx context.Context, id string) error
	// RotateWebhook puts secret in place of the current one, which goes on signing until the given time.
	RotateWebhook(ctx context.Context, id, secret string, previousUntil time.Time) error
	// EnableWebhook lets a disabled webhook have the events from now on. One that is not disabled stays as it is.
	EnableWebhook(ctx context.Context, id string) error
	// CallbackSecret returns the secret that signs the tenant's callbacks, which was minted with the tenant, and the time until
	// which the one before signs too, as RotateCallbackSecret was told: zero for none, and possibly over.
	CallbackSecret(ctx context.Context, tenant string) (secret string, previousUntil time.Time, err error)
	// RotateCallbackSecret puts secret in place of the tenant's, which goes on signing until the given time.
	RotateCallbackSecret(ctx context.Context, tenant, secret string, previousUntil time.Time) error

	// LeaseDeliveries returns at most n pending deliveries that are due at now, longest due first, and makes them due
	// again at the given time: until then nobody else sends them, and after a crash they are sent again. It writes
	// nothing when none is due.
	LeaseDeliveries(ctx context.Context, now, until time.Time, n int) ([]Delivery, error)
	// ReclaimDeliveries makes due at now every pending delivery that is leased, and returns how many. It is for the start of
	// the only process that sends from a store: whoever has leased them is dead.
	ReclaimDeliveries(ctx context.Context, now time.Time) (int, error)
	// AdvanceDeliveries makes due at now every pending delivery that is due only after latest, and returns how many: no lease
	// and no pause reaches so far, so it was written by a clock that was wrong.
	AdvanceDeliveries(ctx context.Context, now, latest time.Time) (int, error)
	// RecordAttempt stores what an attempt came to and counts it, unless the state is DeliverySkipped. A delivery that
	// is gone or not pending any more is ErrNotFound. If its endpoint is gone, its webhook is disabled, and all that is
	// pending to it abandoned; a callback's has no other delivery.
	RecordAttempt(ctx context.Context, a Attempt) error
	// Redeliver makes a delivery in a final state pending again, with its ids, due at now and as if its endpoint had asked for
	// the event by name; it returns the delivery as it then is, without secrets. One that is pending, or whose webhook is
	// disabled, is ErrConflict, returned with it.
	Redeliver(ctx context.Context, id string, now time.Time) (Delivery, error)
	// ListDeliveries returns the newest deliveries first, without secrets.
	ListDeliveries(ctx context.Context, q DeliveryQuery) ([]Delivery, error)
	// ForgetDeliveries forgets at most n deliveries in a final state that were last touched before the given time.
	ForgetDeliveries(ctx context.Context, before time.Time, n int) (int, error)
}

// DeliveryQuery selects deliveries; "" selects all.
type DeliveryQuery struct {
	Tenant  string
	Webhook string
	Batch   string
	Limit   int
}
