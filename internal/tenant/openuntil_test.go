package tenant_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"batchd/internal/tenant"
)

func openUntil(c *cabinet) *tenant.OpenUntilKeys {
	return tenant.NewOpenUntilKeys(tenant.Open{Tenant: "default"}, tenant.NewKeys(c, c.clock), slog.New(slog.DiscardHandler))
}

func TestWhileNoKeyExistsEveryCredentialIsIgnored(t *testing.T) {
	t.Parallel()
	c := newCabinet()
	auth := openUntil(c)
	for name, headers := range map[string][]string{
		"none":      nil,
		"any":       {"Authorization", "Bearer sk-whatever"},
		"two":       {"Authorization", "Bearer a", "X-Api-Key", "b"},
		"endless":   {"X-Api-Key", strings.Repeat("x", 1<<20)},
		"of no use": {"Authorization", "Basic \xff"},
	} {
		if who := admitted(t, auth, with(headers...)); who.Tenant != "default" || who.KeyID != "key_"+strings.Repeat("0", 32) {
			t.Errorf("%s: got %+v", name, who)
		}
	}
	if c.readCount() != 0 || c.looks != 1 {
		t.Errorf("the store was asked %d times whether there are keys, want once", c.looks)
	}
}

func TestTheFirstKeyClosesTheServerWithinFiveSeconds(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	c := newCabinet()
	auth := tenant.NewOpenUntilKeys(tenant.Open{Tenant: "default"}, tenant.NewKeys(c, c.clock),
		slog.New(slog.NewTextHandler(&logged, nil)))
	admitted(t, auth, with())
	text := tenant.Mint()
	c.add(text)
	c.pass(5 * time.Second)
	if fault := refusal(t, auth, with()); fault.Code != "missing_api_key" {
		t.Errorf("got %+v", fault)
	}
	refusal(t, auth, bearer("sk-whatever"))
	if who := admitted(t, auth, bearer(text)); who.Tenant != "t-1" {
		t.Errorf("got %+v", who)
	}
	if n := strings.Count(logged.String(), "\n"); n != 1 || !strings.Contains(logged.String(), "an API key exists now") {
		t.Errorf("logged %q, want one line", logged.String())
	}
}

func TestAServerThatDemandsKeysDoesSoForGood(t *testing.T) {
	t.Parallel()
	c := newCabinet()
	text := tenant.Mint()
	c.add(text)
	auth := openUntil(c)
	refusal(t, auth, with())
	c.mu.Lock()
	c.keys = nil
	c.mu.Unlock()
	c.pass(time.Hour)
	refusal(t, auth, with())
	if c.looks != 1 {
		t.Errorf("asked %d times whether there are keys; the answer cannot change", c.looks)
	}
}

func TestOpeningIsDecidedConcurrently(t *testing.T) {
	t.Parallel()
	c := newCabinet()
	auth := openUntil(c)
	var running sync.WaitGroup
	for i := range 8 {
		running.Go(func() {
			for n := range 200 {
				_, _ = auth.Authenticate(with()) // open or not: what counts comes after
				c.pass(100 * time.Millisecond)
				if i == 0 && n == 100 {
					c.add(tenant.Mint())
				}
			}
		})
	}
	running.Wait()
	c.pass(5 * time.Second)
	refusal(t, auth, with())
}
