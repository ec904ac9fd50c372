package tenant_test

import (
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"batchd/internal/batch"
	"batchd/internal/tenant"
)

func TestB09AKeylessServerAnswersToItsOwnNamesOnly(t *testing.T) {
	t.Parallel()
	const passes = batch.Class(-1)
	for _, c := range []struct {
		host, origin, site string
		want               batch.Class
	}{
		{"localhost:8080", "", "", passes},
		{"LocalHost", "", "", passes},
		{"127.0.0.1:8080", "", "", passes},
		{"203.0.113.7", "", "", passes},
		{"[::1]:8080", "", "", passes},
		{"[fe80::1]", "", "", passes},
		{"gpu-1:8080", "", "", passes},
		{"GPU-1", "", "", passes},
		{"batch.example.com", "", "", passes},
		{"batch.example.com:8443", "", "", passes},
		{"a.b.lab.example.com", "", "", passes},

		{"evil.example", "", "", batch.Misdirected},
		{"evil.example:8080", "", "", batch.Misdirected},
		{"lab.example.com", "", "", batch.Misdirected},
		{"evillab.example.com", "", "", batch.Misdirected},
		{"batch.example.com.evil.example", "", "", batch.Misdirected},
		{"x.localhost", "", "", batch.Misdirected},
		{"localhost.evil.example", "", "", batch.Misdirected},
		{"127.0.0.1.evil.example", "", "", batch.Misdirected},
		{"0x7f.1", "", "", batch.Misdirected},
		{"", "", "", batch.Misdirected},
		{"evil.example", "http://evil.example", "same-origin", batch.Misdirected},

		{"localhost:8080", "http://localhost:8080", "same-origin", passes},
		{"localhost:8080", "", "none", passes},
		{"localhost:8080", "", "same-origin", passes},
		{"localhost:8080", "https://batch.example.com", "cross-site", passes},
		{"127.0.0.1:8080", "https://page.lab.example.com:3000", "", passes},
		{"[::1]:8080", "http://[::1]:8080", "", passes},

		{"localhost:8080", "", "cross-site", batch.Forbidden},
		{"localhost:8080", "http://evil.example", "", batch.Forbidden},
		{"localhost:8080", "http://localhost:3000", "same-site", batch.Forbidden},
		{"127.0.0.1:8080", "http://203.0.113.7", "", batch.Forbidden},
		{"localhost:8080", "null", "", batch.Forbidden},
		{"localhost:8080", "http://localhost:8080.evil.example", "", batch.Forbidden},
		{"localhost:8080", "%", "", batch.Forbidden},
	} {
		r := httptest.NewRequest("POST", "/v1/files", nil)
		r.Host = c.host
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		if c.site != "" {
			r.Header.Set("Sec-Fetch-Site", c.site)
		}
		open := tenant.Open{Tenant: "t", Hosts: tenant.NewHosts("gpu-1:8080", "Batch.example.com", "*.lab.example.com")}
		_, err := open.Authenticate(r)
		got := passes
		var fault *batch.Error
		if errors.As(err, &fault) {
			got = fault.Class
			if !strings.Contains(fault.Message, c.origin) && c.want == batch.Forbidden || !strings.Contains(fault.Message, "allowed_hosts") {
				t.Errorf("%+v: the refusal does not say what to do: %s", c, fault.Message)
			}
			if c.want == batch.Misdirected && !strings.Contains(fault.Message, "'"+c.host+"'") {
				t.Errorf("%+v: the refusal does not name the host: %s", c, fault.Message)
			}
		}
		if got != c.want {
			t.Errorf("%+v: got %v", c, err)
		}
	}
}

func TestB09RefusalsStayShort(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("GET", "/v1/files", nil)
	r.Host = strings.Repeat("x", 10_000) + "\xff"
	_, err := tenant.Open{Hosts: tenant.NewHosts("127.0.0.1:8080")}.Authenticate(r)
	if err == nil || len(err.Error()) > 400 {
		t.Errorf("got %v", err)
	}
}

func TestB09NamesDoNotMatterOnceKeysAreAskedFor(t *testing.T) {
	t.Parallel()
	c := newCabinet()
	open := tenant.Open{Tenant: "default", Hosts: tenant.NewHosts("127.0.0.1:8080")}
	auth := tenant.NewOpenUntilKeys(open, tenant.NewKeys(c, c.clock), slog.New(slog.DiscardHandler))
	text := tenant.Mint()
	call := bearer(text)
	call.Host = "batch.example.com"
	var fault *batch.Error
	if _, err := auth.Authenticate(call); !errors.As(err, &fault) || fault.Class != batch.Misdirected {
		t.Errorf("without keys: got %v", err)
	}
	c.add(text)
	c.pass(5 * time.Second)
	if who := admitted(t, auth, call); who.Tenant != "t-1" {
		t.Errorf("with its key: got %+v", who)
	}
}
