package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"batchd/internal/store"
)

// deliveryColumns are the columns that deliveryDest scans; deliverySource is where they come from.
const (
	deliveryColumns = `d.id, d.tenant, d.event_id, d.event, d.batch, d.dialect, d.created_at, coalesce(w.id, ''), d.named,
	coalesce(w.url, d.url), d.state, d.attempts, d.next_at, d.last_status, d.last_error, d.updated_at`
	deliverySource = ` FROM deliveries d LEFT JOIN webhooks w ON w.seq = d.webhook`
)

// deliveryDest returns where deliveryColumns go. A removed webhook takes its deliveries with it, so the join finds a
// webhook for every delivery that is no callback's.
func deliveryDest(d *store.Delivery) []any {
	return []any{
		&d.ID, &d.Tenant, &d.EventID, &d.Event, &d.Batch, &d.Dialect, timeColumn(&d.CreatedAt), &d.Webhook, &d.Named,
		&d.URL, &d.State, &d.Attempts, timeColumn(&d.NextAt), &d.LastStatus, &d.LastError, timeColumn(&d.UpdatedAt),
	}
}

// dueDeliveriesQuery reads a delivery with the secrets that sign it: those of its webhook, or of its tenant for a
// callback. They are joined here and not copied into the row, so that a rotated secret signs what is in the outbox
// already.
const dueDeliveriesQuery = `
	SELECT ` + deliveryColumns + `, coalesce(w.secret, t.callback_secret, ''),
	coalesce(w.previous, t.callback_previous, ''), coalesce(w.previous_until, t.callback_previous_until)` +
	deliverySource + ` LEFT JOIN tenants t ON d.webhook IS NULL AND t.id = d.tenant
	WHERE d.state = 'pending' AND d.next_at <= ? ORDER BY d.next_at, d.seq LIMIT ?`

// LeaseDeliveries implements store.Webhooks. The lease is next_at itself: until then the row is not due, and if nobody
// records an attempt it becomes due again without anybody's help. That it is one, and no pause, is what leased says.
func (s *Store) LeaseDeliveries(ctx context.Context, now, until time.Time, n int) ([]store.Delivery, error) {
	var due []store.Delivery
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		var err error
		due, err = all(ctx, t, func(rows *sql.Rows) (store.Delivery, error) {
			var d store.Delivery
			var w store.Webhook
			err := rows.Scan(append(deliveryDest(&d), &w.Secret, &w.Previous, timeColumn(&w.PreviousUntil))...)
			d.Secrets, d.NextAt = w.Secrets(now), until
			return d, err
		}, dueDeliveriesQuery, now.UnixNano(), max(n, 0))
		if err != nil {
			return err
		}
		// One statement each, by id: an update by the same condition could choose others if two are due at one time.
		for _, d := range due {
			if _, err := t.change(ctx, `UPDATE deliveries SET next_at = ?, leased = 1 WHERE id = ?`, until.UnixNano(), d.ID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("lease deliveries: %w", err)
	}
	return due, nil
}

var (
	// Both are mistakes of the caller, and change nothing.
	errNoSuchState = errors.New("no such state of a delivery")
	errNeverDue    = errors.New("a pending delivery must be due again")
)

// RecordAttempt implements store.Webhooks. A final delivery is due at no time. A skipped one counts no attempt, since
// nobody was called. Two attempts at one delivery, the second after the first one's lease, are both recorded while it
// is pending: receivers must expect an event twice.
func (s *Store) RecordAttempt(ctx context.Context, a store.Attempt) error {
	counted := 1
	var err error
	switch a.State {
	case store.DeliveryPending:
		if a.NextAt.IsZero() {
			err = errNeverDue
		}
	case store.DeliveryDone, store.DeliveryAbandoned:
		a.NextAt = time.Time{}
	case store.DeliverySkipped:
		a.NextAt, counted = time.Time{}, 0
	default:
		err = fmt.Errorf("%w: %q", errNoSuchState, a.State)
	}
	if err == nil {
		err = s.write(ctx, func(ctx context.Context, t *tx) error { return recordAttempt(ctx, t, a, counted) })
	}
	if err != nil {
		return fmt.Errorf("record attempt at delivery %s: %w", a.Delivery, err)
	}
	return nil
}

// recordAttempt stores an attempt, and what it says about its webhook.
func recordAttempt(ctx context.Context, t *tx, a store.Attempt, counted int) error {
	n, err := t.change(ctx, `
		UPDATE deliveries SET state = ?, attempts = attempts + ?, next_at = ?, leased = 0, last_status = ?, last_error = ?, updated_at = ?
		WHERE id = ? AND state = 'pending'`,
		string(a.State), counted, nanos(a.NextAt), a.Status, a.Error, nanos(a.Now), a.Delivery)
	switch {
	case err != nil:
		return err
	case n == 0:
		return store.ErrNotFound
	case a.State != store.DeliveryAbandoned || !a.Gone:
		return nil
	}
	if _, err := t.change(ctx, `
		UPDATE webhooks SET disabled_at = ? WHERE disabled_at IS NULL AND seq = (SELECT webhook FROM deliveries WHERE id = ?)`,
		nanos(a.Now), a.Delivery); err != nil {
		return err
	}
	// What was pending beside it would only be refused as well.
	_, err = t.change(ctx, `
		UPDATE deliveries SET state = 'abandoned', next_at = NULL, leased = 0, last_error = ?, updated_at = ?
		WHERE state = 'pending' AND webhook = (SELECT webhook FROM deliveries WHERE id = ?)`,
		goneReason, nanos(a.Now), a.Delivery)
	return err
}

// goneReason is shown as the error of a delivery that was not tried because its webhook was disabled.
const goneReason = "the webhook was disabled: its endpoint answered 410 to another event"

// ReclaimDeliveries implements store.Webhooks.
func (s *Store) ReclaimDeliveries(ctx context.Context, now time.Time) (int, error) {
	n, err := s.changeRows(ctx, `UPDATE deliveries SET next_at = ?, leased = 0 WHERE state = 'pending' AND next_at > ? AND leased = 1`,
		now.UnixNano(), now.UnixNano())
	if err != nil {
		return 0, fmt.Errorf("reclaim deliveries: %w", err)
	}
	return n, nil
}

// lateDeliveriesQuery finds what is due only after a time, by the index of what is due.
const lateDeliveriesQuery = `SELECT d.seq FROM deliveries d WHERE d.state = 'pending' AND d.next_at > ?`

// AdvanceDeliveries implements store.Webhooks.
func (s *Store) AdvanceDeliveries(ctx context.Context, now, latest time.Time) (int, error) {
	n, err := s.changeRows(ctx, `UPDATE deliveries SET next_at = ?, leased = 0 WHERE seq IN (`+lateDeliveriesQuery+`)`,
		now.UnixNano(), latest.UnixNano())
	if err != nil {
		return 0, fmt.Errorf("advance deliveries: %w", err)
	}
	return n, nil
}

// Redeliver implements store.Webhooks. Attempts go on being counted: how often a receiver was called is not undone.
func (s *Store) Redeliver(ctx context.Context, id string, now time.Time) (store.Delivery, error) {
	var d store.Delivery
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		var disabledAt time.Time
		query := `SELECT ` + deliveryColumns + `, w.disabled_at` + deliverySource + ` WHERE d.id = ?`
		found, err := one(ctx, t, append(deliveryDest(&d), timeColumn(&disabledAt)), query, id)
		switch {
		case err != nil:
			return err
		case !found:
			return store.ErrNotFound
		case d.State == store.DeliveryPending:
			return fmt.Errorf("delivery is pending: %w", store.ErrConflict)
		case !disabledAt.IsZero():
			return fmt.Errorf("webhook is disabled: %w", store.ErrConflict)
		}
		if _, err := t.change(ctx, `
			UPDATE deliveries SET state = 'pending', named = 1, next_at = ?, leased = 0, updated_at = ? WHERE id = ?`,
			now.UnixNano(), nanos(now), id); err != nil {
			return err
		}
		d = store.Delivery{}
		_, err = one(ctx, t, deliveryDest(&d), `SELECT `+deliveryColumns+deliverySource+` WHERE d.id = ?`, id)
		return err
	})
	if err != nil {
		return d, fmt.Errorf("deliver %s again: %w", id, err)
	}
	return d, nil
}

// ListDeliveries implements store.Webhooks.
func (s *Store) ListDeliveries(ctx context.Context, q store.DeliveryQuery) ([]store.Delivery, error) {
	query, args := deliveryListQuery(q)
	deliveries, err := all(ctx, s.readers, into(deliveryDest), query, args...)
	if err != nil {
		return nil, fmt.Errorf("list deliveries: %w", err)
	}
	return deliveries, nil
}

// deliveryListQuery returns one of eight texts, so that each has its own plan. Of several conditions the narrowest
// chooses the index; the plus sign keeps the planner from taking another.
func deliveryListQuery(q store.DeliveryQuery) (string, []any) {
	query, args, free := `SELECT `+deliveryColumns+deliverySource+` WHERE 1`, []any(nil), ""
	if q.Batch != "" {
		query, args, free = query+` AND d.batch = ?`, append(args, q.Batch), "+"
	}
	if q.Webhook != "" {
		query += ` AND ` + free + `d.webhook = (SELECT seq FROM webhooks WHERE id = ?)`
		args, free = append(args, q.Webhook), "+"
	}
	if q.Tenant != "" {
		query, args = query+` AND `+free+`d.tenant = ?`, append(args, q.Tenant)
	}
	return query + ` ORDER BY d.seq DESC LIMIT ?`, append(args, max(q.Limit, 0))
}

// overDeliveriesQuery finds final deliveries by their last change. Pending ones are never forgotten: the sender ends
// them.
const overDeliveriesQuery = `
	SELECT seq FROM deliveries WHERE state != 'pending' AND updated_at < ? ORDER BY updated_at LIMIT ?`

// ForgetDeliveries implements store.Webhooks.
func (s *Store) ForgetDeliveries(ctx context.Context, before time.Time, n int) (int, error) {
	done, err := s.changeRows(ctx, `DELETE FROM deliveries WHERE seq IN (`+overDeliveriesQuery+`)`,
		before.UnixNano(), max(n, 0))
	if err != nil {
		return 0, fmt.Errorf("forget deliveries: %w", err)
	}
	return done, nil
}
