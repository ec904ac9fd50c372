package admin

import (
	"cmp"

	"batchd/internal/admin"
	"batchd/internal/dialect"
	"batchd/internal/httpapi"
	"batchd/internal/store"
)

// webhooks answers with the webhooks of all tenants, or of the one that is named, without their secrets.
func (a *API) webhooks(c *httpapi.Call) error {
	webhooks, err := a.admin.Webhooks(c.Context(), named(c))
	if err != nil {
		return err
	}
	return show(c, admin.ListOf(webhooks))
}

// newWebhook is the body of a call that adds a webhook.
type newWebhook struct {
	Tenant string   `json:"tenant"`
	URL    string   `json:"url"`
	Events []string `json:"events"`
}

// addWebhook registers an endpoint and answers with its secret, this once.
func (a *API) addWebhook(c *httpapi.Call) error {
	var order newWebhook
	if err := read(c, &order); err != nil {
		return err
	}
	w, err := a.admin.AddWebhook(c.Context(), admin.NewWebhook{
		Tenant: cmp.Or(order.Tenant, named(c), store.DefaultTenantName), URL: order.URL, Events: order.Events,
	})
	if err != nil {
		return err
	}
	return show(c, w)
}

// removeWebhook deletes a webhook and its deliveries.
func (a *API) removeWebhook(c *httpapi.Call) error {
	id := c.Request.PathValue("id")
	if err := a.admin.RemoveWebhook(c.Context(), id); err != nil {
		return err
	}
	return show(c, admin.Removed{ID: id, Deleted: true})
}

// enableWebhook has a webhook sent events again that was disabled since its endpoint answered 410.
func (a *API) enableWebhook(c *httpapi.Call) error {
	w, err := a.admin.EnableWebhook(c.Context(), c.Request.PathValue("id"))
	if err != nil {
		return err
	}
	return show(c, w)
}

// rotateWebhook replaces a secret and answers with the new one, this once.
func (a *API) rotateWebhook(c *httpapi.Call) error {
	overlap, err := overlapOf(c)
	if err != nil {
		return err
	}
	w, err := a.admin.RotateWebhook(c.Context(), c.Request.PathValue("id"), overlap)
	if err != nil {
		return err
	}
	return show(c, w)
}

// testWebhook sends one event from the server. An endpoint that does not accept it is no error.
func (a *API) testWebhook(c *httpapi.Call) error {
	t, err := a.admin.TestWebhook(c.Context(), c.Request.PathValue("id"))
	if err != nil {
		return err
	}
	return show(c, t)
}

// deliveryPages bounds lists of deliveries.
var deliveryPages = dialect.PageBounds{Default: 20, Max: 1000}

// deliveries answers with deliveries, newest first.
func (a *API) deliveries(c *httpapi.Call) error {
	limit, err := c.PageLimit(deliveryPages)
	if err != nil {
		return err
	}
	query := c.Request.URL.Query()
	all, err := a.admin.Deliveries(c.Context(), store.DeliveryQuery{
		Tenant: named(c), Webhook: query.Get("webhook"), Batch: query.Get("batch"), Limit: limit,
	})
	if err != nil {
		return err
	}
	return show(c, admin.ListOf(all))
}

// redeliver has a delivery that is over sent once more, soon after this answer and with the same ids.
func (a *API) redeliver(c *httpapi.Call) error {
	d, err := a.admin.Redeliver(c.Context(), c.Request.PathValue("id"))
	if err != nil {
		return err
	}
	return show(c, d)
}
