package admin

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
	"batchd/internal/webhook"
)

// Webhook is a stored webhook as its operator sees it, at the time it was asked for. It has its secrets only where a method
// says so; PreviousUntil is zero unless a secret before the current one signs still.
type Webhook struct {
	store.Webhook
	// TenantName is the name of its tenant.
	TenantName string
}

// webhookAt returns a stored webhook as it is at now, without its secrets.
func webhookAt(w store.Webhook, tenantName string, now time.Time) Webhook {
	if w.Previous == "" || !now.Before(w.PreviousUntil) {
		w.PreviousUntil = time.Time{}
	}
	w.Secret, w.Previous = "", ""
	return Webhook{Webhook: w, TenantName: tenantName}
}

// SecretWebhook is a webhook with the secret that signs its events, which is shown this once.
type SecretWebhook struct {
	Webhook
	Secret string
}

// NewWebhook says what webhook is wanted.
type NewWebhook struct {
	// Tenant is the name of one that exists.
	Tenant string
	URL    string
	// Events are names like batch.completed; none stands for every one that the batch's dialect announces.
	Events []string
}

// AddWebhook stores a webhook and mints its secret. A running server sends it the events from then on. A URL that the
// settings forbid is a fault of class batch.Invalid, for which PrivateAddress reports true if its address is not public.
func (s *Service) AddWebhook(ctx context.Context, n NewWebhook) (SecretWebhook, error) {
	if err := s.o.Guard.CheckURL("URL", n.URL); err != nil {
		return SecretWebhook{}, err
	}
	events, err := eventsNamed(n.Events)
	if err != nil {
		return SecretWebhook{}, err
	}
	owner, err := s.tenantNamed(ctx, n.Tenant)
	if err != nil {
		return SecretWebhook{}, err
	}
	now := s.o.Now()
	w := store.Webhook{
		ID: webhook.NewID(), Tenant: owner.ID, URL: n.URL, Events: events, Secret: store.NewSecret(), CreatedAt: now,
	}
	if err := s.o.Store.AddWebhook(ctx, w); err != nil {
		return SecretWebhook{}, err
	}
	return SecretWebhook{Webhook: webhookAt(w, n.Tenant, now), Secret: w.Secret}, nil
}

// eventsNamed reads names of events, each once.
func eventsNamed(names []string) ([]batch.Event, error) {
	var events []batch.Event
	for _, name := range names {
		e := batch.Event(name)
		if !slices.Contains(batch.Events(), e) {
			return nil, invalid("events", "event %q: want %s", name, strings.Join(EventNames(batch.Events()), ", "))
		}
		if !slices.Contains(events, e) {
			events = append(events, e)
		}
	}
	return events, nil
}

// EventNames returns events as texts.
func EventNames(events []batch.Event) []string {
	names := make([]string, 0, len(events))
	for _, e := range events {
		names = append(names, string(e))
	}
	return names
}

// PrivateAddress reports whether an error means that the address of a receiver is not public, and that the settings do
// not allow it.
func PrivateAddress(err error) bool {
	var fault *batch.Error
	return errors.Is(err, webhook.ErrRefused) || errors.As(err, &fault) && fault.Code == webhook.CodePrivate
}

// Webhooks returns the webhooks of the tenant with this name, or of all with "", oldest first.
func (s *Service) Webhooks(ctx context.Context, tenantName string) ([]Webhook, error) {
	id, names, err := s.tenants(ctx, tenantName)
	if err != nil {
		return nil, err
	}
	stored, err := s.o.Store.ListWebhooks(ctx, id)
	now := s.o.Now()
	var webhooks []Webhook
	for _, w := range stored {
		webhooks = append(webhooks, webhookAt(w, names[w.Tenant], now))
	}
	return webhooks, err
}

// RemoveWebhook deletes a webhook and its deliveries, those that were not sent yet among them.
func (s *Service) RemoveWebhook(ctx context.Context, id string) error {
	return noWebhook(id, s.o.Store.RemoveWebhook(ctx, id))
}

// RotateWebhook mints a new secret for a webhook. The old one signs beside it until the overlap is over.
func (s *Service) RotateWebhook(ctx context.Context, id string, overlap time.Duration) (SecretWebhook, error) {
	now, secret := s.o.Now(), store.NewSecret()
	if err := noWebhook(id, s.o.Store.RotateWebhook(ctx, id, secret, now.Add(overlap))); err != nil {
		return SecretWebhook{}, err
	}
	w, owner, err := s.webhook(ctx, id)
	if err != nil {
		return SecretWebhook{}, err
	}
	return SecretWebhook{Webhook: webhookAt(w, owner.Name, now), Secret: secret}, nil
}

// webhook returns a webhook by its id, with its tenant.
func (s *Service) webhook(ctx context.Context, id string) (store.Webhook, store.Tenant, error) {
	w, err := s.o.Store.Webhook(ctx, id)
	if err != nil {
		return w, store.Tenant{}, noWebhook(id, err)
	}
	owner, err := s.o.Store.Tenant(ctx, w.Tenant)
	return w, owner, err
}

// noWebhook turns store.ErrNotFound into a fault that names the webhook, and leaves other errors alone.
func noWebhook(id string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return notFound(paramWebhook, "no webhook has the id %s", id)
	}
	return err
}

// EnableWebhook lets a webhook have events again that was disabled since its endpoint answered 410. Those of batches that
// ended meanwhile are not made up for.
func (s *Service) EnableWebhook(ctx context.Context, id string) (Webhook, error) {
	if err := noWebhook(id, s.o.Store.EnableWebhook(ctx, id)); err != nil {
		return Webhook{}, err
	}
	w, owner, err := s.webhook(ctx, id)
	return webhookAt(w, owner.Name, s.o.Now()), err
}

// CallbackSecret is the secret that signs a tenant's callbacks, at the time it was asked for or made.
type CallbackSecret struct {
	// Tenant is the tenant's name.
	Tenant string
	Secret string
	// PreviousUntil is until when the one before signs too; zero if none does.
	PreviousUntil time.Time
}

// RotateCallbackSecret mints a new secret for the callbacks of the tenant with this name. The old one signs beside it until the
// overlap is over.
func (s *Service) RotateCallbackSecret(ctx context.Context, tenantName string, overlap time.Duration) (CallbackSecret, error) {
	owner, err := s.tenantNamed(ctx, tenantName)
	if err != nil {
		return CallbackSecret{}, err
	}
	c := CallbackSecret{Tenant: tenantName, Secret: store.NewSecret()}
	if overlap > 0 {
		c.PreviousUntil = s.o.Now().Add(overlap)
	}
	return c, s.o.Store.RotateCallbackSecret(ctx, owner.ID, c.Secret, c.PreviousUntil)
}

// CallbackSecret returns the secret that signs the callbacks of the tenant with this name.
func (s *Service) CallbackSecret(ctx context.Context, tenantName string) (CallbackSecret, error) {
	owner, err := s.tenantNamed(ctx, tenantName)
	if err != nil {
		return CallbackSecret{}, err
	}
	secret, previousUntil, err := s.o.Store.CallbackSecret(ctx, owner.ID)
	if err != nil {
		return CallbackSecret{}, err
	}
	if !s.o.Now().Before(previousUntil) {
		previousUntil = time.Time{}
	}
	return CallbackSecret{Tenant: tenantName, Secret: secret, PreviousUntil: previousUntil}, nil
}

// WebhookTest is what came of a test event.
type WebhookTest struct {
	Webhook
	// EventID is the id in the event's body.
	EventID string
	// Status is the HTTP status that the receiver answered, 0 if it did not; then Problem says why, and Private whether it
	// was not called since its address is not public.
	Status  int
	Problem string
	Private bool
	Took    time.Duration
	// OK is set if the receiver accepted the event: it answered with a 2xx.
	OK bool
}

// TestWebhook sends a signed event webhook.test to a webhook, once and from this process. A receiver that does not accept
// it is no error.
func (s *Service) TestWebhook(ctx context.Context, id string) (WebhookTest, error) {
	w, owner, err := s.webhook(ctx, id)
	if err != nil {
		return WebhookTest{}, err
	}
	now := s.o.Now()
	event := webhook.NewTest(w, now)
	a := webhook.NewCaller(webhook.CallerOptions{
		Guard: s.o.Guard, UserAgent: s.o.UserAgent, Timeout: s.o.Timeout,
	}).Call(ctx, event)
	if ctx.Err() != nil {
		return WebhookTest{}, ctx.Err()
	}
	t := WebhookTest{
		Webhook: webhookAt(w, owner.Name, now), EventID: event.EventID, Status: a.Status, Took: a.Took, OK: a.OK(),
	}
	if a.Err != nil {
		t.Problem, t.Private = a.Err.Error(), PrivateAddress(a.Err)
	}
	return t, nil
}
