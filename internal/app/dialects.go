package app

import (
	"net"
	"slices"
	"strings"
	"time"

	"batchd/internal/batch"
	"batchd/internal/config"
	"batchd/internal/dialect"
	"batchd/internal/dialect/neosantara"
	"batchd/internal/dialect/novita"
	"batchd/internal/dialect/openai"
	"batchd/internal/dialect/own"
	"batchd/internal/httpapi"
	"batchd/internal/tenant"
)

// newDialects makes every dialect, by the name that stored objects carry. The settings have been checked.
func newDialects(cfg config.Config) (map[string]dialect.Dialect, error) {
	zone, err := cfg.Novita.Zone()
	if err != nil {
		return nil, err
	}
	return map[string]dialect.Dialect{
		openai.Name: openai.New(openai.Options{Strict: cfg.OpenAI.Strict}),
		novita.Name: novita.New(novita.Options{Strict: cfg.Novita.Strict, StatusCase: cfg.Novita.StatusCase, Zone: zone}),
		neosantara.Name: neosantara.New(neosantara.Options{
			Strict: cfg.Neosantara.Strict, CancelledSpelling: cfg.Neosantara.CancelledSpelling,
		}),
	}, nil
}

// announces reports whether the vendor of a batch's dialect documents a webhook for the event.
func (e *Engine) announces(name string, event batch.Event) bool {
	d, ok := e.dialects[name]
	return ok && d.Announces(event)
}

// The prefixes of the API. Under ownPrefix the shapes are always the same, so that batchd's own client works with every
// server; windows and limits are the server's there too.
const (
	defaultPrefix    = "/v1"
	novitaPrefix     = "/openai/v1"
	neosantaraPrefix = "/neosantara/v1"
	ownPrefix        = "/batchd/v1"
)

const (
	// day is the unit of vendors' retention.
	day = 24 * time.Hour
	// novitaLines is Novita's limit of requests in a batch; both vendors take files of up to vendorFile.
	novitaLines = 50_000
	vendorFile  = 100 * batch.MiB
)

// mounts returns the API under each of its prefixes. A vendor's prefix has that vendor's limits and retention, unless
// the server's own are tighter.
func (e *Engine) mounts() []httpapi.Mount {
	return []httpapi.Mount{
		{
			Prefix: defaultPrefix, Dialect: e.dialects[e.cfg.Dialect.Default], Choose: e.chooseDialect,
			CreateRules:      e.defaultRules(),
			MissingFileFails: e.cfg.OpenAI.MissingFile == config.MissingFileFailBatch,
		},
		{
			Prefix: novitaPrefix, Dialect: e.dialects[novita.Name], Limits: e.tighter(novitaLines, vendorFile),
			CreateRules: e.vendorRules(e.cfg.Novita.Strict, []string{"/v1/chat/completions", "/v1/completions"}, "24h", "48h"),
			Paging:      httpapi.Paging{Clamp: true}, InputLife: 15 * day, OutputLife: 30 * day,
		},
		{
			Prefix: neosantaraPrefix, Dialect: e.dialects[neosantara.Name], Limits: e.tighter(0, vendorFile),
			CreateRules: e.vendorRules(e.cfg.Neosantara.Strict,
				[]string{"/v1/chat/completions", "/v1/embeddings", "/v1/responses"}, "24h"),
			Paging: httpapi.Paging{Clamp: true, DefaultFiles: 20},
		},
		{Prefix: ownPrefix, Dialect: own.New(nil)},
	}
}

// chooseDialect returns the dialect of a call under /v1: that of its key, or else that of the host it was sent to; nil
// where neither has one.
func (e *Engine) chooseDialect(host string, who tenant.Identity) dialect.Dialect {
	if d, ok := e.dialects[who.Dialect]; ok {
		return d
	}
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host // without a port
	}
	for known, speaks := range e.cfg.Dialect.Hosts {
		if strings.EqualFold(known, name) || strings.EqualFold(known, host) {
			return e.dialects[speaks]
		}
	}
	return nil
}

// tighter returns the server's limits with a vendor's bounds on lines, 0 for none, and on a file's bytes.
func (e *Engine) tighter(lines, fileBytes int64) batch.Limits {
	l := e.cfg.Limits
	if lines > 0 && (l.MaxLines == 0 || lines < l.MaxLines) {
		l.MaxLines = lines
	}
	l.MaxFileBytes = min(l.MaxFileBytes, fileBytes)
	return l
}

// createRules are what create calls are checked against where no vendor's rules hold.
func (e *Engine) createRules() dialect.CreateRules {
	return dialect.CreateRules{Endpoints: append(openai.Endpoints(), e.cfg.Endpoints...), Windows: e.cfg.Windows}
}

// defaultRules are the rules under /v1: where OpenAI is spoken strictly its own endpoints, and those that the settings
// add by name.
func (e *Engine) defaultRules() dialect.CreateRules {
	rules := e.createRules()
	if e.cfg.OpenAI.Strict {
		rules.Endpoints = append(openai.OwnEndpoints(), e.cfg.Endpoints...)
	}
	return rules
}

// vendorRules are the rules at a vendor's prefix: the vendor's own if it is spoken strictly, and else the server's, with
// the vendor's windows beside them.
func (e *Engine) vendorRules(strict bool, endpoints []string, windows ...string) dialect.CreateRules {
	if strict {
		return dialect.CreateRules{Endpoints: endpoints, Windows: windows}
	}
	rules := e.createRules()
	for _, w := range windows {
		if !slices.Contains(rules.Windows, w) {
			rules.Windows = append(slices.Clone(rules.Windows), w)
		}
	}
	return rules
}
