package admin

import (
	"encoding/json"
	"time"

	"batchd/internal/store"
)

// The JSON of what operators see. Times are unix seconds, null for none.

// keyObject is a key in JSON. Content says whether it opens other tenants' files too.
type keyObject struct {
	ID        string  `json:"id"`
	Tenant    string  `json:"tenant"`
	TenantID  string  `json:"tenant_id"`
	Role      string  `json:"role"`
	Content   bool    `json:"content"`
	Dialect   *string `json:"dialect"`
	State     string  `json:"state"`
	CreatedAt *int64  `json:"created_at"`
	ExpiresAt *int64  `json:"expires_at"`
	RevokedAt *int64  `json:"revoked_at"`
}

func (k Key) object() keyObject {
	return keyObject{
		ID: k.ID, Tenant: k.TenantName, TenantID: k.Tenant, Role: string(k.Role), Content: k.OpensContent, Dialect: orNull(k.Dialect), State: string(k.State),
		CreatedAt: unix(k.CreatedAt), ExpiresAt: unix(k.ExpiresAt), RevokedAt: unix(k.RevokedAt),
	}
}

// MarshalJSON implements json.Marshaler, without the key's hash.
func (k Key) MarshalJSON() ([]byte, error) { return json.Marshal(k.object()) }

// MarshalJSON implements json.Marshaler, with the key's text.
func (k MintedKey) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Key string `json:"key"`
		keyObject
	}{k.Text, k.object()})
}

// limitsObject and usageObject are a tenant's in JSON. A limit of 0 is none.
type (
	limitsObject struct {
		StoredBytes       int64 `json:"stored_bytes"`
		Files             int64 `json:"files"`
		OpenBatches       int64 `json:"open_batches"`
		EnqueuedLines     int64 `json:"enqueued_lines"`
		EnqueuedTokens    int64 `json:"enqueued_tokens"`
		BatchesPerHour    int64 `json:"batches_per_hour"`
		RequestsPerMinute int64 `json:"requests_per_minute"`
	}
	usageObject struct {
		StoredBytes     int64 `json:"stored_bytes"`
		DeletedBytes    int64 `json:"deleted_bytes"`
		Files           int64 `json:"files"`
		OpenBatches     int64 `json:"open_batches"`
		EnqueuedLines   int64 `json:"enqueued_lines"`
		EnqueuedTokens  int64 `json:"enqueued_tokens"`
		BatchesLastHour int64 `json:"batches_last_hour"`
	}
)

// MarshalJSON implements json.Marshaler.
func (t Tenant) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		ID        string       `json:"id"`
		Name      string       `json:"name"`
		CreatedAt *int64       `json:"created_at"`
		Weight    int          `json:"weight"`
		Keys      int          `json:"keys"`
		Limits    limitsObject `json:"limits"`
		Usage     usageObject  `json:"usage"`
	}{t.ID, t.Name, unix(t.CreatedAt), t.Weight, t.Keys, limitsObject(t.Limits), usageObject(t.Usage)})
}

// webhookObject is a webhook in JSON. No events stands for all.
type webhookObject struct {
	ID        string   `json:"id"`
	Tenant    string   `json:"tenant"`
	URL       string   `json:"url"`
	Events    []string `json:"events"`
	CreatedAt *int64   `json:"created_at"`
	// DisabledAt is since when nothing is sent to it, since its endpoint answered 410.
	DisabledAt *int64 `json:"disabled_at"`
	// PreviousUntil is until when the secret before the current one signs too.
	PreviousUntil *int64 `json:"previous_secret_until"`
}

func (w Webhook) object() webhookObject {
	return webhookObject{
		ID: w.ID, Tenant: w.TenantName, URL: w.URL, Events: EventNames(w.Events), CreatedAt: unix(w.CreatedAt),
		DisabledAt: unix(w.DisabledAt), PreviousUntil: unix(w.PreviousUntil),
	}
}

// MarshalJSON implements json.Marshaler, without secrets.
func (w Webhook) MarshalJSON() ([]byte, error) { return json.Marshal(w.object()) }

// MarshalJSON implements json.Marshaler, with the secret.
func (w SecretWebhook) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Secret string `json:"secret"`
		webhookObject
	}{w.Secret, w.object()})
}

// MarshalJSON implements json.Marshaler.
func (c CallbackSecret) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Tenant        string `json:"tenant"`
		Secret        string `json:"secret"`
		PreviousUntil *int64 `json:"previous_secret_until"`
	}{c.Tenant, c.Secret, unix(c.PreviousUntil)})
}

// MarshalJSON implements json.Marshaler.
func (t WebhookTest) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Webhook    string  `json:"webhook"`
		URL        string  `json:"url"`
		EventID    string  `json:"event_id"`
		OK         bool    `json:"ok"`
		Status     *int    `json:"status"`
		Error      *string `json:"error"`
		DurationMS int64   `json:"duration_ms"`
	}{t.ID, t.URL, t.EventID, t.OK, orNull(t.Status), orNull(t.Problem), t.Took.Round(time.Millisecond).Milliseconds()})
}

// MarshalJSON implements json.Marshaler. Webhook is null for the callback of the batch itself.
func (d Delivery) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		ID         string              `json:"id"`
		Tenant     string              `json:"tenant"`
		Webhook    *string             `json:"webhook"`
		URL        string              `json:"url"`
		Batch      string              `json:"batch"`
		EventID    string              `json:"event_id"`
		Event      string              `json:"event"`
		State      store.DeliveryState `json:"state"`
		Attempts   int                 `json:"attempts"`
		LastStatus *int                `json:"last_status"`
		LastError  *string             `json:"last_error"`
		CreatedAt  *int64              `json:"created_at"`
		UpdatedAt  *int64              `json:"updated_at"`
		NextAt     *int64              `json:"next_at"`
	}{
		ID: d.ID, Tenant: d.TenantName, Webhook: orNull(d.Webhook), URL: d.URL, Batch: d.Batch, EventID: d.EventID,
		Event: string(d.Event), State: d.State, Attempts: d.Attempts, LastStatus: orNull(d.LastStatus),
		LastError: orNull(d.LastError), CreatedAt: unix(d.CreatedAt), UpdatedAt: unix(d.UpdatedAt), NextAt: unix(d.NextAt),
	})
}

// List is a list in JSON, in the form that the API's lists have.
type List[T any] struct {
	Object string `json:"object"`
	Data   []T    `json:"data"`
}

// ListOf makes a list of items, which JSON shows as one also if there are none.
func ListOf[T any](items []T) List[T] {
	return List[T]{Object: "list", Data: append([]T{}, items...)}
}

// Removed says in JSON that a webhook is no more.
type Removed struct {
	ID      string `json:"id"`
	Deleted bool   `json:"deleted"`
}

// unix is a time in unix seconds; nil for none.
func unix(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	seconds := t.Unix()
	return &seconds
}

// orNull is a value that JSON shows as null where there is none.
func orNull[T comparable](v T) *T {
	var none T
	if v == none {
		return nil
	}
	return &v
}
