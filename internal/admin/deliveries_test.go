package admin_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"batchd/internal/admin"
	"batchd/internal/batch"
	"batchd/internal/store"
)

// delivery makes a webhook, lets a batch fail, and returns its delivery.
func (d *desk) delivery(batchID string) store.Delivery {
	d.t.Helper()
	owner, err := d.store.DefaultTenant(d.t.Context())
	if err == nil {
		_, err = d.store.CreateFailedBatch(d.t.Context(), batch.Batch{ID: batchID, Tenant: owner, Window: "24h", CreatedAt: d.now}, nil)
	}
	var made []store.Delivery
	if err == nil {
		made, err = d.store.ListDeliveries(d.t.Context(), store.DeliveryQuery{Batch: batchID, Limit: 9})
	}
	if err != nil || len(made) != 1 {
		d.t.Fatalf("deliveries %+v, error %v", made, err)
	}
	return made[0]
}

// attempt records what an attempt came to.
func (d *desk) attempt(a store.Attempt) {
	d.t.Helper()
	a.Now = d.now
	if err := d.store.RecordAttempt(d.t.Context(), a); err != nil {
		d.t.Fatal(err)
	}
}

func TestADeliveryThatIsOverIsSentAgainAndNoOther(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	if _, err := d.AddWebhook(t.Context(), admin.NewWebhook{Tenant: "default", URL: "https://example.com/"}); err != nil {
		t.Fatal(err)
	}
	made := d.delivery("b1")
	_, err := d.Redeliver(t.Context(), "wh_0")
	wantFault(t, "unknown", err, batch.NotFound, "delivery")
	_, err = d.Redeliver(t.Context(), made.ID)
	wantFault(t, "pending", err, batch.Conflict, "delivery")
	if !strings.Contains(err.Error(), "its next attempt is due at 2026-06-01T12:00:00Z") {
		t.Errorf("pending: got %v", err)
	}
	d.attempt(store.Attempt{Delivery: made.ID, State: store.DeliveryDone, Status: 200})
	d.now = noon.Add(time.Hour)
	again, err := d.Redeliver(t.Context(), made.ID)
	if err != nil || again.State != store.DeliveryPending || again.EventID != made.EventID || again.TenantName != "default" ||
		!again.NextAt.Equal(d.now) || len(again.Secrets) > 0 {
		t.Errorf("got %+v, %v", again, err)
	}
}

func TestAWebhookThatIsGoneIsShownAndEnabled(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	w, err := d.AddWebhook(t.Context(), admin.NewWebhook{Tenant: "default", URL: "https://example.com/"})
	if err != nil {
		t.Fatal(err)
	}
	made := d.delivery("b1")
	d.attempt(store.Attempt{Delivery: made.ID, State: store.DeliveryAbandoned, Status: 410, Gone: true})
	if all, err := d.Webhooks(t.Context(), ""); err != nil || len(all) != 1 || !all[0].DisabledAt.Equal(noon) {
		t.Errorf("got %+v, %v", all, err)
	}
	_, err = d.Redeliver(t.Context(), made.ID)
	wantFault(t, "disabled", err, batch.Conflict, "webhook")
	_, err = d.EnableWebhook(t.Context(), "we_0")
	wantFault(t, "unknown", err, batch.NotFound, "webhook")
	if got, err := d.EnableWebhook(t.Context(), w.ID); err != nil || !got.DisabledAt.IsZero() || got.TenantName != "default" || got.Secret != "" {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := d.Redeliver(t.Context(), made.ID); err != nil {
		t.Error(err)
	}
}

func TestTheSecretOfCallbacksIsReplacedAndTheOldOneSignsForAWhile(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for overlap, until := range map[time.Duration]time.Time{time.Hour: noon.Add(time.Hour), 0: {}} {
		got, err := d.RotateCallbackSecret(t.Context(), "default", overlap)
		stored, storedErr := d.CallbackSecret(t.Context(), "default")
		if err != nil || storedErr != nil || got.Secret != stored.Secret || got.Tenant != "default" || stored.Tenant != "default" ||
			!got.PreviousUntil.Equal(until) || !stored.PreviousUntil.Equal(until) {
			t.Errorf("got %+v, %v; the store has %+v, %v", got, err, stored, storedErr)
		}
	}
	if _, err := d.RotateCallbackSecret(t.Context(), "default", time.Hour); err != nil {
		t.Fatal(err)
	}
	for clock, until := range map[time.Time]time.Time{noon.Add(time.Hour - 1): noon.Add(time.Hour), noon.Add(time.Hour): {}} {
		d.now = clock
		if got, err := d.CallbackSecret(t.Context(), "default"); err != nil || !got.PreviousUntil.Equal(until) {
			t.Errorf("at %s: got %+v, %v", clock, got, err)
		}
	}
	_, err := d.RotateCallbackSecret(t.Context(), "nobody", time.Hour)
	if fault := (*batch.Error)(nil); !errors.As(err, &fault) || fault.Class != batch.NotFound || fault.Param != "tenant" {
		t.Errorf("an unknown tenant: got %v", err)
	}
}
