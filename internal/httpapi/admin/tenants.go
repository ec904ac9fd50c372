package admin

import (
	"batchd/internal/admin"
	"batchd/internal/httpapi"
	"batchd/internal/store"
)

// tenants answers with all tenants, or the one that is named, with their limits and what they use.
func (a *API) tenants(c *httpapi.Call) error {
	all, err := a.admin.Tenants(c.Context())
	if err != nil {
		return err
	}
	if name := named(c); name != "" {
		for _, t := range all {
			if t.Name == name {
				return show(c, admin.ListOf([]admin.Tenant{t}))
			}
		}
	}
	return show(c, admin.ListOf(all))
}

// tenantChange is the body of a call that changes a tenant. What is left out or null stays; a limit of 0 is none.
type tenantChange struct {
	Weight *int `json:"weight"`
	Limits struct {
		StoredBytes       *int64 `json:"stored_bytes"`
		Files             *int64 `json:"files"`
		OpenBatches       *int64 `json:"open_batches"`
		EnqueuedLines     *int64 `json:"enqueued_lines"`
		EnqueuedTokens    *int64 `json:"enqueued_tokens"`
		BatchesPerHour    *int64 `json:"batches_per_hour"`
		RequestsPerMinute *int64 `json:"requests_per_minute"`
	} `json:"limits"`
}

// setTenant changes a tenant's weight and limits, and answers with it as it then is.
func (a *API) setTenant(c *httpapi.Call) error {
	var order tenantChange
	if err := read(c, &order); err != nil {
		return err
	}
	t, err := a.admin.SetTenant(c.Context(), c.Request.PathValue("name"), order.apply)
	if err != nil {
		return err
	}
	return show(c, t)
}

// apply changes a tenant.
func (o tenantChange) apply(t *store.Tenant) {
	set(&t.Weight, o.Weight)
	set(&t.Limits.StoredBytes, o.Limits.StoredBytes)
	set(&t.Limits.Files, o.Limits.Files)
	set(&t.Limits.OpenBatches, o.Limits.OpenBatches)
	set(&t.Limits.EnqueuedLines, o.Limits.EnqueuedLines)
	set(&t.Limits.EnqueuedTokens, o.Limits.EnqueuedTokens)
	set(&t.Limits.BatchesPerHour, o.Limits.BatchesPerHour)
	set(&t.Limits.RequestsPerMinute, o.Limits.RequestsPerMinute)
}

func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}

// callbackSecret answers with the secret that signs a tenant's callbacks.
func (a *API) callbackSecret(c *httpapi.Call) error {
	secret, err := a.admin.CallbackSecret(c.Context(), c.Request.PathValue("name"))
	if err != nil {
		return err
	}
	return show(c, secret)
}

// rotateCallbackSecret replaces the secret of a tenant's callbacks and answers with the new one.
func (a *API) rotateCallbackSecret(c *httpapi.Call) error {
	overlap, err := overlapOf(c)
	if err != nil {
		return err
	}
	secret, err := a.admin.RotateCallbackSecret(c.Context(), c.Request.PathValue("name"), overlap)
	if err != nil {
		return err
	}
	return show(c, secret)
}
