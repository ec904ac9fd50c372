package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/dialect/vendors"
)

// Validate checks the settings as a whole. The error joins all faults; each names its key and says what to do.
func (c Config) Validate() error {
	var v validation
	v.check(c.DataDir != "", "data_dir", "is empty; name a directory")
	v.address("listen", c.Listen)
	if c.Metrics.Listen != "" {
		v.address("metrics.listen", c.Metrics.Listen)
	}
	for _, host := range c.AllowedHosts {
		_, err := netip.ParseAddr(host)
		v.check(err == nil || hostName.MatchString(strings.TrimPrefix(host, "*.")), "allowed_hosts",
			"want names of hosts without a port, like batch.example.com or *.example.com, got %q", host)
	}
	v.check(c.Store == "", "store", "not available in this version: PostgreSQL comes later; remove the key")
	v.check(c.Blobs == "", "blobs", "not available in this version: S3 comes later; remove the key")
	v.role(c.Role)
	v.oneOf("auth.mode", c.Auth.Mode, "keys", "none")
	v.check(c.TLS.Cert == "" || c.TLS.Key != "", "tls.key", "is missing; a certificate (tls.cert) needs its key file too")
	v.check(c.TLS.Key == "" || c.TLS.Cert != "", "tls.cert", "is missing; a key (tls.key) needs its certificate file too")
	v.http(c.HTTP)
	for _, p := range c.UpstreamTimeouts.phases() {
		v.check(*p.limit > 0, "upstream_timeouts."+p.name, "want more than nothing, like 2m")
	}
	for i, u := range c.Upstreams {
		v.upstream(fmt.Sprintf("upstreams[%d]", i), u)
	}
	v.rules(c)
	v.oneOf("dialect.default", c.Dialect.Default, Dialects()...)
	for host, name := range c.Dialect.Hosts {
		v.oneOf("dialect.hosts."+host, name, Dialects()...)
	}
	for _, vendor := range vendors.All() {
		for _, w := range vendor.Switches {
			v.vendorSwitch(vendor.Name+"."+w.Key, w, c.Vendors[vendor.Name][w.Key])
		}
	}
	_, err := c.Webhooks.Ranges()
	v.check(err == nil, "webhooks.allow", "%w", err)
	v.check(c.Webhooks.Timeout >= time.Second && c.Webhooks.Timeout <= longestAttempt, "webhooks.timeout",
		"want from 1s to %s, got %s", longestAttempt, c.Webhooks.Timeout)
	v.check(c.Webhooks.FirstPause >= time.Second, "webhooks.first_pause", "want 1s or more, got %s", c.Webhooks.FirstPause)
	v.check(c.Webhooks.LongestPause >= c.Webhooks.FirstPause, "webhooks.longest_pause", "want %s or more, as first_pause is, got %s",
		c.Webhooks.FirstPause, c.Webhooks.LongestPause)
	v.check(c.Webhooks.RetryFor >= 0, "webhooks.retry_for", "is below zero; 0 stands for one attempt")
	v.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	v.oneOf("log.format", c.Log.Format, "text", "json")
	return errors.Join(v.faults...)
}

// validation collects faults.
type validation struct{ faults []error }

// check notes a fault of key unless ok.
func (v *validation) check(ok bool, key, format string, args ...any) {
	if !ok {
		v.faults = append(v.faults, fault{"", key, fmt.Errorf(format, args...)})
	}
}

// oneOf notes a fault of key unless its word is an allowed one.
func (v *validation) oneOf(key, got string, allowed ...string) {
	v.check(slices.Contains(allowed, got), key, "want %s, got %q", strings.Join(allowed, " or "), got)
}

// hostName matches the name of a host as browsers send it.
var hostName = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

// address checks what is listened on. Nothing before the colon means every address of the machine.
func (v *validation) address(key, address string) {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	v.check(err == nil, key, "want HOST:PORT like 127.0.0.1:8080, got %q", address)
}

// http checks how the API is served.
func (v *validation) http(h HTTP) {
	v.check(h.MaxConnections >= 0, "http.max_connections", "want a number of at least 1, or auto; got %d", h.MaxConnections)
	v.check(h.MaxConnectionsPerAddress >= 0, "http.max_connections_per_address", "is below zero; 0 stands for any number")
	v.check(h.MinUploadRate > 0, "http.min_upload_rate", "want more than nothing, like 1KiB")
	v.check(h.UploadTimeout > 0, "http.upload_timeout", "want more than nothing, like 30s")
	v.check(h.SendTimeout > 0, "http.send_timeout", "want more than nothing, like 5m")
}

// role takes the word for everything. Those for parts of it are named already, so that whoever tries them is told why not.
func (v *validation) role(role string) {
	if role == "api" || role == "worker" {
		v.check(false, "role", "%s is not available in this version: one process does all; remove the key", role)
		return
	}
	v.oneOf("role", role, "all")
}

// upstream checks one upstream. It never repeats the URL, which may hold a password.
func (v *validation) upstream(key string, u Upstream) {
	v.check(u.APIKeyEnv == "" || u.APIKeyFile == "", key, "has both api_key_env and api_key_file; keep one")
	v.check(u.Concurrency >= 0 && u.Concurrency <= maxConcurrency, key+".concurrency",
		"want a number from 1 to %d, or auto; got %d", maxConcurrency, u.Concurrency)
	v.check(!slices.Contains(u.Models, ""), key+".models", "holds an empty name; remove it")
	v.headerName(key+".request_id_header", u.RequestIDHeader)
	v.headerName(key+".idempotency_key_header", u.IdempotencyKeyHeader)
	if u.URL == Simulator {
		return
	}
	parsed, err := url.Parse(u.URL)
	ok := err == nil && (parsed.Scheme == "http" || parsed.Scheme == "https") && parsed.Hostname() != ""
	v.check(ok, key+".url", "want the base URL that an OpenAI SDK takes, like http://host:8000/v1, or %s for the built-in simulator", Simulator)
}

// headerName accepts the characters that a header's name may have, and "" for the usual one.
func (v *validation) headerName(key, name string) {
	odd := strings.IndexFunc(name, func(r rune) bool {
		alnum := r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		return !alnum && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
	v.check(odd < 0, key, "want the name of a header, or %s to leave it out; got %q", NoHeader, name)
}

// rules checks what users' calls are checked against.
func (v *validation) rules(c Config) {
	v.check(len(c.Windows) > 0, "windows", "is empty; list at least one, like 24h")
	for _, w := range c.Windows {
		_, err := batch.ParseWindow(w)
		v.check(err == nil, "windows", "%w", err)
	}
	for _, e := range c.Endpoints {
		v.check(strings.HasPrefix(e, "/v1/") && len(e) > len("/v1/"), "endpoints", "want a path like /v1/chat/completions, got %q", e)
	}
	v.check(c.Limits.MaxLines >= 0, "limits.max_lines", "is below zero; 0 stands for no limit")
	v.check(c.Limits.MaxFileBytes > 0, "limits.max_file_bytes", "want more than nothing, like 16GiB")
	v.check(c.Limits.MaxLineBytes > 0, "limits.max_line_bytes", "want more than nothing, like 16MiB")
	v.check(c.Limits.MaxResponseBytes > 0, "limits.max_response_bytes", "want more than nothing, like 64MiB")
	v.check(c.Scrub.Every == 0 || c.Scrub.Every >= time.Hour, "scrub.every", "want at least an hour, or 0 for never")
	v.check(c.Scrub.Rate >= batch.MiB, "scrub.rate", "want at least 1MiB a second, like 16MiB")
	v.check(c.InFlightMemory > 0, "in_flight_memory", "want more than nothing, like 256MiB")
	v.check(c.ShutdownGrace > 0, "shutdown_grace", "want more than nothing, like 25s")
	v.check(c.ShutdownDelay >= 0 && (c.ShutdownDelay == 0 || c.ShutdownDelay < c.ShutdownGrace), "shutdown_delay",
		"is a part of shutdown_grace; want less than %s, got %s", c.ShutdownGrace, c.ShutdownDelay)
}

// vendorSwitch checks the text of a switch of a vendor's dialect.
func (v *validation) vendorSwitch(key string, s dialect.Switch, text string) {
	if len(s.Words) > 0 {
		v.oneOf(key, text, s.Words...)
	}
	if s.Check != nil {
		err := s.Check(text)
		v.check(err == nil, key, "%w", err)
	}
}

// longestAttempt bounds webhooks.timeout: while an attempt runs, its receiver is sent nothing else.
const longestAttempt = 10 * time.Minute

// Ranges returns the ranges of Allow. Validate reports what it cannot read.
func (w Webhooks) Ranges() ([]netip.Prefix, error) {
	ranges := make([]netip.Prefix, 0, len(w.Allow))
	for _, text := range w.Allow {
		p, err := netip.ParsePrefix(text)
		if err != nil || p.Addr().Is4In6() || p != p.Masked() {
			return nil, fmt.Errorf("want ranges of addresses like 10.0.0.0/8, fd00::/8 or 192.168.1.7/32, got %q", text)
		}
		ranges = append(ranges, p)
	}
	return ranges, nil
}
