// Package admin answers the calls by which admins administer a server: keys, tenants, webhooks, how the upstreams stand, and
// batches across tenants, as the command line has them on a data directory. It decides nothing but who may mint a key for
// whom; what it answers is the JSON of package admin.
package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"time"
	"unicode"
	"unicode/utf8"

	"batchd/internal/admin"
	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/httpapi"
)

// Batches shows running batches as they are now.
type Batches interface {
	// Live returns a running batch with its live counts in place of the stored ones.
	Live(c *httpapi.Call, b batch.Batch) (batch.Batch, error)
}

// API answers calls of admins. It may be used concurrently.
type API struct {
	admin   *admin.Service
	batches Batches
}

// New returns an API on what s administers.
func New(s *admin.Service, batches Batches) *API {
	return &API{admin: s, batches: batches}
}

// Routes returns the routes, which are for a mount whose dialect is a dialect.Overseer and a dialect.Watcher. A tenant that a
// call names says of which tenant a list is, and whose something new is.
func (a *API) Routes() []httpapi.Route {
	route := func(path string, methods map[string]httpapi.Handler) httpapi.Route {
		for method, handle := range methods {
			methods[method] = func(c *httpapi.Call) error { return asSentence(handle(c)) }
		}
		return httpapi.Route{Path: "/admin" + path, Methods: methods, Admin: true}
	}
	type methods = map[string]httpapi.Handler
	return []httpapi.Route{
		route("/keys", methods{"GET": a.keys, "POST": a.createKey}),
		route("/keys/{id}/revoke", methods{"POST": a.revokeKey}),
		route("/keys/{id}/rotate", methods{"POST": a.rotateKey}),
		route("/tenants", methods{"GET": a.tenants}),
		route("/tenants/{name}", methods{"PATCH": a.setTenant}),
		route("/tenants/{name}/callback_secret", methods{"GET": a.callbackSecret}),
		route("/tenants/{name}/callback_secret/rotate", methods{"POST": a.rotateCallbackSecret}),
		route("/webhooks", methods{"GET": a.webhooks, "POST": a.addWebhook}),
		route("/webhooks/{id}", methods{"DELETE": a.removeWebhook}),
		route("/webhooks/{id}/enable", methods{"POST": a.enableWebhook}),
		route("/webhooks/{id}/rotate", methods{"POST": a.rotateWebhook}),
		route("/webhooks/{id}/test", methods{"POST": a.testWebhook}),
		route("/deliveries", methods{"GET": a.deliveries}),
		route("/deliveries/{id}/redeliver", methods{"POST": a.redeliver}),
		route("/batches", methods{"GET": a.listBatches}),
		route("/upstreams", methods{"GET": a.upstreams}),
	}
}

// asSentence returns err with what the client is told in the form that the API's messages have: package admin words them for
// the command line, which puts them behind a colon.
func asSentence(err error) error {
	var fault *batch.Error
	if !errors.As(err, &fault) || fault.Message == "" {
		return err
	}
	told := *fault
	first, size := utf8.DecodeRuneInString(told.Message)
	told.Message = string(unicode.ToUpper(first)) + told.Message[size:]
	if last := told.Message[len(told.Message)-1]; last != '.' && last != '?' && last != '!' {
		told.Message += "."
	}
	return &told
}

// upstreams answers with everything about the upstreams.
func (a *API) upstreams(c *httpapi.Call) error {
	d, ok := c.Dialect.(dialect.Watcher)
	if !ok {
		return httpapi.NoRoute()
	}
	return c.JSON(d.Upstreams(a.admin.Upstreams()))
}

// allBatches bounds pages of batches across tenants.
var allBatches = dialect.PageBounds{Default: 20, Max: 100}

// listBatches answers with a page of the batches of all tenants, or of the one that is named, newest first.
func (a *API) listBatches(c *httpapi.Call) error {
	d, ok := c.Dialect.(dialect.Overseer)
	if !ok {
		return httpapi.NoRoute()
	}
	limit, err := c.PageLimit(allBatches)
	if err != nil {
		return err
	}
	after, err := c.After()
	if err != nil {
		return err
	}
	page, err := a.admin.Batches(c.Context(), named(c), after, limit)
	if err != nil {
		return err
	}
	batches, tenants := make([]batch.Batch, len(page.Items)), make([]string, len(page.Items))
	for i, b := range page.Items {
		tenants[i] = b.TenantName
		if batches[i], err = a.batches.Live(c, b.Batch); err != nil {
			return err
		}
	}
	return c.JSON(d.AllBatches(batches, tenants, page.HasMore))
}

// named returns the name of the tenant that a call names, "" for none.
func named(c *httpapi.Call) string {
	if !c.Who.Named {
		return ""
	}
	return c.Who.TenantName
}

// show answers with an object of package admin.
func show(c *httpapi.Call, object any) error {
	raw, err := json.Marshal(object)
	if err != nil {
		return err
	}
	return c.JSON(raw)
}

// read decodes the body of a call into the fields of order, which stays as it is for an empty one.
func read(c *httpapi.Call, order any) error {
	body, err := c.Body()
	if err != nil || len(bytes.TrimSpace(body)) == 0 {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	err = decoder.Decode(order)
	if _, more := decoder.Token(); err == nil && !errors.Is(more, io.EOF) {
		err = errors.New("something follows the object")
	}
	var mistyped *json.UnmarshalTypeError
	switch {
	case errors.As(err, &mistyped) && mistyped.Field != "":
		return batch.Invalidf(mistyped.Field, "invalid_type", "Invalid '%s': it may not be a JSON %s.", mistyped.Field, mistyped.Value)
	case err != nil:
		return batch.Invalidf("", "invalid_json", "The request body is not what this call takes: %v.", err)
	default:
		return nil
	}
}

// defaultOverlap is how long what is replaced goes on if the call does not say.
const defaultOverlap = 24 * time.Hour

// overlapOf reads the body of a call that replaces something.
func overlapOf(c *httpapi.Call) (time.Duration, error) {
	const most = 100 * 365 * 24 * 60 * 60
	seconds := int64(defaultOverlap / time.Second)
	order := struct {
		Seconds *int64 `json:"overlap_seconds"`
	}{&seconds}
	if err := read(c, &order); err != nil {
		return 0, err
	}
	if order.Seconds == nil || *order.Seconds < 0 || *order.Seconds > most {
		return 0, batch.Invalidf("overlap_seconds", "invalid_value", "Invalid 'overlap_seconds': expected a number of seconds from 0 on.")
	}
	return time.Duration(*order.Seconds) * time.Second, nil
}
