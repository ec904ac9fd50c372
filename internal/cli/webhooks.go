package cli

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"batchd/internal/admin"
	"batchd/internal/config"
	"batchd/internal/store"
)

// webhooksCommand is the commands on webhooks. They open the data directory themselves, as those on keys do.
type webhooksCommand struct {
	dataFlags
	Add        addWebhook     `cmd:"" help:"Register a webhook endpoint for a tenant's batches, and print its signing secret."`
	List       listWebhooks   `cmd:"" help:"List webhooks, oldest first."`
	Remove     removeWebhook  `cmd:"" help:"Remove a webhook and its deliveries."`
	Test       testWebhook    `cmd:"" help:"Send a webhook.test event from this machine and show the endpoint's answer."`
	Deliveries listDeliveries `cmd:"" help:"List deliveries, sent and pending, newest first."`
	Redeliver  redeliver      `cmd:"" help:"Send a delivery that is over once more, with the same ids."`
	Enable     enableWebhook  `cmd:"" help:"Send events again to a webhook that was disabled because its endpoint answered 410."`
	Rotate     rotateWebhook  `cmd:"" help:"Replace a webhook's signing secret; the old one also signs for an overlap."`
	Secret     callbackSecret `cmd:"" help:"Print the secret that signs a tenant's callbacks."`
}

// addWebhook registers an endpoint. A running server sends it events of batches that end from then on.
type addWebhook struct {
	URL    string   `arg:"" name:"url" help:"HTTP or HTTPS URL of the endpoint. A private address must be listed under webhooks.allow in the settings."`
	Tenant string   `default:"default" placeholder:"NAME" help:"Tenant whose events to send (default: default)."`
	Event  []string `placeholder:"EVENT" help:"Send only this event: batch.completed, batch.failed, batch.expired or batch.cancelled; may be given several times. Default: every event that the batch's dialect announces."`
}

// Run adds a webhook and shows its secret, this once.
func (c *addWebhook) Run(s *invocation, g *grammar) error {
	var w admin.SecretWebhook
	err := g.Webhooks.administer(s, func(a *admin.Service) (err error) {
		w, err = a.AddWebhook(s.ctx, admin.NewWebhook{Tenant: c.Tenant, URL: c.URL, Events: c.Event})
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Stderr, "created %s for tenant %s, for %s\n", w.ID, w.TenantName, eventsOf(w.Webhook))
	return s.showSecret(w, g.Webhooks.JSON)
}

// showSecret writes a new secret, alone on standard output so that a script can take it from there.
func (s *invocation) showSecret(w admin.SecretWebhook, asJSON bool) error {
	fmt.Fprintln(s.Stderr, "The secret is shown only once: give it to the receiver now.")
	if asJSON {
		return s.printObject(w)
	}
	_, err := fmt.Fprintln(s.Stdout, w.Secret)
	return err
}

// eventsOf names the events that a webhook gets.
func eventsOf(w admin.Webhook) string {
	if len(w.Events) == 0 {
		return "every event"
	}
	return strings.Join(admin.EventNames(w.Events), ", ")
}

// listWebhooks lists webhooks, without their secrets.
type listWebhooks struct {
	Tenant string `placeholder:"NAME" help:"Only webhooks of this tenant."`
}

// Run lists webhooks.
func (c *listWebhooks) Run(s *invocation, g *grammar) error {
	var webhooks []admin.Webhook
	err := g.Webhooks.administer(s, func(a *admin.Service) (err error) {
		webhooks, err = a.Webhooks(s.ctx, c.Tenant)
		return err
	})
	if err != nil {
		return err
	}
	if g.Webhooks.JSON {
		return s.printObject(admin.ListOf(webhooks))
	}
	rows := []string{"ID\tTENANT\tSTATE\tEVENTS\tCREATED\tURL"}
	for _, w := range webhooks {
		state := "enabled"
		if !w.DisabledAt.IsZero() {
			state = "disabled"
		}
		rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s", w.ID, w.TenantName, state, eventsOf(w), formatTime(w.CreatedAt), w.URL))
	}
	return s.table(rows)
}

// enableWebhook takes up a webhook whose endpoint was gone.
type enableWebhook struct {
	ID string `arg:"" name:"webhook-id" help:"ID of the webhook, as webhooks list shows it."`
}

// Run enables a webhook.
func (c *enableWebhook) Run(s *invocation, g *grammar) error {
	var w admin.Webhook
	err := g.Webhooks.administer(s, func(a *admin.Service) (err error) {
		w, err = a.EnableWebhook(s.ctx, c.ID)
		return err
	})
	if err != nil {
		return err
	}
	if g.Webhooks.JSON {
		return s.printObject(w)
	}
	fmt.Fprintf(s.Stdout, "%s gets events of batches that end from now on\n", w.ID)
	return nil
}

// redeliver has a running server send a delivery once more.
type redeliver struct {
	ID string `arg:"" name:"delivery-id" help:"ID of the delivery, as webhooks deliveries shows it."`
}

// Run makes a delivery due.
func (c *redeliver) Run(s *invocation, g *grammar) error {
	var d admin.Delivery
	err := g.Webhooks.administer(s, func(a *admin.Service) (err error) {
		d, err = a.Redeliver(s.ctx, c.ID)
		return err
	})
	if err != nil {
		return err
	}
	if g.Webhooks.JSON {
		return s.printObject(d)
	}
	fmt.Fprintf(s.Stdout, "%s of %s is due again: a running server sends it to %s within seconds\n", d.Event, d.Batch, d.URL)
	return nil
}

// removeWebhook removes a webhook. Deliveries that were not sent yet go with it.
type removeWebhook struct {
	ID string `arg:"" name:"webhook-id" help:"ID of the webhook, as webhooks list shows it."`
}

// Run removes a webhook.
func (c *removeWebhook) Run(s *invocation, g *grammar) error {
	err := g.Webhooks.administer(s, func(a *admin.Service) error { return a.RemoveWebhook(s.ctx, c.ID) })
	if err != nil {
		return err
	}
	if g.Webhooks.JSON {
		return s.printObject(admin.Removed{ID: c.ID, Deleted: true})
	}
	fmt.Fprintf(s.Stdout, "removed %s\n", c.ID)
	return nil
}

// testWebhook sends an event from this machine, which may be allowed to reach what the server is not, and the other way round.
type testWebhook struct {
	ID string `arg:"" name:"webhook-id" help:"ID of the webhook, as webhooks list shows it."`
}

// Run sends one event, and fails if the endpoint does not accept it.
func (c *testWebhook) Run(s *invocation, g *grammar) error {
	var t admin.WebhookTest
	err := g.Webhooks.administer(s, func(a *admin.Service) (err error) {
		t, err = a.TestWebhook(s.ctx, c.ID)
		return err
	})
	if err != nil {
		return err
	}
	if t.Private {
		t.Problem += "; " + allowRemedy
	}
	if g.Webhooks.JSON {
		err = s.printObject(t)
	} else {
		_, err = fmt.Fprintln(s.Stdout, describeTest(t))
	}
	if err == nil && !t.OK {
		return errFailed
	}
	return err
}

// describeTest says in a line what came of a test.
func describeTest(t admin.WebhookTest) string {
	took := t.Took.Round(time.Millisecond)
	switch {
	case t.OK:
		return fmt.Sprintf("%s accepted the event: HTTP %d after %s", t.URL, t.Status, took)
	case t.Status != 0:
		return fmt.Sprintf("%s rejected the event: HTTP %d after %s; only 2xx counts as accepted", t.URL, t.Status, took)
	default:
		return fmt.Sprintf("%s could not be reached after %s: %s", t.URL, took, t.Problem)
	}
}

// rotateWebhook replaces a secret. Meanwhile deliveries carry two signatures, so that the receiver may change over at any time.
type rotateWebhook struct {
	ID      string `arg:"" name:"webhook-id" help:"ID of the webhook, as webhooks list shows it."`
	Overlap string `default:"24h" placeholder:"24h" help:"How long the old secret also signs (default 24h); 0 retires it immediately."`
}

// Run replaces a secret and shows the new one, this once.
func (c *rotateWebhook) Run(s *invocation, g *grammar) error {
	overlap, err := config.ParseDuration(c.Overlap)
	if err != nil {
		return misuse("--overlap: %v", err)
	}
	var w admin.SecretWebhook
	err = g.Webhooks.administer(s, func(a *admin.Service) (err error) {
		w, err = a.RotateWebhook(s.ctx, c.ID, overlap)
		return err
	})
	if err != nil {
		return err
	}
	s.sayReplaced("the secret of "+w.ID, w.PreviousUntil)
	return s.showSecret(w, g.Webhooks.JSON)
}

// sayReplaced says until when the secret before the new one signs, zero for not any more.
func (s *invocation) sayReplaced(what string, previousUntil time.Time) {
	if previousUntil.IsZero() {
		fmt.Fprintf(s.Stderr, "replaced %s; the old one no longer signs\n", what)
	} else {
		fmt.Fprintf(s.Stderr, "replaced %s; the old one also signs until %s\n", what, formatTime(previousUntil))
	}
}

// callbackSecret prints the secret that signs a tenant's callbacks: these belong to batches and to no webhook.
type callbackSecret struct {
	Tenant string `default:"default" placeholder:"NAME" help:"Tenant whose callbacks the secret signs (default: default)."`
}

// Run shows the secret of a tenant's callbacks.
func (c *callbackSecret) Run(s *invocation, g *grammar) error {
	var secret admin.CallbackSecret
	err := g.Webhooks.administer(s, func(a *admin.Service) (err error) {
		secret, err = a.CallbackSecret(s.ctx, c.Tenant)
		return err
	})
	if err != nil {
		return err
	}
	if g.Webhooks.JSON {
		return s.printObject(secret)
	}
	_, err = fmt.Fprintln(s.Stdout, secret.Secret)
	return err
}

// listDeliveries lists what was or is to be sent to webhooks and callbacks.
type listDeliveries struct {
	Webhook string `placeholder:"WEBHOOK-ID" help:"Only deliveries to this webhook."`
	Batch   string `placeholder:"BATCH-ID" help:"Only deliveries about this batch."`
	Tenant  string `placeholder:"NAME" help:"Only deliveries of this tenant."`
	Limit   int    `default:"20" placeholder:"N" help:"How many to list (default 20)."`
}

// Run lists deliveries.
func (c *listDeliveries) Run(s *invocation, g *grammar) error {
	if c.Limit < 1 {
		return misuse("--limit: want a number from 1, got %d", c.Limit)
	}
	var deliveries []admin.Delivery
	err := g.Webhooks.administer(s, func(a *admin.Service) (err error) {
		deliveries, err = a.Deliveries(s.ctx, store.DeliveryQuery{Tenant: c.Tenant, Webhook: c.Webhook, Batch: c.Batch, Limit: c.Limit})
		return err
	})
	if err != nil {
		return err
	}
	if g.Webhooks.JSON {
		return s.printObject(admin.ListOf(deliveries))
	}
	rows := []string{"ID\tCREATED\tEVENT\tBATCH\tTO\tSTATE\tATTEMPTS\tNEXT\tLAST ANSWER"}
	for _, d := range deliveries {
		answer := cmp.Or(d.LastError, "-") // why there was none
		if d.LastStatus != 0 {
			answer = fmt.Sprintf("HTTP %d", d.LastStatus)
		}
		rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s", d.ID, formatTime(d.CreatedAt), d.Event, d.Batch,
			cmp.Or(d.Webhook, "callback"), d.State, d.Attempts, formatTime(d.NextAt), answer))
	}
	return s.table(rows)
}
