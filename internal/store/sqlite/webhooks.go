package sqlite

import (
	"context"
	"fmt"
	"time"

	"batchd/internal/store"
)

var _ store.Webhooks = (*Store)(nil)

// webhookColumns are the columns that webhookDest scans, in the same order.
const webhookColumns = `w.id, w.tenant, w.url, w.events, w.secret, w.previous, w.previous_until, w.created_at, w.disabled_at`

func webhookDest(w *store.Webhook) []any {
	return []any{
		&w.ID, &w.Tenant, &w.URL, listColumn(&w.Events), &w.Secret, &w.Previous,
		timeColumn(&w.PreviousUntil), timeColumn(&w.CreatedAt), timeColumn(&w.DisabledAt),
	}
}

// AddWebhook implements store.Webhooks. It gets events of batches that end from now on; none is made for the past.
func (s *Store) AddWebhook(ctx context.Context, w store.Webhook) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		if _, _, err := callbackSecret(ctx, t, w.Tenant); err != nil {
			return fmt.Errorf("tenant %s: %w", w.Tenant, err)
		}
		n, err := t.change(ctx, `
			INSERT INTO webhooks (id, tenant, url, events, secret, previous, previous_until, created_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
			w.ID, w.Tenant, w.URL, listColumn(&w.Events), w.Secret, w.Previous, nanos(w.PreviousUntil), nanos(w.CreatedAt))
		if err == nil && n == 0 {
			err = fmt.Errorf("id is taken: %w", store.ErrConflict)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("add webhook %s: %w", w.ID, err)
	}
	return nil
}

const (
	everyWebhookQuery = `SELECT ` + webhookColumns + ` FROM webhooks w ORDER BY w.seq`
	webhooksQuery     = `SELECT ` + webhookColumns + ` FROM webhooks w WHERE w.tenant = ? ORDER BY w.seq`
)

// ListWebhooks implements store.Webhooks.
func (s *Store) ListWebhooks(ctx context.Context, tenant string) ([]store.Webhook, error) {
	query, args := webhooksQuery, []any{tenant}
	if tenant == "" {
		query, args = everyWebhookQuery, nil
	}
	webhooks, err := all(ctx, s.readers, into(webhookDest), query, args...)
	if err != nil {
		return nil, fmt.Errorf("list webhooks: %w", err)
	}
	return webhooks, nil
}

// Webhook implements store.Webhooks.
func (s *Store) Webhook(ctx context.Context, id string) (store.Webhook, error) {
	found, err := all(ctx, s.readers, into(webhookDest), `SELECT `+webhookColumns+` FROM webhooks w WHERE w.id = ?`, id)
	if err == nil && len(found) == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Webhook{}, fmt.Errorf("read webhook %s: %w", id, err)
	}
	return found[0], nil
}

// RemoveWebhook implements store.Webhooks. The schema drops its deliveries with it.
func (s *Store) RemoveWebhook(ctx context.Context, id string) error {
	err := s.changeWebhook(ctx, `DELETE FROM webhooks WHERE id = ?`, id)
	if err != nil {
		return fmt.Errorf("remove webhook %s: %w", id, err)
	}
	return nil
}

// RotateWebhook implements store.Webhooks. Right-hand sides of an UPDATE see the row as it was, so the order of the
// assignments does not matter.
func (s *Store) RotateWebhook(ctx context.Context, id, secret string, previousUntil time.Time) error {
	err := s.changeWebhook(ctx, `UPDATE webhooks SET previous = secret, previous_until = ?, secret = ? WHERE id = ?`,
		nanos(previousUntil), secret, id)
	if err != nil {
		return fmt.Errorf("rotate secret of webhook %s: %w", id, err)
	}
	return nil
}

// EnableWebhook implements store.Webhooks.
func (s *Store) EnableWebhook(ctx context.Context, id string) error {
	if err := s.changeWebhook(ctx, `UPDATE webhooks SET disabled_at = NULL WHERE id = ?`, id); err != nil {
		return fmt.Errorf("enable webhook %s: %w", id, err)
	}
	return nil
}

// changeWebhook runs one statement that changes one webhook, or answers ErrNotFound: the number of changed rows says
// whether there was one.
func (s *Store) changeWebhook(ctx context.Context, query string, args ...any) error {
	n, err := s.changeRows(ctx, query, args...)
	if err == nil && n == 0 {
		err = store.ErrNotFound
	}
	return err
}

// CallbackSecret implements store.Webhooks.
func (s *Store) CallbackSecret(ctx context.Context, tenant string) (secret string, previousUntil time.Time, err error) {
	secret, previousUntil, err = callbackSecret(ctx, s.readers, tenant)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("read callback secret of tenant %s: %w", tenant, err)
	}
	return secret, previousUntil, nil
}

// RotateCallbackSecret implements store.Webhooks.
func (s *Store) RotateCallbackSecret(ctx context.Context, tenant, secret string, previousUntil time.Time) error {
	n, err := s.changeRows(ctx, `
		UPDATE tenants SET callback_previous = callback_secret, callback_previous_until = ?, callback_secret = ? WHERE id = ?`,
		nanos(previousUntil), secret, tenant)
	if err == nil && n == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("rotate callback secret of tenant %s: %w", tenant, err)
	}
	return nil
}

// callbackSecret is CallbackSecret in a transaction or out of one: ErrNotFound if there is no such tenant.
func callbackSecret(ctx context.Context, q querier, tenant string) (secret string, previousUntil time.Time, err error) {
	found, err := one(ctx, q, []any{&secret, timeColumn(&previousUntil)},
		`SELECT callback_secret, callback_previous_until FROM tenants WHERE id = ?`, tenant)
	if err == nil && !found {
		err = store.ErrNotFound
	}
	return secret, previousUntil, err
}
