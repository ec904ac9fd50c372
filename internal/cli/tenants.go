package cli

import (
	"fmt"
	"strconv"

	"batchd/internal/admin"
	"batchd/internal/config"
	"batchd/internal/store"
)

// tenantsCommand is the commands on tenants. They open the data directory themselves, as those on keys do.
type tenantsCommand struct {
	dataFlags
	List listTenants `cmd:"" help:"List tenants with their usage and limits."`
	Set  setTenant   `cmd:"" help:"Change a tenant's weight and limits."`

	RotateCallbackSecret rotateCallbackSecret `cmd:"" help:"Replace the secret that signs a tenant's callbacks; the old one also signs for an overlap."`
}

// rotateCallbackSecret replaces the secret of a tenant's callbacks, as rotateWebhook does with a webhook's.
type rotateCallbackSecret struct {
	Name    string `arg:"" name:"name" help:"Name of the tenant."`
	Overlap string `default:"24h" placeholder:"24h" help:"How long the old secret also signs (default 24h); 0 retires it immediately."`
}

// Run replaces the secret and shows the new one.
func (c *rotateCallbackSecret) Run(s *invocation, g *grammar) error {
	overlap, err := config.ParseDuration(c.Overlap)
	if err != nil {
		return misuse("--overlap: %v", err)
	}
	var made admin.CallbackSecret
	err = g.Tenants.administer(s, func(a *admin.Service) (err error) {
		made, err = a.RotateCallbackSecret(s.ctx, c.Name, overlap)
		return err
	})
	if err != nil {
		return err
	}
	s.sayReplaced("the secret of the callbacks of "+made.Tenant, made.PreviousUntil)
	if g.Tenants.JSON {
		return s.printObject(made)
	}
	_, err = fmt.Fprintln(s.Stdout, made.Secret)
	return err
}

// listTenants shows what each tenant uses beside its limits, as they are in the database: a running server counts requests per
// minute in memory, so these have a limit and no use.
type listTenants struct{}

// Run lists tenants.
func (*listTenants) Run(s *invocation, g *grammar) error {
	var tenants []admin.Tenant
	err := g.Tenants.administer(s, func(a *admin.Service) (err error) {
		tenants, err = a.Tenants(s.ctx)
		return err
	})
	if err != nil {
		return err
	}
	if g.Tenants.JSON {
		return s.printObject(admin.ListOf(tenants))
	}
	rows := []string{"NAME\tWEIGHT\tKEYS\tSTORED\tFILES\tOPEN BATCHES\tQUEUED LINES\tQUEUED TOKENS\tBATCHES/H\tREQUESTS/MIN"}
	for _, t := range tenants {
		row := fmt.Sprintf("%s\t%d\t%d", t.Name, t.Weight, t.Keys)
		for _, q := range quotas(t) {
			row += "\t" + q.short()
		}
		rows = append(rows, row)
	}
	return s.table(rows)
}

// setTenant changes the weight and limits that are given. Every limit is a text, since 0 removes one and none leaves it as it
// is. What is over a new limit stays.
type setTenant struct {
	Name                 string  `arg:"" name:"name" help:"Name of the tenant."`
	Weight               *int    `placeholder:"N" help:"Share of upstream capacity relative to other tenants, from 1 to 1000."`
	MaxStoredBytes       *string `placeholder:"SIZE" help:"Most bytes of all files, like 10GiB. 0 removes this limit, and any of the following."`
	MaxFiles             *string `placeholder:"N" help:"Most files."`
	MaxOpenBatches       *string `placeholder:"N" help:"Most batches that have not ended."`
	MaxEnqueuedLines     *string `placeholder:"N" help:"Most lines in batches that have not ended."`
	MaxEnqueuedTokens    *string `placeholder:"N" help:"Most tokens, as estimated, in batches that have not ended."`
	MaxBatchesPerHour    *string `placeholder:"N" help:"Most batches created within an hour."`
	MaxRequestsPerMinute *string `placeholder:"N" help:"Most API requests within a minute."`
}

// Run changes what was given and shows the tenant.
func (c *setTenant) Run(s *invocation, g *grammar) error {
	changes, err := c.changes()
	if err != nil {
		return err
	}
	var t admin.Tenant
	err = g.Tenants.administer(s, func(a *admin.Service) (err error) {
		t, err = a.SetTenant(s.ctx, c.Name, func(t *store.Tenant) {
			for _, change := range changes {
				change(t)
			}
		})
		return err
	})
	if err != nil {
		return err
	}
	if g.Tenants.JSON {
		return s.printObject(t)
	}
	rows := []string{"name:\t" + t.Name, "id:\t" + t.ID, fmt.Sprintf("weight:\t%d", t.Weight), fmt.Sprintf("keys:\t%d", t.Keys)}
	for _, q := range quotas(t) {
		rows = append(rows, q.name+":\t"+q.long())
	}
	return s.table(rows)
}

// changes reads the flags that were given. All are read before anything is changed: one that is wrong leaves the tenant as it is.
func (c *setTenant) changes() ([]func(*store.Tenant), error) {
	var changes []func(*store.Tenant)
	if c.Weight != nil {
		changes = append(changes, func(t *store.Tenant) { t.Weight = *c.Weight })
	}
	for _, f := range []struct {
		flag  string
		text  *string
		parse func(string) (int64, error)
		field func(*store.Tenant) *int64
	}{
		{"--max-stored-bytes", c.MaxStoredBytes, config.ParseSize, func(t *store.Tenant) *int64 { return &t.Limits.StoredBytes }},
		{"--max-files", c.MaxFiles, parseLimit, func(t *store.Tenant) *int64 { return &t.Limits.Files }},
		{"--max-open-batches", c.MaxOpenBatches, parseLimit, func(t *store.Tenant) *int64 { return &t.Limits.OpenBatches }},
		{"--max-enqueued-lines", c.MaxEnqueuedLines, parseLimit, func(t *store.Tenant) *int64 { return &t.Limits.EnqueuedLines }},
		{"--max-enqueued-tokens", c.MaxEnqueuedTokens, parseLimit, func(t *store.Tenant) *int64 { return &t.Limits.EnqueuedTokens }},
		{"--max-batches-per-hour", c.MaxBatchesPerHour, parseLimit, func(t *store.Tenant) *int64 { return &t.Limits.BatchesPerHour }},
		{"--max-requests-per-minute", c.MaxRequestsPerMinute, parseLimit, func(t *store.Tenant) *int64 { return &t.Limits.RequestsPerMinute }},
	} {
		if f.text == nil {
			continue
		}
		n, err := f.parse(*f.text)
		if err != nil {
			return nil, misuse("%s: %v", f.flag, err)
		}
		changes = append(changes, func(t *store.Tenant) { *f.field(t) = n })
	}
	if len(changes) == 0 {
		return nil, misuse("nothing to set: give --weight or a limit")
	}
	return changes, nil
}

// parseLimit reads how many there may be of something: digits alone, since 5M lines would leave open what M is.
func parseLimit(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("want a whole number, 0 for no limit, got %q", text)
	}
	return n, nil
}

// quota is a limit beside what counts against it.
type quota struct {
	name string
	// used is below zero where it is not known outside the server.
	used, limit int64
	write       func(int64) string
	// going is what of used was deleted and is not gone yet.
	going int64
}

// quotas are all limits of a tenant, in the order in which they are shown.
func quotas(t admin.Tenant) []quota {
	u, l := t.Usage, t.Limits
	return []quota{
		{"stored", u.StoredBytes, l.StoredBytes, bytesOf, u.DeletedBytes},
		{"files", u.Files, l.Files, count, 0},
		{"open batches", u.OpenBatches, l.OpenBatches, count, 0},
		{"enqueued lines", u.EnqueuedLines, l.EnqueuedLines, count, 0},
		{"enqueued tokens", u.EnqueuedTokens, l.EnqueuedTokens, count, 0},
		{"batches in the last hour", u.BatchesLastHour, l.BatchesPerHour, count, 0},
		{"requests per minute", -1, l.RequestsPerMinute, count, 0},
	}
}

// short is a quota in a cell of a table: "3", or "3/10" with a limit.
func (q quota) short() string {
	switch {
	case q.used < 0 && q.limit == 0:
		return "-"
	case q.used < 0:
		return q.write(q.limit)
	case q.limit == 0:
		return q.write(q.used)
	default:
		return q.write(q.used) + "/" + q.write(q.limit)
	}
}

// long is a quota on a line of its own.
func (q quota) long() string {
	limit := "no limit"
	if q.limit > 0 {
		limit = "at most " + q.write(q.limit)
	}
	if q.used < 0 {
		return limit
	}
	if q.going > 0 {
		limit += "; " + q.write(q.going) + " deleted, going"
	}
	return q.write(q.used) + " (" + limit + ")"
}
