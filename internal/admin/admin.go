// Package admin is what operators do: keys, tenants, webhooks and batches across tenants, over the metadata store alone,
// whether a server runs on it or not, and how the upstreams of a running one stand. It describes nothing twice: what it returns are the store's own types, with the names
// and states that operators see, and their JSON. A request that cannot be met is a *batch.Error of class batch.Invalid,
// batch.NotFound or batch.Conflict, whose Param names the thing; which command helps is for the caller to say.
package admin

import (
	"context"
	"errors"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
	"batchd/internal/webhook"
)

// Store is the part of the metadata store that administration needs.
type Store interface {
	store.Tenants
	store.Webhooks
	ListAllBatches(ctx context.Context, after string, limit int) (store.Page[batch.Batch], error)
	ListBatches(ctx context.Context, tenant string, q store.BatchQuery) (store.Page[batch.Batch], error)
}

// Options configures a Service. All but Timeout, Upstreams and UserAgent are required.
type Options struct {
	Store Store
	// Dialects are the names that a key may be created for.
	Dialects []string
	// Guard says which receivers may be called.
	Guard webhook.Guard
	// Timeout is how long a test event may take; 0 stands for 15 s.
	Timeout time.Duration
	// Upstreams returns how the upstreams of a running server stand, in the order of the settings; nil where none runs. It may
	// be called concurrently and must not block.
	Upstreams func() []batch.Upstream
	// UserAgent is what receivers of test events see.
	UserAgent string
	Now       func() time.Time
}

// Service administers one store. Its methods may be called concurrently, and beside those of other processes. A running
// server notices within seconds: keys and tenants it caches for as long, webhooks it reads for each event.
type Service struct{ o Options }

// New returns a Service. It opens and starts nothing.
func New(o Options) *Service { return &Service{o: o} }

// What a fault is about, as its Param names it. The command line puts an "s" behind it to name the commands that help; those
// on deliveries are among the webhooks'.
const (
	paramKey      = "key"
	paramTenant   = "tenant"
	paramWebhook  = "webhook"
	paramDelivery = "delivery"
)

// invalid returns a fault in what was asked for.
func invalid(param, format string, args ...any) error {
	return batch.Invalidf(param, "invalid_value", format, args...)
}

// tenantNamed returns a tenant by its name.
func (s *Service) tenantNamed(ctx context.Context, name string) (store.Tenant, error) {
	t, err := s.o.Store.TenantNamed(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return t, noTenant(name)
	}
	return t, err
}

func noTenant(name string) error { return notFound(paramTenant, "no tenant is named %q", name) }

// tenants returns the id of the tenant with this name, "" for "", which stands for all, and the name of every tenant by its
// id.
func (s *Service) tenants(ctx context.Context, name string) (id string, names map[string]string, _ error) {
	all, err := s.o.Store.ListTenants(ctx)
	if err != nil {
		return "", nil, err
	}
	names = make(map[string]string, len(all))
	for _, t := range all {
		names[t.ID] = t.Name
		if t.Name == name {
			id = t.ID
		}
	}
	if id == "" && name != "" {
		return "", nil, noTenant(name)
	}
	return id, names, nil
}

// TenantID returns the id of the tenant with this name.
func (s *Service) TenantID(ctx context.Context, name string) (string, error) {
	t, err := s.tenantNamed(ctx, name)
	return t.ID, err
}

// Upstreams returns how the upstreams stand, in the order of the settings; none where no server runs.
func (s *Service) Upstreams() []batch.Upstream {
	if s.o.Upstreams == nil {
		return nil
	}
	return s.o.Upstreams()
}

// conflict returns a fault of class batch.Conflict.
func conflict(param, format string, args ...any) error {
	fault := batch.Invalidf(param, "conflict", format, args...)
	fault.Class = batch.Conflict
	return fault
}

// notFound returns a fault of class batch.NotFound.
func notFound(param, format string, args ...any) error {
	fault := batch.Invalidf(param, "not_found", format, args...)
	fault.Class = batch.NotFound
	return fault
}
