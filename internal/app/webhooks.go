package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"batchd/internal/batch"
	"batchd/internal/config"
	"batchd/internal/store"
	"batchd/internal/webhook"
)

// newSender makes what empties the outbox.
func (e *Engine) newSender() *webhook.Sender {
	caller := webhook.NewCaller(webhook.CallerOptions{Guard: guardOf(e.cfg)})
	return webhook.New(webhook.Options{
		Store: e.storage.store, Call: caller.Call, Announces: e.announces, Now: time.Now, Logger: e.log,
		Registerer: e.meters.registry,
	})
}

// checkCallback refuses an address that could not be told of a batch's end.
func (e *Engine) checkCallback(url string) error { return guardOf(e.cfg).CheckURL("callback_url", url) }

// guardOf returns who may be called. The settings have been checked; of some that were not, nothing is allowed.
func guardOf(cfg config.Config) webhook.Guard {
	ranges, _ := cfg.Webhooks.Ranges()
	return webhook.NewGuard(ranges)
}

// Webhook is an address that a tenant wants to be told of events at, as its operator sees it: without the secret.
type Webhook struct {
	ID string
	// Tenant is the name of its tenant.
	Tenant string
	URL    string
	// Events are those it was asked for; none means every one that the batch's dialect announces.
	Events    []string
	CreatedAt time.Time
	// PreviousUntil is until when the secret before the current one signs too; zero if there is none.
	PreviousUntil time.Time
}

// NewWebhook says what webhook is wanted.
type NewWebhook struct {
	// Tenant is the name of one that exists.
	Tenant string
	URL    string
	// Events are names like batch.completed; none stands for every one that the batch's dialect announces.
	Events []string
}

// SecretWebhook is a webhook with its signing secret.
type SecretWebhook struct {
	Webhook
	Secret string
}

// AddWebhook stores a webhook and mints its secret. A running server tells it of what ends from then on. An address that
// the settings let nobody call is a *UsageError, as is an event that does not exist.
func AddWebhook(ctx context.Context, cfg config.Config, n NewWebhook, now time.Time) (SecretWebhook, error) {
	if err := checkReceiver(cfg, n.URL); err != nil {
		return SecretWebhook{}, err
	}
	events, err := eventsOf(n.Events)
	if err != nil {
		return SecretWebhook{}, err
	}
	w := store.Webhook{
		ID: webhook.NewID(), URL: n.URL, Events: events, Secret: store.NewSecret(), CreatedAt: now,
	}
	err = withData(ctx, cfg.DataDir, func(st store.Store) error {
		owner, err := namedTenant(ctx, st, n.Tenant)
		if err != nil {
			return err
		}
		w.Tenant = owner.ID
		return st.AddWebhook(ctx, w)
	})
	if err != nil {
		return SecretWebhook{}, err
	}
	return SecretWebhook{Webhook: describeWebhook(w, n.Tenant, now), Secret: w.Secret}, nil
}

// allowRemedy is what to do about a receiver at an address that is not public.
const allowRemedy = "list its range, like 10.0.0.0/8, under webhooks.allow in the server's settings, and name their file with --config here too"

// checkReceiver refuses an address that could never be called, with the remedy where there is one.
func checkReceiver(cfg config.Config, url string) error {
	err := guardOf(cfg).CheckURL("URL", url)
	var fault *batch.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &fault) && fault.Code == webhook.CodePrivate:
		return misuse("%v To allow it, %s.", err, allowRemedy)
	default:
		return misuse("%v", err)
	}
}

// eventsOf reads names of events, each once.
func eventsOf(names []string) ([]batch.Event, error) {
	var events []batch.Event
	for _, name := range names {
		e := batch.Event(name)
		if !slices.Contains(batch.Events(), e) {
			return nil, misuse("event %q: want %s", name, strings.Join(words(batch.Events()), ", "))
		}
		if !slices.Contains(events, e) {
			events = append(events, e)
		}
	}
	return events, nil
}

func words(events []batch.Event) []string {
	var all []string
	for _, e := range events {
		all = append(all, string(e))
	}
	return all
}

// describeWebhook returns a stored webhook as it is shown at now.
func describeWebhook(w store.Webhook, tenantName string, now time.Time) Webhook {
	d := Webhook{ID: w.ID, Tenant: tenantName, URL: w.URL, Events: words(w.Events), CreatedAt: w.CreatedAt}
	if w.Previous != "" && now.Before(w.PreviousUntil) {
		d.PreviousUntil = w.PreviousUntil
	}
	return d
}

// ListWebhooks returns the webhooks of the tenant with this name, or of all with "", oldest first.
func ListWebhooks(ctx context.Context, dataDir, tenantName string, now time.Time) ([]Webhook, error) {
	var webhooks []Webhook
	err := withData(ctx, dataDir, func(st store.Store) error {
		owner, err := tenantIDOf(ctx, st, tenantName)
		if err != nil {
			return err
		}
		names, err := tenantNames(ctx, st)
		if err != nil {
			return err
		}
		stored, err := st.ListWebhooks(ctx, owner)
		for _, w := range stored {
			webhooks = append(webhooks, describeWebhook(w, names[w.Tenant], now))
		}
		return err
	})
	return webhooks, err
}

// RemoveWebhook forgets a webhook, and what it was not yet told of.
func RemoveWebhook(ctx context.Context, dataDir, id string) error {
	return withData(ctx, dataDir, func(st store.Store) error { return known(id, st.RemoveWebhook(ctx, id)) })
}

// RotateWebhook mints a new secret for a webhook. The old one signs beside it until the overlap is over.
func RotateWebhook(ctx context.Context, dataDir, id string, overlap time.Duration, now time.Time) (SecretWebhook, error) {
	secret := store.NewSecret()
	var shown Webhook
	err := withData(ctx, dataDir, func(st store.Store) error {
		if err := known(id, st.RotateWebhook(ctx, id, secret, now.Add(overlap))); err != nil {
			return err
		}
		w, owner, err := webhookWithID(ctx, st, id)
		shown = describeWebhook(w, owner, now)
		return err
	})
	if err != nil {
		return SecretWebhook{}, err
	}
	return SecretWebhook{Webhook: shown, Secret: secret}, nil
}

// webhookWithID returns a webhook with the name of its tenant, and the remedy where there is none.
func webhookWithID(ctx context.Context, st store.Store, id string) (store.Webhook, string, error) {
	w, err := st.Webhook(ctx, id)
	if err != nil {
		return w, "", known(id, err)
	}
	owner, err := st.Tenant(ctx, w.Tenant)
	return w, owner.Name, err
}

// known puts the remedy in place of an error that says that no webhook has the id.
func known(id string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("no webhook has the id %s: `batchd webhooks list` shows those there are", id)
	}
	return err
}
