package tenant

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"batchd/internal/batch"
	"batchd/internal/store"
)

const (
	// Header names the tenant that a call is for, by its name or id.
	Header = "X-Batchd-Tenant"
	// Param is the parameter in a request's query that does the same, for clients that cannot set headers.
	Param = "tenant"
)

// The codes of calls that are not made for the tenant that they name.
const (
	codeOthers   = "tenant_forbidden"
	codeNoTenant = "tenant_not_found"
)

// Finder is the part of the metadata store that finds the tenants which calls name.
type Finder interface {
	Tenant(ctx context.Context, id string) (store.Tenant, error)
	TenantNamed(ctx context.Context, name string) (store.Tenant, error)
}

// Act returns whom a call of who is made for: the tenant that the request names, or else who's own. Only an admin may name
// another tenant than its own. A refusal is a *batch.Error, which for others says the same whether there is such a tenant
// or not.
func (who Identity) Act(r *http.Request, tenants Finder) (Identity, error) {
	asked, err := named(r)
	switch {
	case err != nil:
		return Identity{}, err
	case asked == "":
		return who, nil
	case asked == who.Tenant, asked == who.TenantName:
		who.Named = true
		return who, nil
	case !who.Admin:
		return Identity{}, &batch.Error{
			Class: batch.Forbidden, Code: codeOthers, Param: Param,
			Message: fmt.Sprintf("The call is for the tenant '%s', and the key is another tenant's. Leave %s and '?%s=' out, or use an admin key.",
				clip(asked), Header, Param),
		}
	}
	t, err := find(r.Context(), tenants, asked)
	if errors.Is(err, store.ErrNotFound) {
		return Identity{}, &batch.Error{
			Class: batch.NotFound, Code: codeNoTenant, Param: Param,
			Message: fmt.Sprintf("No tenant has the name or id '%s'.", clip(asked)),
		}
	}
	if err != nil {
		return Identity{}, fmt.Errorf("find tenant that is acted for: %w", err)
	}
	who.Named, who.Acting = true, t.ID != who.Tenant
	who.Tenant, who.TenantName = t.ID, t.Name
	return who, nil
}

// named returns the tenant that a request names, "" for none. An empty name is refused: a script whose variable is not set
// must not change what is its own tenant's.
func named(r *http.Request) (string, error) {
	asked := append(append([]string(nil), r.Header.Values(Header)...), r.URL.Query()[Param]...)
	if len(asked) == 0 {
		return "", nil
	}
	for _, other := range asked {
		if other == "" {
			return "", batch.Invalidf(Param, "invalid_value", "Invalid '%s': the tenant that the call is for is empty.", Param)
		}
		if other != asked[0] {
			return "", batch.Invalidf(Param, "invalid_value", "Invalid '%s': the call names two different tenants. Name one, in %s or as '?%s='.", Param, Header, Param)
		}
	}
	return asked[0], nil
}

// find returns a tenant by its id or its name. The id comes first, so that nobody's name can stand for another's id.
func find(ctx context.Context, tenants Finder, asked string) (store.Tenant, error) {
	t, err := tenants.Tenant(ctx, asked)
	if errors.Is(err, store.ErrNotFound) {
		return tenants.TenantNamed(ctx, asked)
	}
	return t, err
}
