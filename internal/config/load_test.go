package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"batchd/internal/batch"
	"batchd/internal/config"
	"batchd/internal/dialect"

	"github.com/google/go-cmp/cmp"
)

// write puts a configuration file into a temporary directory.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "batchd.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, src config.Source) config.Config {
	t.Helper()
	c, err := config.Load(src)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNothingToldGivesTheDefaults(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"no file": "", "empty file": "\n", "comments only": "# listen: x\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src := config.Source{Environ: []string{"HOME=/root", "BATCHD_SERVER=http://other"}}
			if text != "" {
				src.File = write(t, text)
			}
			c := load(t, src)
			if diff := cmp.Diff(config.Default(), c); diff != "" {
				t.Errorf("other than the defaults (-want +got):\n%s", diff)
			}
			if err := c.Validate(); err != nil {
				t.Errorf("the defaults are refused: %v", err)
			}
		})
	}
}

func TestEveryKeyIsReadFromAFile(t *testing.T) {
	t.Parallel()
	path := write(t, `
listen: 0.0.0.0:9090
allowed_hosts: [batch.example.com, "*.lab.example.com", "fd00::1"]
data_dir: /var/lib/batchd
role: all
auth:
  mode: none
tls: {cert: a.pem, key: b.pem}
http:
  max_connections: 500
  max_connections_per_address: 20
  min_upload_rate: 2KiB
  upload_timeout: 10s
  send_timeout: 1m
upstreams:
  - url: http://user:secret@gpu:8000/v1
    models: [small, large]
    concurrency: 16
    api_key_env: GPU_KEY
    headers:
      X-Team: search
    request_id_header: X-Trace-Id
    idempotency_key_header: none
    timeouts: {dial: 3s, first_byte: 1h}
  - url: sim
    shared: true
upstream_timeouts:
  dial: 5s
  tls: 6s
  first_byte: 20m
  idle: 1m
  total: 2h
allow_mixed_models: true
endpoints: [/v1/classify]
windows: [30m, 7d]
limits:
  max_lines: 1000
  max_file_bytes: 200MB
  max_line_bytes: 1MiB
  max_response_bytes: 4096
cancel_grace: 30s
shutdown_grace: 1m30s
shutdown_delay: 10s
retention:
  input: 7d
  output: "0"
scrub:
  every: 1d
  rate: 4MiB
dialect:
  default: openai
  hosts:
    api.example.com: novita
openai: {missing_file: fail_batch}
novita: {strict: true, status_case: lower, time_zone: "+08:00"}
neosantara: {strict: true, cancelled_spelling: canceled}
webhooks:
  allow: [10.0.0.0/8, "fd00::/8"]
  timeout: 30s
  first_pause: 10s
  longest_pause: 1h
  retry_for: 7d
log:
  level: debug
  format: json
metrics:
  listen: 127.0.0.1:9100
`)
	got := load(t, config.Source{File: path, Environ: []string{"GPU_KEY=k"}})
	want := config.Config{
		Listen: "0.0.0.0:9090", DataDir: "/var/lib/batchd", Role: "all", Auth: config.Auth{Mode: "none"},
		AllowedHosts: []string{"batch.example.com", "*.lab.example.com", "fd00::1"},
		TLS:          config.TLS{Cert: "a.pem", Key: "b.pem"},
		HTTP: config.HTTP{
			MaxConnections: 500, MaxConnectionsPerAddress: 20, MinUploadRate: 2 * batch.KiB,
			UploadTimeout: 10 * time.Second, SendTimeout: time.Minute,
		},
		UpstreamTimeouts: config.Timeouts{
			Dial: 5 * time.Second, TLS: 6 * time.Second, FirstByte: 20 * time.Minute, Idle: time.Minute, Total: 2 * time.Hour,
		},
		Upstreams: []config.Upstream{
			{
				URL: "http://user:secret@gpu:8000/v1", Models: []string{"small", "large"}, Concurrency: 16,
				APIKeyEnv: "GPU_KEY", Headers: map[string]string{"X-Team": "search"},
				RequestIDHeader: "X-Trace-Id", IdempotencyKeyHeader: config.NoHeader,
				Timeouts: config.Timeouts{Dial: 3 * time.Second, FirstByte: time.Hour},
			},
			{URL: "sim", Shared: true},
		},
		AllowMixedModels: true, Endpoints: []string{"/v1/classify"}, Windows: []string{"30m", "7d"},
		Limits: batch.Limits{
			MaxLines: 1000, MaxFileBytes: 200_000_000, MaxLineBytes: batch.MiB, MaxResponseBytes: 4096,
		},
		InFlightMemory: 256 * batch.MiB, CancelGrace: 30 * time.Second, ShutdownGrace: 90 * time.Second, ShutdownDelay: 10 * time.Second,
		Retention: config.Retention{Input: 7 * 24 * time.Hour},
		Scrub:     config.Scrub{Every: 24 * time.Hour, Rate: 4 * batch.MiB},
		Dialect:   config.Dialect{Default: "openai", Hosts: map[string]string{"api.example.com": "novita"}},
		Vendors: map[string]dialect.Settings{
			"openai":     {"strict": "false", "missing_file": "fail_batch"},
			"novita":     {"strict": "true", "status_case": "lower", "time_zone": "+08:00"},
			"neosantara": {"strict": "true", "cancelled_spelling": "canceled"},
		},
		Webhooks: config.Webhooks{
			Allow: []string{"10.0.0.0/8", "fd00::/8"}, Timeout: 30 * time.Second, FirstPause: 10 * time.Second,
			LongestPause: time.Hour, RetryFor: 7 * 24 * time.Hour,
		},
		Log: config.Log{Level: "debug", Format: "json"}, Metrics: config.Metrics{Listen: "127.0.0.1:9100"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if err := got.Validate(); err != nil {
		t.Errorf("refused: %v", err)
	}
}

func TestLaterSourcesWin(t *testing.T) {
	t.Parallel()
	path := write(t, "listen: 127.0.0.1:1\ndata_dir: file\nlog: {level: debug}\n")
	c := load(t, config.Source{
		File:    path,
		Environ: []string{"BATCHD_LISTEN=127.0.0.1:2", "BATCHD_DATA_DIR=environment", "BATCHD_LIMITS_MAX_LINES=7", "BATCHD_UPSTREAM_TIMEOUTS_FIRST_BYTE=3m", "BATCHD_HTTP_SEND_TIMEOUT=9s", "BATCHD_ALLOWED_HOSTS=a.test, *.b.test"},
		Flags:   []config.Flag{{Name: "--listen", Key: "listen", Values: []string{"127.0.0.1:3"}}},
	})
	if diff := cmp.Diff([]string{"a.test", "*.b.test"}, c.AllowedHosts); diff != "" {
		t.Errorf("allowed hosts (-want +got):\n%s", diff)
	}
	if c.UpstreamTimeouts.FirstByte != 3*time.Minute || c.HTTP.SendTimeout != 9*time.Second {
		t.Errorf("got timeouts %+v, %+v", c.UpstreamTimeouts, c.HTTP)
	}
	if c.Listen != "127.0.0.1:3" || c.DataDir != "environment" || c.Log.Level != "debug" || c.Limits.MaxLines != 7 {
		t.Errorf("got listen %s, data_dir %s, level %s, lines %d", c.Listen, c.DataDir, c.Log.Level, c.Limits.MaxLines)
	}
}

func TestUpstreamsOfALaterSourceReplaceAll(t *testing.T) {
	t.Parallel()
	path := write(t, "upstreams:\n  - url: http://file/v1\n    concurrency: 2\n")
	flag := config.Flag{Name: "--upstream", Key: "upstreams", Values: []string{"http://a/v1?x=1,2", "sim"}}
	for name, c := range map[string]struct {
		environ []string
		flags   []config.Flag
		want    []config.Upstream
	}{
		"environment": {
			environ: []string{"BATCHD_UPSTREAMS=http://a/v1, http://b/v1"},
			want:    []config.Upstream{{URL: "http://a/v1"}, {URL: "http://b/v1"}},
		},
		"concurrency for all": {
			environ: []string{"BATCHD_CONCURRENCY=9"},
			want:    []config.Upstream{{URL: "http://file/v1", Concurrency: 9}},
		},
		"flags with a comma, concurrency from the environment": {
			environ: []string{"BATCHD_CONCURRENCY=9"}, flags: []config.Flag{flag},
			want: []config.Upstream{{URL: "http://a/v1?x=1,2", Concurrency: 9}, {URL: "sim", Concurrency: 9}},
		},
		"a key for all but the simulator": {
			environ: []string{"KEY=k"},
			flags:   []config.Flag{flag, {Name: "--upstream-key-env", Key: "upstream_key_env", Values: []string{"KEY"}}},
			want:    []config.Upstream{{URL: "http://a/v1?x=1,2", APIKeyEnv: "KEY"}, {URL: "sim"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := load(t, config.Source{File: path, Environ: c.environ, Flags: c.flags})
			if diff := cmp.Diff(c.want, got.Upstreams, cmp.Transformer("fields", fields)); diff != "" {
				t.Errorf("upstreams (-want +got):\n%s", diff)
			}
		})
	}
}

// fields shows an upstream to cmp without its String method, which hides what is compared.
func fields(u config.Upstream) []any {
	return []any{u.URL, u.Models, u.Concurrency, u.APIKeyEnv, u.APIKeyFile, u.Headers, u.RequestIDHeader, u.IdempotencyKeyHeader, u.Timeouts}
}

func TestFaultsAreReportedAllAtOnceWithTheirPlace(t *testing.T) {
	t.Parallel()
	path := write(t, `listen: 127.0.0.1:8080
limits:
  max_lines: many
  max_linse: 5
retention: 7d
novita:
  windows: [1h]
concurrency: 5
upstreams:
  - url: http://a/v1
    rpm: 60
    concurrency: many
    weight: 3
    request_id_header: ""
    timeouts: {dial: 0s}
  - url: http://b/v1
    timeouts: {first: 1m}
  - url: http://c/v1
    timeouts: {total: soon}
  - url: http://d/v1
    timeouts: 5m
http: {max_connections: 0, max_connections_per_address: -1, min_upload_rate: fast}
`)
	_, err := config.Load(config.Source{
		File: path, Environ: []string{"BATCHD_CANCEL_GRACE=soon"},
		Flags: []config.Flag{
			{Name: "--concurrency", Key: "concurrency", Values: []string{"0"}},
			{Name: "--upstream-key-env", Key: "upstream_key_env", Values: []string{"ABSENT"}},
		},
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		path + `:3:3: limits.max_lines: want a whole number, got "many"`,
		path + ":4:3: limits.max_linse: unknown key",
		path + ":5:12: retention: want a mapping of keys to values",
		path + ":7:3: novita.windows: unknown key",
		path + ":8:1: concurrency: unknown key; it belongs to each entry of upstreams",
		path + ":11:5: upstreams[0].rpm: not available yet",
		path + `:12:5: upstreams[0].concurrency: want auto or a whole number, got "many"`,
		path + ":13:5: upstreams[0].weight: unknown key",
		path + ":14:5: upstreams[0].request_id_header: is empty; name a header, or write none to leave it out",
		path + ":15:5: upstreams[0].timeouts: dial: want more than nothing",
		path + ":17:5: upstreams[1].timeouts: first: unknown key; there are dial, tls, first_byte, idle and total",
		path + `:19:5: upstreams[2].timeouts: total: want a length of time like 60s, 24h or 7d, got "soon"`,
		path + ":21:5: upstreams[3].timeouts: want NAME=VALUE pairs",
		path + ":22:8: http.max_connections: want a number from 1 to 100000, got 0",
		path + `:22:28: http.max_connections_per_address: want a whole number, or 0 for any number, got "-1"`,
		path + `:22:61: http.min_upload_rate: want a size`,
		`BATCHD_CANCEL_GRACE: want a length of time like 60s, 24h or 7d, got "soon"`,
		"--concurrency: want a number from 1 to 100000, got 0",
		"upstreams[0].api_key_env: environment variable ABSENT is empty or not set",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no line %q in:\n%v", want, err)
		}
	}
}

func TestMalformedFilesAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"not YAML":         {"listen: [1\n", "batchd.yaml: ["},
		"a list":           {"- listen\n", ":1:1: want a mapping"},
		"a word":           {"listen\n", ":1:1: want a mapping"},
		"a key twice":      {"listen: a\nlisten: b\n", "listen"},
		"no value":         {"listen:\n", "listen: has no value"},
		"a nested value":   {"listen:\n  host: a\n", "listen: want a single value"},
		"an alias":         {"tls:\n  cert: &a x\n  key: *a\n", "tls.key: has no value that is understood"},
		"a second one":     {"listen: a:1\n---\nlisten: b:2\n", "a second document"},
		"deep list":        {"windows: [[1h]]\n", "windows: want a list of plain values"},
		"mixed upstreams":  {"upstreams:\n  - url: sim\n  - sim\n", "upstreams[1]: want a mapping"},
		"deep header":      {"upstreams:\n  - url: sim\n    headers: {a: [b]}\n", "upstreams[0].headers: a: want a plain value"},
		"section as value": {"tls: x\n", "tls: want a mapping"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(config.Source{File: write(t, c.text)})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
	if _, err := config.Load(config.Source{File: filepath.Join(t.TempDir(), "absent.yaml")}); err == nil {
		t.Error("a file that is not there was accepted")
	}
}

func TestAnyWindowIsTakenUnlessSomeAreNamed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"listen: 127.0.0.1:1\n": true, "windows: [1h, 24h, 48h, 7d]\n": false, "openai: {strict: true}\n": false,
	} {
		if got := load(t, config.Source{File: write(t, text)}).AnyWindow; got != want {
			t.Errorf("%q: any window is taken: %v", text, got)
		}
	}
}

func TestOpenAIStrictGivesItsLimitsUnlessToldOtherwise(t *testing.T) {
	t.Parallel()
	c := load(t, config.Source{File: write(t, "limits: {max_lines: 10}\nopenai: {strict: true}\n")})
	if c.Limits.MaxLines != 10 {
		t.Errorf("got %d lines, want the 10 that were asked for", c.Limits.MaxLines)
	}
	if c.Limits.MaxFileBytes != 200*batch.MiB || c.Retention.Output != 30*24*time.Hour {
		t.Errorf("got %d bytes and a TTL of %s", c.Limits.MaxFileBytes, c.Retention.Output)
	}
	if diff := cmp.Diff([]string{"24h"}, c.Windows); diff != "" || c.AnyWindow {
		t.Errorf("any window: %v; windows (-want +got):\n%s", c.AnyWindow, diff)
	}
}

func TestAnUpstreamsOwnTimeoutsStandOverThoseOfAll(t *testing.T) {
	t.Parallel()
	own := config.Timeouts{Dial: time.Second, Total: time.Minute}
	want := config.Default().UpstreamTimeouts
	want.Dial, want.Total = time.Second, time.Minute
	if got := own.Over(config.Default().UpstreamTimeouts); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
