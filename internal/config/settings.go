package config

import (
	"errors"
	"slices"
	"strings"
	"time"

	"batchd/internal/dialect"
	"batchd/internal/dialect/vendors"
)

// setting is one key: its name in files, and in upper case with BATCHD_ before it the one in the environment.
type setting struct {
	key string
	set func(c *Config, v value) error
}

// settings returns the table of every key, those of the vendors' dialects last. The two that no file may hold stand for flags
// that apply to all upstreams.
func settings() []setting {
	all := []setting{
		{"listen", text(func(c *Config) *string { return &c.Listen })},
		{"allowed_hosts", list(func(c *Config) *[]string { return &c.AllowedHosts })},
		{"data_dir", text(func(c *Config) *string { return &c.DataDir })},
		{"store", text(func(c *Config) *string { return &c.Store })},
		{"blobs", text(func(c *Config) *string { return &c.Blobs })},
		{"role", text(func(c *Config) *string { return &c.Role })},
		{"auth.mode", text(func(c *Config) *string { return &c.Auth.Mode })},
		{"tls.cert", text(func(c *Config) *string { return &c.TLS.Cert })},
		{"tls.key", text(func(c *Config) *string { return &c.TLS.Key })},
		{"http.max_connections", parsed(func(c *Config) *int { return &c.HTTP.MaxConnections }, parseConcurrency)},
		{"http.max_connections_per_address", parsed(func(c *Config) *int { return &c.HTTP.MaxConnectionsPerAddress }, parseConnections)},
		{"http.min_upload_rate", size(func(c *Config) *int64 { return &c.HTTP.MinUploadRate })},
		{"http.upload_timeout", duration(func(c *Config) *time.Duration { return &c.HTTP.UploadTimeout })},
		{"http.send_timeout", duration(func(c *Config) *time.Duration { return &c.HTTP.SendTimeout })},
		{"upstreams", setUpstreams},
		{keyConcurrency, setConcurrency},
		{keyUpstreamKey, setUpstreamKey},
		{"upstream_timeouts.dial", duration(func(c *Config) *time.Duration { return &c.UpstreamTimeouts.Dial })},
		{"upstream_timeouts.tls", duration(func(c *Config) *time.Duration { return &c.UpstreamTimeouts.TLS })},
		{"upstream_timeouts.first_byte", duration(func(c *Config) *time.Duration { return &c.UpstreamTimeouts.FirstByte })},
		{"upstream_timeouts.idle", duration(func(c *Config) *time.Duration { return &c.UpstreamTimeouts.Idle })},
		{"upstream_timeouts.total", duration(func(c *Config) *time.Duration { return &c.UpstreamTimeouts.Total })},
		{"allow_mixed_models", parsed(func(c *Config) *bool { return &c.AllowMixedModels }, parseBool)},
		{"endpoints", list(func(c *Config) *[]string { return &c.Endpoints })},
		{"windows", setWindows},
		{"limits.max_lines", parsed(func(c *Config) *int64 { return &c.Limits.MaxLines }, parseNumber)},
		{"limits.max_file_bytes", size(func(c *Config) *int64 { return &c.Limits.MaxFileBytes })},
		{"limits.max_line_bytes", size(func(c *Config) *int64 { return &c.Limits.MaxLineBytes })},
		{"limits.max_response_bytes", size(func(c *Config) *int64 { return &c.Limits.MaxResponseBytes })},
		{"in_flight_memory", size(func(c *Config) *int64 { return &c.InFlightMemory })},
		{"cancel_grace", duration(func(c *Config) *time.Duration { return &c.CancelGrace })},
		{"shutdown_grace", duration(func(c *Config) *time.Duration { return &c.ShutdownGrace })},
		{"shutdown_delay", duration(func(c *Config) *time.Duration { return &c.ShutdownDelay })},
		{"retention.input", duration(func(c *Config) *time.Duration { return &c.Retention.Input })},
		{"retention.output", duration(func(c *Config) *time.Duration { return &c.Retention.Output })},
		{"scrub.every", duration(func(c *Config) *time.Duration { return &c.Scrub.Every })},
		{"scrub.rate", size(func(c *Config) *int64 { return &c.Scrub.Rate })},
		{"dialect.default", text(func(c *Config) *string { return &c.Dialect.Default })},
		{"dialect.hosts", pairs(func(c *Config) *map[string]string { return &c.Dialect.Hosts })},
		{"webhooks.allow", list(func(c *Config) *[]string { return &c.Webhooks.Allow })},
		{"webhooks.timeout", duration(func(c *Config) *time.Duration { return &c.Webhooks.Timeout })},
		{"webhooks.first_pause", duration(func(c *Config) *time.Duration { return &c.Webhooks.FirstPause })},
		{"webhooks.longest_pause", duration(func(c *Config) *time.Duration { return &c.Webhooks.LongestPause })},
		{"webhooks.retry_for", duration(func(c *Config) *time.Duration { return &c.Webhooks.RetryFor })},
		{"log.level", text(func(c *Config) *string { return &c.Log.Level })},
		{"log.format", text(func(c *Config) *string { return &c.Log.Format })},
		{"metrics.listen", text(func(c *Config) *string { return &c.Metrics.Listen })},
	}
	for _, v := range vendors.All() {
		for _, s := range v.Switches {
			all = append(all, setting{v.Name + "." + s.Key, vendorSwitch(v.Name, s)})
		}
	}
	return all
}

// vendorSwitch sets a switch of a vendor's dialect. Whether a text is one that the switch takes is for Validate to say.
func vendorSwitch(vendor string, s dialect.Switch) func(*Config, value) error {
	return func(c *Config, v value) error {
		text, err := v.scalar()
		if err == nil && s.OnOff {
			_, err = parseBool(text)
		}
		if err == nil {
			c.Vendors[vendor][s.Key] = text
		}
		return err
	}
}

// The keys that stand for flags only.
const (
	keyConcurrency = "concurrency"
	keyUpstreamKey = "upstream_key_env"
)

// find returns the setting of a key.
func find(key string) (setting, bool) {
	all := settings()
	i := slices.IndexFunc(all, func(s setting) bool { return s.key == key })
	if i >= 0 {
		return all[i], true
	}
	return setting{}, false
}

// inFile reports whether a file may hold the key.
func inFile(key string) bool { return key != keyConcurrency && key != keyUpstreamKey }

// variable is the name of a key in the environment.
func variable(key string) string {
	return "BATCHD_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// parsed makes the setter of a field from the function that reads its text.
func parsed[T any](field func(*Config) *T, parse func(string) (T, error)) func(*Config, value) error {
	return func(c *Config, v value) error {
		s, err := v.scalar()
		if err != nil {
			return err
		}
		got, err := parse(s)
		if err != nil {
			return err
		}
		*field(c) = got
		return nil
	}
}

// text, size, duration, list and pairs make the setters of fields of their kinds.
func text(field func(*Config) *string) func(*Config, value) error {
	return parsed(field, func(s string) (string, error) { return s, nil })
}

func size(field func(*Config) *int64) func(*Config, value) error { return parsed(field, ParseSize) }

func duration(field func(*Config) *time.Duration) func(*Config, value) error {
	return parsed(field, ParseDuration)
}

// setWindows sets the windows, which are then the only ones.
func setWindows(c *Config, v value) error {
	c.AnyWindow = false
	return list(func(c *Config) *[]string { return &c.Windows })(c, v)
}

func list(field func(*Config) *[]string) func(*Config, value) error {
	return func(c *Config, v value) error {
		elements, err := v.elements()
		if err == nil {
			*field(c) = elements
		}
		return err
	}
}

func pairs(field func(*Config) *map[string]string) func(*Config, value) error {
	return func(c *Config, v value) error {
		m, err := v.mapping()
		if err == nil {
			*field(c) = m
		}
		return err
	}
}

// setUpstreams replaces all upstreams: by those of a file, or by bare URLs.
func setUpstreams(c *Config, v value) error {
	if v.form == formUpstreams {
		c.Upstreams = slices.Clone(v.upstreams)
		return nil
	}
	urls, err := v.elements()
	if err != nil {
		return errors.New("want a list of URLs, or of mappings that each have a url")
	}
	c.Upstreams = nil
	for _, u := range urls {
		c.Upstreams = append(c.Upstreams, Upstream{URL: u})
	}
	return nil
}

// setConcurrency sets the concurrency of every upstream there is by now.
func setConcurrency(c *Config, v value) error {
	n, err := parseConcurrency(v.text)
	if err != nil {
		return err
	}
	for i := range c.Upstreams {
		c.Upstreams[i].Concurrency = n
	}
	return nil
}

// setUpstreamKey makes every upstream but the simulator take its key from an environment variable.
func setUpstreamKey(c *Config, v value) error {
	for i := range c.Upstreams {
		if c.Upstreams[i].URL != Simulator {
			c.Upstreams[i].APIKeyEnv, c.Upstreams[i].APIKeyFile = v.text, ""
		}
	}
	return nil
}
