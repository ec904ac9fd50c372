package config_test

import (
	"strings"
	"testing"
	"time"

	"batchd/internal/config"
)

func TestValidateNamesTheKeyAndTheRemedy(t *testing.T) {
	t.Parallel()
	upstream := func(u config.Upstream) func(*config.Config) {
		return func(c *config.Config) { c.Upstreams = []config.Upstream{{URL: "sim"}, u} }
	}
	for name, c := range map[string]struct {
		change func(*config.Config)
		want   string
	}{
		"no data directory":   {func(c *config.Config) { c.DataDir = "" }, "data_dir: is empty"},
		"address":             {func(c *config.Config) { c.Listen = "8080" }, `listen: want HOST:PORT like 127.0.0.1:8080, got "8080"`},
		"port":                {func(c *config.Config) { c.Listen = "a:99999" }, "listen: want HOST:PORT"},
		"host with a port":    {func(c *config.Config) { c.AllowedHosts = []string{"a.example.com", "b:80"} }, `allowed_hosts: want names of hosts without a port, like batch.example.com or *.example.com, got "b:80"`},
		"any host":            {func(c *config.Config) { c.AllowedHosts = []string{"*"} }, `allowed_hosts: want names`},
		"URL for a host":      {func(c *config.Config) { c.AllowedHosts = []string{"http://a"} }, `allowed_hosts: want names`},
		"star in a host":      {func(c *config.Config) { c.AllowedHosts = []string{"a.*.com"} }, `allowed_hosts: want names`},
		"metrics address":     {func(c *config.Config) { c.Metrics.Listen = "x" }, "metrics.listen: want HOST:PORT"},
		"certificate alone":   {func(c *config.Config) { c.TLS.Cert = "a" }, "tls.key: is missing"},
		"key alone":           {func(c *config.Config) { c.TLS.Key = "a" }, "tls.cert: is missing"},
		"database":            {func(c *config.Config) { c.Store = "postgres://x" }, "store: not available in this version"},
		"object store":        {func(c *config.Config) { c.Blobs = "s3://x" }, "blobs: not available in this version"},
		"role of later":       {func(c *config.Config) { c.Role = "worker" }, "role: worker is not available in this version"},
		"unknown role":        {func(c *config.Config) { c.Role = "boss" }, `role: want all, got "boss"`},
		"auth mode":           {func(c *config.Config) { c.Auth.Mode = "some" }, "auth.mode: want keys or none"},
		"dialect":             {func(c *config.Config) { c.Dialect.Default = "azure" }, `dialect.default: want openai or novita or neosantara, got "azure"`},
		"dialect of a host":   {func(c *config.Config) { c.Dialect.Hosts = map[string]string{"h": "x"} }, `dialect.hosts.h: want openai or novita or neosantara, got "x"`},
		"missing file":        {func(c *config.Config) { c.Vendors["openai"]["missing_file"] = "x" }, "openai.missing_file: want refuse or fail_batch"},
		"status case":         {func(c *config.Config) { c.Vendors["novita"]["status_case"] = "Title" }, "novita.status_case: want upper or lower"},
		"time zone":           {func(c *config.Config) { c.Vendors["novita"]["time_zone"] = "Moon/Sea" }, `novita.time_zone: want a name like Asia/Jakarta or an offset like +08:00, got "Moon/Sea"`},
		"spelling":            {func(c *config.Config) { c.Vendors["neosantara"]["cancelled_spelling"] = "x" }, "neosantara.cancelled_spelling: want cancelled or canceled"},
		"webhook range":       {func(c *config.Config) { c.Webhooks.Allow = []string{"10.0.0.7"} }, `webhooks.allow: want ranges of addresses like 10.0.0.0/8, fd00::/8 or 192.168.1.7/32, got "10.0.0.7"`},
		"no time to answer":   {func(c *config.Config) { c.Webhooks.Timeout = time.Millisecond }, "webhooks.timeout: want from 1s to 10m0s, got 1ms"},
		"hour to answer":      {func(c *config.Config) { c.Webhooks.Timeout = time.Hour }, "webhooks.timeout: want from 1s to 10m0s, got 1h0m0s"},
		"no pause":            {func(c *config.Config) { c.Webhooks.FirstPause = 0 }, "webhooks.first_pause: want 1s or more, got 0s"},
		"longest below first": {func(c *config.Config) { c.Webhooks.LongestPause = time.Second }, "webhooks.longest_pause: want 5s or more, as first_pause is, got 1s"},
		"retry below zero":    {func(c *config.Config) { c.Webhooks.RetryFor = -1 }, "webhooks.retry_for: is below zero"},
		"range with a host":   {func(c *config.Config) { c.Webhooks.Allow = []string{"10.0.0.7/8"} }, `webhooks.allow: want ranges`},
		"mapped range":        {func(c *config.Config) { c.Webhooks.Allow = []string{"::ffff:10.0.0.0/104"} }, `webhooks.allow: want ranges`},
		"log level":           {func(c *config.Config) { c.Log.Level = "loud" }, "log.level: want debug or info or warn or error"},
		"log format":          {func(c *config.Config) { c.Log.Format = "xml" }, "log.format: want text or json"},
		"window":              {func(c *config.Config) { c.Windows = []string{"24H"} }, `windows: window "24H": want a whole number`},
		"no window":           {func(c *config.Config) { c.Windows = nil }, "windows: is empty"},
		"endpoint":            {func(c *config.Config) { c.Endpoints = []string{"chat"} }, "endpoints: want a path like"},
		"lines below zero":    {func(c *config.Config) { c.Limits.MaxLines = -1 }, "limits.max_lines: is below zero"},
		"no bytes in a file":  {func(c *config.Config) { c.Limits.MaxFileBytes = 0 }, "limits.max_file_bytes: want more"},
		"no grace":            {func(c *config.Config) { c.ShutdownGrace = 0 }, "shutdown_grace: want more"},
		"all grace a delay":   {func(c *config.Config) { c.ShutdownDelay = c.ShutdownGrace }, "shutdown_delay: is a part of shutdown_grace; want less than 25s, got 25s"},
		"no first byte":       {func(c *config.Config) { c.UpstreamTimeouts.FirstByte = 0 }, "upstream_timeouts.first_byte: want more than nothing"},
		"no dial":             {func(c *config.Config) { c.UpstreamTimeouts.Dial = 0 }, "upstream_timeouts.dial: want more than nothing"},
		"no upload rate":      {func(c *config.Config) { c.HTTP.MinUploadRate = 0 }, "http.min_upload_rate: want more than nothing"},
		"no upload timeout":   {func(c *config.Config) { c.HTTP.UploadTimeout = 0 }, "http.upload_timeout: want more than nothing"},
		"no send timeout":     {func(c *config.Config) { c.HTTP.SendTimeout = 0 }, "http.send_timeout: want more than nothing"},
		"two keys":            {upstream(config.Upstream{URL: "http://a", APIKeyEnv: "A", APIKeyFile: "b"}), "upstreams[1]: has both"},
		"concurrency":         {upstream(config.Upstream{URL: "http://a", Concurrency: -1}), "upstreams[1].concurrency: want a number"},
		"scheme":              {upstream(config.Upstream{URL: "gpu:8000"}), "upstreams[1].url: want the base URL"},
		"no host":             {upstream(config.Upstream{URL: "http:///v1"}), "upstreams[1].url: want the base URL"},
		"no url":              {upstream(config.Upstream{}), "upstreams[1].url: want the base URL"},
		"empty model":         {upstream(config.Upstream{URL: "sim", Models: []string{""}}), "upstreams[1].models: holds an empty name"},
		"header of two words": {upstream(config.Upstream{URL: "http://a", RequestIDHeader: "X Id"}), "upstreams[1].request_id_header: want the name"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings := config.Default()
			c.change(&settings)
			err := settings.Validate()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestValidateReportsAllFaults(t *testing.T) {
	t.Parallel()
	c := config.Default()
	c.Listen, c.Role, c.Log.Level, c.Windows = "x", "api", "loud", []string{"1y", "0h"}
	err := c.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	if got := strings.Split(err.Error(), "\n"); len(got) != 5 {
		t.Errorf("got %d faults, want 5:\n%v", len(got), err)
	}
}

func TestAnUpstreamsSecretsAreNotInTheFaultsAboutIt(t *testing.T) {
	t.Parallel()
	c := config.Default()
	c.Upstreams = []config.Upstream{{URL: "ftp://me:s3cret@host/v1"}, {URL: "http://me:s3cret@host:port%zz/v1"}}
	if err := c.Validate(); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v", err)
	}
}
