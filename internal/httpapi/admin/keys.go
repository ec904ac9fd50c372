package admin

import (
	"cmp"
	"errors"
	"time"

	"batchd/internal/admin"
	"batchd/internal/batch"
	"batchd/internal/httpapi"
	"batchd/internal/store"
)

// keys answers with the keys of all tenants, or of the one that is named.
func (a *API) keys(c *httpapi.Call) error {
	keys, err := a.admin.Keys(c.Context(), named(c))
	if err != nil {
		return err
	}
	return show(c, admin.ListOf(keys))
}

// newKey is the body of a call that creates a key.
type newKey struct {
	Tenant  string     `json:"tenant"`
	Role    store.Role `json:"role"`
	Content bool       `json:"content"`
	Dialect string     `json:"dialect"`
	// ExpiresAt is in unix seconds; 0 is never.
	ExpiresAt int64 `json:"expires_at"`
}

// createKey mints a key and answers with its text, this once.
func (a *API) createKey(c *httpapi.Call) error {
	var order newKey
	if err := read(c, &order); err != nil {
		return err
	}
	n := admin.NewKey{Tenant: cmp.Or(order.Tenant, named(c)), Role: order.Role, OpensContent: order.Content, Dialect: order.Dialect}
	if order.ExpiresAt != 0 {
		n.ExpiresAt = time.Unix(order.ExpiresAt, 0)
	}
	if err := a.mayMint(c, n.TenantOf(), n.OpensContent); err != nil {
		return err
	}
	k, err := a.admin.CreateKey(c.Context(), n)
	if err != nil {
		return err
	}
	return show(c, k)
}

// mayMint refuses a key that would open more than the caller's own does: what the files of its tenant hold, and with content
// those of all. A tenant that is not there yet has no files.
func (a *API) mayMint(c *httpapi.Call, tenant string, content bool) error {
	if c.Who.OpensContent {
		return nil
	}
	owner, err := a.admin.TenantID(c.Context(), tenant)
	var fault *batch.Error
	fresh := errors.As(err, &fault) && fault.Class == batch.NotFound
	switch {
	case err != nil && !fresh:
		return err
	case !content && (fresh || owner == c.Who.Tenant && !c.Who.Acting):
		return nil
	default:
		return &batch.Error{
			Class: batch.Forbidden, Code: "content_forbidden",
			Message: "The new key would open files that yours does not. Without --content an admin key makes keys of its own tenant and of new ones; the command 'batchd keys create' makes any.",
		}
	}
}

// revokeKey ends a key now, the caller's own too: the command line makes another.
func (a *API) revokeKey(c *httpapi.Call) error {
	k, _, err := a.admin.RevokeKey(c.Context(), c.Request.PathValue("id"))
	if err != nil {
		return err
	}
	return show(c, k)
}

// rotateKey mints a key in the place of another, and answers with its text, this once.
func (a *API) rotateKey(c *httpapi.Call) error {
	overlap, err := overlapOf(c)
	if err != nil {
		return err
	}
	id := c.Request.PathValue("id")
	old, err := a.admin.Key(c.Context(), id)
	if err != nil {
		return err
	}
	if err := a.mayMint(c, old.TenantName, old.OpensContent); err != nil {
		return err
	}
	k, _, err := a.admin.RotateKey(c.Context(), id, overlap)
	if err != nil {
		return err
	}
	return show(c, k)
}
