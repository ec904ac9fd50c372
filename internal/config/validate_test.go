package config_test

import (
	"strings"
	"testing"

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
		"no data folder":     {func(c *config.Config) { c.DataDir = "" }, "data_dir: is empty"},
		"address":            {func(c *config.Config) { c.Listen = "8080" }, `listen: want HOST:PORT like 127.0.0.1:8080, got "8080"`},
		"port":               {func(c *config.Config) { c.Listen = "a:99999" }, "listen: want HOST:PORT"},
		"metrics address":    {func(c *config.Config) { c.Metrics.Listen = "x" }, "metrics.listen: want HOST:PORT"},
		"certificate alone":  {func(c *config.Config) { c.TLS.Cert = "a" }, "tls.key: is missing"},
		"key alone":          {func(c *config.Config) { c.TLS.Key = "a" }, "tls.cert: is missing"},
		"database":           {func(c *config.Config) { c.Store = "postgres://x" }, "store: not available in this version"},
		"object store":       {func(c *config.Config) { c.Blobs = "s3://x" }, "blobs: not available in this version"},
		"role of later":      {func(c *config.Config) { c.Role = "worker" }, "role: worker is not available in this version"},
		"unknown role":       {func(c *config.Config) { c.Role = "boss" }, `role: want all, got "boss"`},
		"auth mode":          {func(c *config.Config) { c.Auth.Mode = "some" }, "auth.mode: want keys or none"},
		"dialect":            {func(c *config.Config) { c.Dialect.Default = "novita" }, "dialect.default: \"novita\" is not available"},
		"dialect of a host":  {func(c *config.Config) { c.Dialect.Hosts = map[string]string{"h": "x"} }, "dialect.hosts.h: \"x\" is not available"},
		"log level":          {func(c *config.Config) { c.Log.Level = "loud" }, "log.level: want debug or info or warn or error"},
		"log format":         {func(c *config.Config) { c.Log.Format = "xml" }, "log.format: want text or json"},
		"window":             {func(c *config.Config) { c.Windows = []string{"24H"} }, `windows: window "24H": want a whole number`},
		"no window":          {func(c *config.Config) { c.Windows = nil }, "windows: is empty"},
		"endpoint":           {func(c *config.Config) { c.Endpoints = []string{"chat"} }, "endpoints: want a path like"},
		"lines below zero":   {func(c *config.Config) { c.Limits.MaxLines = -1 }, "limits.max_lines: is below zero"},
		"no bytes in a file": {func(c *config.Config) { c.Limits.MaxFileBytes = 0 }, "limits.max_file_bytes: want more"},
		"no grace":           {func(c *config.Config) { c.ShutdownGrace = 0 }, "shutdown_grace: want more"},
		"two keys":           {upstream(config.Upstream{URL: "http://a", APIKeyEnv: "A", APIKeyFile: "b"}), "upstreams[1]: has both"},
		"concurrency":        {upstream(config.Upstream{URL: "http://a", Concurrency: -1}), "upstreams[1].concurrency: want a number"},
		"scheme":             {upstream(config.Upstream{URL: "gpu:8000"}), "upstreams[1].url: want the base URL"},
		"no host":            {upstream(config.Upstream{URL: "http:///v1"}), "upstreams[1].url: want the base URL"},
		"no url":             {upstream(config.Upstream{}), "upstreams[1].url: want the base URL"},
		"empty model":        {upstream(config.Upstream{URL: "sim", Models: []string{""}}), "upstreams[1].models: holds an empty name"},
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
