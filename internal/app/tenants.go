package app

import (
	"context"
	"time"

	"batchd/internal/store"
)

// Tenant is who owns files and batches, as the operator sees it.
type Tenant struct {
	ID        string
	Name      string
	CreatedAt time.Time
	// Weight is the tenant's share of upstream capacity beside others'.
	Weight int
	// Limits are what it may have, 0 for no limit; Usage is what counts against them now.
	Limits store.Limits
	Usage  store.Usage
	// Keys is how many of its keys work.
	Keys int
}

// maxWeight keeps shares in proportions that somebody can mean.
const maxWeight = 1000

// ListTenants returns all tenants with what they use, in order of their names.
func ListTenants(ctx context.Context, dataDir string, now time.Time) ([]Tenant, error) {
	var tenants []Tenant
	err := withData(ctx, dataDir, func(st store.Store) error {
		stored, err := st.ListTenants(ctx)
		if err != nil {
			return err
		}
		for _, t := range stored {
			shown, err := describeTenant(ctx, st, t, now)
			if err != nil {
				return err
			}
			tenants = append(tenants, shown)
		}
		return nil
	})
	return tenants, err
}

// describeTenant returns a stored tenant as it is shown at now.
func describeTenant(ctx context.Context, st store.Tenants, t store.Tenant, now time.Time) (Tenant, error) {
	usage, err := st.Usage(ctx, t.ID, now)
	if err != nil {
		return Tenant{}, err
	}
	keys, err := st.ListKeys(ctx, t.ID)
	if err != nil {
		return Tenant{}, err
	}
	return Tenant{
		ID: t.ID, Name: t.Name, CreatedAt: t.CreatedAt, Weight: t.Weight, Limits: t.Limits, Usage: usage, Keys: usable(keys, now),
	}, nil
}

// SetTenant changes weight and limits of the tenant with this name, and returns it as it is then. change gets the tenant
// as it is stored. A running server goes by the change within seconds; what is over a new limit stays.
func SetTenant(ctx context.Context, dataDir, name string, change func(*Tenant), now time.Time) (Tenant, error) {
	var shown Tenant
	err := withData(ctx, dataDir, func(st store.Store) error {
		t, err := namedTenant(ctx, st, name)
		if err != nil {
			return err
		}
		wanted := Tenant{Weight: t.Weight, Limits: t.Limits}
		change(&wanted)
		if wanted.Weight < 1 || wanted.Weight > maxWeight {
			return misuse("weight: want a number from 1 to %d, got %d", maxWeight, wanted.Weight)
		}
		if l := wanted.Limits; min(l.StoredBytes, l.Files, l.OpenBatches, l.EnqueuedLines, l.EnqueuedTokens, l.BatchesPerHour, l.RequestsPerMinute) < 0 {
			return misuse("a limit is below zero; 0 stands for no limit")
		}
		t.Weight, t.Limits = wanted.Weight, wanted.Limits
		if err := st.SetTenant(ctx, t); err != nil {
			return err
		}
		shown, err = describeTenant(ctx, st, t, now)
		return err
	})
	return shown, err
}
