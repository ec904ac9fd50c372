// Package tenant says on whose behalf a call is made. Authenticators turn a request's credential into an identity;
// everything that is stored carries the identity's tenant, and nothing is shown to another. The package decides
// no wire shape and keeps no files or batches.
package tenant

import (
	"net/http"
	"time"

	"batchd/internal/store"
)

// Identity is who makes a call.
type Identity struct {
	// Tenant is the UUID that owns what the call finds and makes: the key's own, or the one that an admin acts for.
	Tenant string
	// TenantName is its name.
	TenantName string
	// Named is set where the call names its tenant, be it the key's own or another.
	Named bool
	// Acting is set where that is not the key's own tenant, but one that an admin's call names.
	Acting bool
	// KeyID names the API key, "key_" and 32 hexadecimal digits. It is not the key and may be shown.
	KeyID string
	// Dialect is the name of the dialect the key was created for; "" for whatever the server speaks.
	Dialect string
	// Operator is set for whoever runs the server, who may see everything of it: an admin's key, or any caller where no
	// key is asked for.
	Operator bool
	// Admin is set for an operator who may act for any tenant and administer the server, OpensContent if that extends to
	// what other tenants' files hold.
	Admin        bool
	OpensContent bool
	// Limits are the tenant's, for those that are not kept by the store.
	Limits store.Limits
}

// Authenticator finds out who makes a request. A refusal is a *batch.Error of class batch.Unauthenticated, or from a
// server without keys batch.Misdirected or batch.Forbidden; any other error is internal. It must not read the body, and
// may be called concurrently.
type Authenticator interface {
	Authenticate(r *http.Request) (Identity, error)
}

// Rate is where a tenant stands with its limit of API requests after one of them.
type Rate struct {
	// Limit is how many requests a minute may have; 0 is no limit, and then nothing else is set.
	Limit int64
	// Remaining is how many more would pass right now; Reset is how long until all would.
	Remaining int64
	Reset     time.Duration
	// Wait is zero for a request that passes, else how long until the next one would.
	Wait time.Duration
}
