package httpapi_test

import (
	"time"

	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/dialect/neosantara"
	"batchd/internal/dialect/novita"
	"batchd/internal/dialect/openai"
	"batchd/internal/dialect/own"
	"batchd/internal/httpapi"
	"batchd/internal/store"
	"batchd/internal/store/sqlite"
	"batchd/internal/tenant"
)

// vendors mounts every dialect the way a server does that was told nothing, or to be strict. Under /v1 a key may choose.
// It returns the dialects by their names.
func vendors(o *httpapi.Options, strict bool) map[string]dialect.Dialect {
	random := counting()
	byName := map[string]dialect.Dialect{
		openai.Name:     openai.New(openai.Options{Strict: strict, Random: random}),
		novita.Name:     novita.New(novita.Options{Strict: strict, Random: random}),
		neosantara.Name: neosantara.New(neosantara.Options{Strict: strict, Random: random}),
	}
	const day = 24 * time.Hour
	limits := batch.DefaultLimits()
	limits.MaxFileBytes = 100 * batch.MiB
	novitaLimits := limits
	novitaLimits.MaxLines = 50_000
	o.Mounts = []httpapi.Mount{
		{
			Prefix: "/v1", Dialect: byName[openai.Name],
			Choose: func(_ string, who tenant.Identity) dialect.Dialect { return byName[who.Dialect] },
		},
		{
			Prefix: "/openai/v1", Dialect: byName[novita.Name], Limits: novitaLimits, InputLife: 15 * day, OutputLife: 30 * day,
			Paging: httpapi.Paging{Clamp: true},
		},
		{
			Prefix: "/neosantara/v1", Dialect: byName[neosantara.Name], Limits: limits,
			Paging: httpapi.Paging{Clamp: true, DefaultFiles: 20},
		},
		{Prefix: "/batchd/v1", Dialect: own.New(random)},
	}
	o.Upstreams = func() []batch.Upstream { return nil }
	if strict {
		own := batch.DefaultLimits()
		own.MaxLines, own.MaxFileBytes = 50_000, 200*batch.MiB
		o.Mounts[0].Limits, o.Mounts[0].OutputLife = own, 30*day
		o.Mounts[0].CreateRules = dialect.CreateRules{Endpoints: openai.OwnEndpoints(), Windows: []string{"24h"}}
		o.Mounts[1].CreateRules = dialect.CreateRules{Endpoints: []string{"/v1/chat/completions", "/v1/completions"}, Windows: []string{"24h", "48h"}}
		o.Mounts[2].CreateRules = dialect.CreateRules{
			Endpoints: []string{"/v1/chat/completions", "/v1/embeddings", "/v1/responses"}, Windows: []string{"24h"},
		}
	}
	return byName
}

// demandKeys makes a server take no call without a key, by the authenticator that servers have. The keys are those that
// addKeys stores.
func demandKeys(o *httpapi.Options) {
	if s, ok := o.Store.(*sqlite.Store); ok {
		o.Auth = tenant.NewKeys(s, o.Now)
	}
}

// addKeys stores the keys "ours", "theirs", "revoked" and "expired", of which the last two were ours, and for each
// vendor a key of ours by its name.
func (f *fixture) addKeys() {
	f.t.Helper()
	err := f.store.CreateTenant(f.t.Context(), store.Tenant{ID: theirs, Name: "theirs", CreatedAt: now, Weight: 1})
	for _, k := range []struct {
		text string
		key  store.Key
	}{
		{"ours", store.Key{Tenant: ours}},
		{"theirs", store.Key{Tenant: theirs}},
		{"revoked", store.Key{Tenant: ours, RevokedAt: now}},
		{"expired", store.Key{Tenant: ours, ExpiresAt: now}},
		{openai.Name, store.Key{Tenant: ours, Dialect: openai.Name}},
		{novita.Name, store.Key{Tenant: ours, Dialect: novita.Name}},
		{neosantara.Name, store.Key{Tenant: ours, Dialect: neosantara.Name}},
	} {
		if err != nil {
			break
		}
		k.key.ID, k.key.Hash, k.key.CreatedAt = tenant.IDOf(k.text), tenant.HashOf(k.text), now.Add(-time.Hour)
		err = f.store.CreateKey(f.t.Context(), k.key)
	}
	if err == nil {
		err = f.store.EndKey(f.t.Context(), tenant.IDOf("revoked"), now)
	}
	if err != nil {
		f.t.Fatalf("add keys: %v", err)
	}
}
