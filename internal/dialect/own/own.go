// Package own is what batchd speaks under its own prefix: OpenAI's dialect with all that batchd adds, and what no vendor
// has. Objects that are made through it are OpenAI's.
package own

import (
	_ "embed" // for additions.json
	"fmt"
	"maps"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/dialect/openai"
)

// additions is what the description has beyond OpenAI's: info, tags, paths and components, and under everywhere the parameters
// and answers of all calls that need a key.
//
//go:embed additions.json
var additions string

// Prefix is the path under which it is spoken.
const Prefix = "/batchd/v1"

// Dialect implements dialect.Dialect.
type Dialect struct {
	*openai.Dialect
	description []byte
}

var (
	_ dialect.Dialect  = (*Dialect)(nil)
	_ dialect.Uploader = (*Dialect)(nil)
	_ dialect.Watcher  = (*Dialect)(nil)
	_ dialect.Overseer = (*Dialect)(nil)
)

// New returns the dialect. Random is as in openai.Options.
func New(random func(p []byte)) *Dialect {
	d := openai.New(openai.Options{Random: random})
	return &Dialect{Dialect: d, description: describe(d.Description(), additions)}
}

// Profile returns what holds for calls in the dialect: the server's own rules, whatever the settings of vendors are.
func Profile(server dialect.Server, d *Dialect) dialect.Profile {
	p := server.Profile(d)
	p.CreateRules.AnyWindow = server.AnyWindow
	return p
}

// Description returns the OpenAPI 3.1 document. The bytes must not be changed.
func (d *Dialect) Description() []byte { return d.description }

// document is an OpenAPI document, as far as two are joined.
type document struct {
	Info map[string]any `json:"info"`
	Tags []any          `json:"tags"`
	// Paths hold an operation for each path and method, and beside them parameters that all operations of a path have.
	Paths      map[string]map[string]any `json:"paths"`
	Components map[string]map[string]any `json:"components"`
	// Everywhere is what each operation has beside its own.
	Everywhere struct {
		Parameters []any          `json:"parameters"`
		Responses  map[string]any `json:"responses"`
	} `json:"everywhere"`
}

// describe adds to a document. It panics if one of the two is no JSON of the right form: they are part of the program.
func describe(description []byte, more string) []byte {
	var base, added document
	var whole map[string]any
	must(json.Unmarshal(description, &base))
	must(json.Unmarshal(description, &whole))
	must(json.Unmarshal([]byte(more), &added))
	maps.Copy(base.Info, added.Info)
	maps.Copy(base.Paths, added.Paths)
	for kind, components := range added.Components {
		maps.Copy(base.Components[kind], components)
	}
	for _, methods := range base.Paths {
		for _, method := range methods {
			operation, ok := method.(map[string]any)
			if _, open := operation["security"]; !ok || open {
				continue // an open one needs no key, and is for no tenant
			}
			parameters, _ := operation["parameters"].([]any)
			operation["parameters"] = append(parameters, added.Everywhere.Parameters...)
			responses, _ := operation["responses"].(map[string]any)
			for status, response := range added.Everywhere.Responses {
				if responses[status] == nil {
					responses[status] = response
				}
			}
		}
	}
	whole["info"], whole["tags"], whole["paths"] = base.Info, append(base.Tags, added.Tags...), base.Paths
	whole["components"] = base.Components
	raw, err := json.Marshal(whole, json.Deterministic(true), jsontext.WithIndent("  "))
	must(err)
	return append(raw, '\n')
}

func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("own: description: %v", err))
	}
}

// The structs below fix the order of the keys by the order of their fields. What is a pointer or may be empty is left
// out for those who may not see it.

type list struct {
	Object string     `json:"object"`
	Data   []upstream `json:"data"`
}

type upstream struct {
	Object string `json:"object"`
	Name   string `json:"name"`
	Host   string `json:"host,omitempty"`
	// Models is raw JSON, since null says something else than an empty list.
	Models   jsontext.Value `json:"models"`
	InFlight *int           `json:"in_flight,omitempty"`
	Limit    *int           `json:"limit,omitempty"`
	Reason   *reason        `json:"reason"`
	Waiting  int64          `json:"waiting"`
	Gates    []gate         `json:"gates"`
}

type gate struct {
	Model     string  `json:"model"`
	InFlight  *int    `json:"in_flight,omitempty"`
	Limit     *int    `json:"limit,omitempty"`
	LimitedBy string  `json:"limited_by,omitempty"`
	Step      string  `json:"step,omitempty"`
	Closed    *bool   `json:"closed,omitempty"`
	Reason    *reason `json:"reason"`
	Waiting   int64   `json:"waiting"`
}

// reason has its members as raw JSON where they can be null as well as absent.
type reason struct {
	Kind    string         `json:"kind"`
	Detail  jsontext.Value `json:"detail,omitzero"`
	Since   int64          `json:"since"`
	Status  jsontext.Value `json:"status,omitzero"`
	Code    jsontext.Value `json:"code,omitzero"`
	Message jsontext.Value `json:"message,omitzero"`
	NextTry *int64         `json:"next_try"`
}

// AllBatches renders a page of batches across tenants: OpenAI's objects, and in each the name and the id of its tenant.
func (d *Dialect) AllBatches(all []batch.Batch, tenants []string, hasMore bool) []byte {
	page := struct {
		Object  string           `json:"object"`
		Data    []jsontext.Value `json:"data"`
		FirstID *string          `json:"first_id"`
		LastID  *string          `json:"last_id"`
		HasMore bool             `json:"has_more"`
	}{Object: "list", Data: make([]jsontext.Value, len(all)), HasMore: hasMore}
	for i, b := range all {
		whose := dialect.Encode(struct {
			Tenant   string `json:"tenant"`
			TenantID string `json:"tenant_id"`
		}{tenants[i], b.Tenant})
		// Both are objects with members: the one goes on where the other ends.
		page.Data[i] = append(append(whose[:len(whose)-1], ','), d.Batch(b)[1:]...)
	}
	if n := len(all); n > 0 {
		page.FirstID, page.LastID = &all[0].ID, &all[n-1].ID
	}
	return dialect.Encode(page)
}

// Upstreams renders everything.
func (d *Dialect) Upstreams(all []batch.Upstream) []byte {
	l := list{Object: "list", Data: make([]upstream, len(all))}
	for i, u := range all {
		o := newUpstream(u)
		o.Host, o.InFlight, o.Limit, o.Reason = u.Host, &all[i].InFlight, &all[i].Limit, everything(u.Reason)
		for at := range u.Gates {
			g := &u.Gates[at]
			o.Waiting += g.Waiting
			o.Gates = append(o.Gates, gate{
				Model: g.Model, InFlight: &g.InFlight, Limit: &g.Limit, LimitedBy: g.LimitedBy, Step: g.Step, Closed: &g.Closed,
				Reason: everything(g.Reason), Waiting: g.Waiting,
			})
		}
		l.Data[i] = o
	}
	return dialect.Encode(l)
}

// TenantUpstreams renders what a tenant may see.
func (d *Dialect) TenantUpstreams(all []batch.Upstream, tenant string) []byte {
	l := list{Object: "list", Data: make([]upstream, len(all))}
	for i, u := range all {
		o := newUpstream(u)
		o.Reason = newReason(u.Reason)
		for _, g := range u.Gates {
			waiting, has := g.WaitingOf[tenant]
			if !has {
				continue // that there is work for the model is another tenant's secret
			}
			o.Waiting += waiting
			o.Gates = append(o.Gates, gate{Model: g.Model, Reason: newReason(g.Reason), Waiting: waiting})
		}
		l.Data[i] = o
	}
	return dialect.Encode(l)
}

// newUpstream returns what everybody may see.
func newUpstream(u batch.Upstream) upstream {
	o := upstream{Object: "upstream", Name: u.Name, Models: jsontext.Value("null"), Gates: []gate{}}
	if u.Models != nil {
		o.Models = dialect.Encode(u.Models)
	}
	return o
}

// newReason returns what everybody may see of a reason, nil for none.
func newReason(r batch.Reason) *reason {
	if r.Kind == "" {
		return nil
	}
	return &reason{Kind: r.Kind, Since: r.Since.Unix(), NextTry: dialect.Unix(r.NextTry)}
}

// everything returns all of a reason, nil for none.
func everything(r batch.Reason) *reason {
	o := newReason(r)
	if o == nil {
		return nil
	}
	o.Detail, o.Status = dialect.Encode(dialect.Present(r.Detail)), dialect.Encode(dialect.PresentNumber(r.Status))
	o.Code, o.Message = dialect.Encode(dialect.Present(r.Code)), dialect.Encode(dialect.Present(r.Message))
	return o
}
