package admin

import (
	"context"
	"time"

	"batchd/internal/store"
)

// Tenant is a stored tenant as its operator sees it, at the time it was asked for.
type Tenant struct {
	store.Tenant
	// Usage is what counts against the tenant's limits.
	Usage store.Usage
	// Keys is how many of its keys work.
	Keys int
}

// maxWeight bounds how unequal shares may be: a typing error of some zeros would leave the other tenants nothing.
const maxWeight = 1000

// Tenants returns all tenants with what they use, in order of their names.
func (s *Service) Tenants(ctx context.Context) ([]Tenant, error) {
	stored, err := s.o.Store.ListTenants(ctx)
	if err != nil {
		return nil, err
	}
	now := s.o.Now()
	var tenants []Tenant
	for _, t := range stored {
		shown, err := s.tenantAt(ctx, t, now)
		if err != nil {
			return nil, err
		}
		tenants = append(tenants, shown)
	}
	return tenants, nil
}

// tenantAt returns a stored tenant as it is at now.
func (s *Service) tenantAt(ctx context.Context, t store.Tenant, now time.Time) (Tenant, error) {
	usage, err := s.o.Store.Usage(ctx, t.ID, now)
	if err != nil {
		return Tenant{}, err
	}
	keys, err := s.o.Store.ListKeys(ctx, t.ID)
	return Tenant{Tenant: t, Usage: usage, Keys: usable(keys, now)}, err
}

// SetTenant changes weight and limits of the tenant with this name, and returns it as it is then. change gets the tenant
// as it is stored; what it does to id, name and time of creation is ignored. What is over a new limit stays.
func (s *Service) SetTenant(ctx context.Context, name string, change func(*store.Tenant)) (Tenant, error) {
	t, err := s.tenantNamed(ctx, name)
	if err != nil {
		return Tenant{}, err
	}
	wanted := t
	change(&wanted)
	if wanted.Weight < 1 || wanted.Weight > maxWeight {
		return Tenant{}, invalid("weight", "weight: want a number from 1 to %d, got %d", maxWeight, wanted.Weight)
	}
	if l := wanted.Limits; min(l.StoredBytes, l.Files, l.OpenBatches, l.EnqueuedLines, l.EnqueuedTokens, l.BatchesPerHour, l.RequestsPerMinute) < 0 {
		return Tenant{}, invalid("limits", "a limit is below zero; 0 stands for no limit")
	}
	t.Weight, t.Limits = wanted.Weight, wanted.Limits
	if err := s.o.Store.SetTenant(ctx, t); err != nil {
		return Tenant{}, err
	}
	return s.tenantAt(ctx, t, s.o.Now())
}
