package app

import (
	"net"
	"strings"

	"batchd/internal/batch"
	"batchd/internal/config"
	"batchd/internal/dialect"
	"batchd/internal/dialect/own"
	"batchd/internal/dialect/vendors"
	"batchd/internal/httpapi"
	"batchd/internal/tenant"
)

// newProfiles makes the profile of every dialect, by the name that stored objects carry.
func newProfiles(cfg config.Config) (map[string]dialect.Profile, error) {
	return vendors.Profiles(cfg.Vendors, serverRules(cfg))
}

// serverRules are what holds in every dialect that has no rule of its own.
func serverRules(cfg config.Config) dialect.Server {
	return dialect.Server{
		Limits: cfg.Limits, Endpoints: cfg.Endpoints, Windows: cfg.Windows,
		InputTTL: cfg.Retention.Input, OutputTTL: cfg.Retention.Output,
	}
}

// announces reports whether the vendor of a batch's dialect documents a webhook for the event.
func (e *Engine) announces(name string, event batch.Event) bool {
	p, ok := e.profiles[name]
	return ok && p.Dialect.Announces(event)
}

// defaultPrefix is where the dialect depends on who calls.
const defaultPrefix = "/v1"

// mounts returns the API, with the given routes, under each of its prefixes. Under own.Prefix it is always the same, so that batchd's own client
// works with every server.
func (e *Engine) mounts(routes []httpapi.Route) []httpapi.Mount {
	all := []httpapi.Mount{
		{Prefix: defaultPrefix, Profile: e.profiles[e.cfg.Dialect.Default], Choose: e.chooseProfile},
		{Prefix: own.Prefix, Profile: serverRules(e.cfg).Profile(own.New(nil))},
	}
	for _, v := range vendors.All() {
		if v.Prefix != "" {
			all = append(all, httpapi.Mount{Prefix: v.Prefix, Profile: e.profiles[v.Name]})
		}
	}
	for i := range all {
		all[i].Routes = routes
	}
	return all
}

// chooseProfile returns the profile of a call under /v1: that of its key, or else that of the host it was sent to; false
// where neither has one.
func (e *Engine) chooseProfile(host string, who tenant.Identity) (dialect.Profile, bool) {
	if p, ok := e.profiles[who.Dialect]; ok {
		return p, true
	}
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host // without a port
	}
	for known, speaks := range e.cfg.Dialect.Hosts {
		if strings.EqualFold(known, name) || strings.EqualFold(known, host) {
			p, ok := e.profiles[speaks]
			return p, ok
		}
	}
	return dialect.Profile{}, false
}
