// Package tenant says on whose behalf a call is made. Authenticators turn a request's credential into an identity;
// everything that is stored carries the identity's tenant, and nothing is shown to another. The package decides
// no wire shape and keeps no files or batches.
package tenant

import (
	"net/http"
	"strings"
)

// Identity is who makes a call.
type Identity struct {
	// Tenant is the UUID that owns what the call makes.
	Tenant string
	// KeyID names the API key, "key_" and 32 hexadecimal digits. It is not the key and may be shown.
	KeyID string
	// Dialect is the name of the dialect the key was created for; "" for whatever the server speaks.
	Dialect string
}

// Authenticator finds out who makes a request. A refusal is a *batch.Error of class batch.Unauthenticated; any other
// error is internal. It must not read the body, and may be called concurrently.
type Authenticator interface {
	Authenticate(r *http.Request) (Identity, error)
}

// Open is the authenticator of a server without keys: every call is one tenant's, whatever credential it carries.
// Clients that insist on sending a key can send any.
type Open struct {
	// Tenant is the UUID that all belongs to.
	Tenant string
}

// Authenticate returns the one tenant and a key id of zeros. It never refuses.
func (o Open) Authenticate(*http.Request) (Identity, error) {
	return Identity{Tenant: o.Tenant, KeyID: "key_" + strings.Repeat("0", 32)}, nil
}
