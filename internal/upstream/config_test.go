package upstream_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"batchd/internal/upstream"
)

func TestNewRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	header := func(name, value string) upstream.Config {
		return upstream.Config{URL: "http://h/v1", Headers: map[string]string{name: value}}
	}
	cases := map[string]struct {
		config upstream.Config
		want   string
	}{
		"no scheme":                 {upstream.Config{URL: "host:8000/v1"}, "http://"},
		"another scheme":            {upstream.Config{URL: "ftp://h/v1"}, "http://"},
		"no host":                   {upstream.Config{URL: "http:///v1"}, "no host"},
		"only a port":               {upstream.Config{URL: "http://:80/v1"}, "no host"},
		"a fragment":                {upstream.Config{URL: "http://h/v1#x"}, "fragment"},
		"not a URL":                 {upstream.Config{URL: "http://u:secret@h:port/v1"}, "not a URL"},
		"CR and LF":                 {header("X-A", "b\r\nX-C: d"), "control"},
		"NUL":                       {header("X-A", "b\x00"), "control"},
		"8 KiB and one":             {header("X-A", strings.Repeat("a", 8<<10+1)), "8 KiB"},
		"a name in two":             {header("X A", "b"), "header name"},
		"no name":                   {header("", "b"), "header name"},
		"framing":                   {header("content-length", "5"), "may not be set"},
		"the line's name":           {header("idempotency-key", "x"), "may not be set"},
		"twice":                     {upstream.Config{URL: "http://h/v1", Headers: map[string]string{"x-a": "1", "X-A": "1"}}, "twice"},
		"an id header of two words": {upstream.Config{URL: "http://h/v1", RequestIDHeader: "X Id"}, "header name"},
		"an id header that frames":  {upstream.Config{URL: "http://h/v1", IdempotencyKeyHeader: "host"}, "something else"},
		"an id header for the key":  {upstream.Config{URL: "http://h/v1", RequestIDHeader: "authorization"}, "something else"},
		"an id header that is set": {
			upstream.Config{URL: "http://h/v1", RequestIDHeader: "X-A", Headers: map[string]string{"x-a": "1"}}, "something else",
		},
		"one header for both ids": {upstream.Config{URL: "http://h/v1", RequestIDHeader: "idempotency-key"}, "too"},
		"no key in the environment": {
			upstream.Config{URL: "http://h/v1", APIKey: upstream.KeyFromEnv("BATCHD_TEST_NO_SUCH_KEY")}, "BATCHD_TEST_NO_SUCH_KEY",
		},
		"no key in the file": {upstream.Config{URL: "http://h/v1", APIKey: upstream.KeyFromFile("/absent")}, "/absent"},
		"a key that ends the header": {
			upstream.Config{URL: "http://h/v1", APIKey: func() (string, error) { return "secret\r\nX: y", nil }}, "control",
		},
	}
	for name, tc := range cases {
		_, err := upstream.New(tc.config, upstream.Options{})
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error %v, want one with %q and no secret", name, err, tc.want)
		}
	}
}

func TestNamesShowNoSecret(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, upstream.Config{URL: "https://user:secret@host:8000/v1/?key=secret"}, upstream.Options{})
	for _, s := range []string{u.Name(), u.String(), fmt.Sprint(u)} {
		if s != "host:8000/v1" {
			t.Errorf("got %q", s)
		}
	}
}

func TestBasicAuthenticationComesFromTheURL(t *testing.T) {
	t.Parallel()
	var got string
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Get("Authorization")
		_, _ = io.WriteString(w, chatAnswer)
	})
	url = strings.Replace(url, "http://", "http://user:secret@", 1)
	call(t, newUpstream(t, upstream.Config{URL: url}, upstream.Options{}))
	if want := "Basic " + base64.StdEncoding.EncodeToString([]byte("user:secret")); got != want {
		t.Errorf("sent %q, want %q", got, want)
	}
}

func TestHeadersReplaceOurOwn(t *testing.T) {
	t.Parallel()
	var got http.Header
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		_, _ = io.WriteString(w, chatAnswer)
	})
	call(t, newUpstream(t, upstream.Config{
		URL: url, APIKey: func() (string, error) { return "sk", nil },
		Headers: map[string]string{"authorization": "Custom x", "user-agent": "me"},
	}, upstream.Options{}))
	if got.Get("Authorization") != "Custom x" || got.Get("User-Agent") != "me" {
		t.Errorf("sent %v", got)
	}
}

func TestLinesAreNamedInTheHeadersThatTheUpstreamTakes(t *testing.T) {
	t.Parallel()
	const key, id = "batch_1-7", "ID"
	for name, tc := range map[string]struct {
		config upstream.Config
		want   map[string]string
	}{
		"as usual":   {upstream.Config{}, map[string]string{"Idempotency-Key": key, "X-Request-Id": id}},
		"left out":   {upstream.Config{RequestIDHeader: "none", IdempotencyKeyHeader: "none"}, nil},
		"by others":  {upstream.Config{RequestIDHeader: "X-Trace", IdempotencyKeyHeader: "x-line"}, map[string]string{"X-Line": key, "X-Trace": id}},
		"as one":     {upstream.Config{RequestIDHeader: "Idempotency-Key", IdempotencyKeyHeader: "none"}, map[string]string{"Idempotency-Key": id}},
		"by the key": {upstream.Config{RequestIDHeader: "none", IdempotencyKeyHeader: "X-Request-Id"}, map[string]string{"X-Request-Id": key}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var seen []http.Header
			tc.config.URL = serve(t, func(w http.ResponseWriter, r *http.Request) {
				seen = append(seen, r.Header)
				_, _ = io.WriteString(w, chatAnswer)
			})
			u := newUpstream(t, tc.config, upstream.Options{})
			for _, k := range []string{key, key, "batch_1-8"} {
				c := chatRequest()
				c.Key = k
				read(t, u.Call(t.Context(), c))
			}
			for _, header := range []string{"Idempotency-Key", "X-Request-Id", "X-Line", "X-Trace"} {
				got := seen[0].Get(header)
				if same, other := seen[1].Get(header), seen[2].Get(header); got != same || got == other && got != "" {
					t.Errorf("%s: %q, then %q for the same line, %q for another", header, got, same, other)
				}
				if u, err := uuid.Parse(got); err == nil && u.Version() == 8 && u.Variant() == uuid.RFC4122 {
					got = id
				}
				if got != tc.want[header] {
					t.Errorf("%s: got %q, want %q", header, got, tc.want[header])
				}
			}
		})
	}
}

func TestKeyFromFileIsReadAgain(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "key")
	write := func(s string) {
		if err := os.WriteFile(file, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	source := upstream.KeyFromFile(file)
	for in, want := range map[string]string{"sk-1\n": "sk-1", " sk-2\r\n": "sk-2"} {
		write(in)
		if got, err := source(); got != want || err != nil {
			t.Errorf("%q: got %q, %v", in, got, err)
		}
	}
	write("\n")
	if got, err := source(); err == nil {
		t.Errorf("an empty file gave %q", got)
	}
}

func TestKeyFromEnv(t *testing.T) {
	t.Setenv("BATCHD_TEST_KEY", " sk-1 ")
	if got, err := upstream.KeyFromEnv("BATCHD_TEST_KEY")(); got != "sk-1" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestMetricsCountCallsByUpstreamAndResult(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	// These keep their connections: a second call over one that is being closed might be lost.
	kept := func(answer string) func(net.Conn, *http.Request) {
		return func(c net.Conn, _ *http.Request) { _, _ = io.WriteString(c, answer) }
	}
	good := newUpstream(t, upstream.Config{URL: listen(t, kept(reply(200, chatAnswer)))}, upstream.Options{Registerer: reg})
	full := newUpstream(t, upstream.Config{URL: listen(t, raw(reply(503, "")))}, upstream.Options{Registerer: reg})
	closed := newUpstream(t, upstream.Config{URL: listen(t, kept(reply(403, "")))}, upstream.Options{Registerer: reg})
	for _, u := range []*upstream.Upstream{good, good, full, closed, closed} {
		call(t, u)
	}
	got := values(t, reg)
	for metric, want := range map[string]float64{
		"batchd_upstream_calls_total{served," + good.Name() + "}":   2,
		"batchd_upstream_calls_total{no_room," + good.Name() + "}":  0,
		"batchd_upstream_calls_total{no_room," + full.Name() + "}":  1,
		"batchd_upstream_calls_total{denied," + closed.Name() + "}": 2,
		"batchd_upstream_call_seconds{" + good.Name() + "}":         2,
	} {
		if v, ok := got[metric]; !ok || v != want {
			t.Errorf("%s: got %v (present: %v), want %v", metric, v, ok, want)
		}
	}
}

// values returns all metrics by name and label values; of histograms the number of observations.
func values(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			v := m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			out[f.GetName()+"{"+strings.Join(labels, ",")+"}"] = v
		}
	}
	return out
}
