package app_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"batchd/internal/admin"
	"batchd/internal/app"
	"batchd/internal/batch"
	"batchd/internal/config"
	"batchd/internal/store"
)

// journal is a log that may be read while it is written.
type journal struct {
	// mu guards following field.
	mu   sync.Mutex
	text bytes.Buffer
}

// Write takes lines of the log.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) said(words string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Contains(j.text.String(), words)
}

// guarded returns settings of a server on some port of a host.
func guarded(t *testing.T, host string) config.Config {
	t.Helper()
	cfg := config.Default()
	cfg.Listen, cfg.DataDir = host+":0", filepath.Join(t.TempDir(), "data")
	cfg.Upstreams = []config.Upstream{{URL: config.Simulator, Concurrency: 1}}
	return cfg
}

// serving runs a server until the test ends, and returns the URL of its file list and its log.
func serving(t *testing.T, cfg config.Config) (files string, log *journal) {
	t.Helper()
	log = &journal{}
	ctx, stop := context.WithCancel(context.Background())
	at, failed := make(chan net.Addr, 1), make(chan error, 1)
	var running sync.WaitGroup
	running.Go(func() {
		failed <- app.Serve(ctx, cfg, slog.New(slog.NewTextHandler(log, nil)), func(a net.Addr) { at <- a })
	})
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	select {
	case a := <-at:
		_, port, err := net.SplitHostPort(a.String())
		if err != nil {
			t.Fatal(err)
		}
		return "http://127.0.0.1:" + port + "/v1/files", log
	case err := <-failed:
		t.Fatalf("the server did not start: %v", err)
		return "", nil
	}
}

// answer returns the status of a call with a key, or without one.
func answer(t *testing.T, url, text string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if text != "" {
		r.Header.Set("Authorization", "Bearer "+text)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// soon waits until a call with a key is answered with a status: what a command changes is seen within five seconds.
func soon(t *testing.T, url, text string, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // five, and a machine with other things to do
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for answer(t, url, text) != want {
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("the answer is still not %d", want)
		}
	}
}

func TestOnLoopbackTheFirstKeyClosesTheServer(t *testing.T) {
	t.Parallel()
	cfg := guarded(t, "127.0.0.1")
	url, log := serving(t, cfg)
	if !log.said("no API keys exist: every program on this machine is let in") {
		t.Error("the log does not say that everybody is let in")
	}
	for _, text := range []string{"", "sk-anything"} {
		if status := answer(t, url, text); status != http.StatusOK {
			t.Errorf("key %q: status %d", text, status)
		}
	}
	k := key(t, cfg.DataDir, admin.NewKey{Tenant: "acme"})
	soon(t, url, "", http.StatusUnauthorized)
	if status := answer(t, url, k.Text); status != http.StatusOK {
		t.Errorf("with the key: status %d", status)
	}
	if status := answer(t, url, "sk-anything"); status != http.StatusUnauthorized {
		t.Errorf("with another: status %d", status)
	}
}

// refusal returns why a server does not start. One that starts after all is a fault, and is stopped at once.
func refusal(t *testing.T, cfg config.Config) error {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	return app.Serve(ctx, cfg, slog.New(slog.DiscardHandler), func(at net.Addr) {
		t.Errorf("it serves %s", at)
		stop()
	})
}

func TestWithoutKeysNoNetworkIsServed(t *testing.T) {
	t.Parallel()
	cfg := guarded(t, "0.0.0.0")
	refuse := func() {
		t.Helper()
		err := refusal(t, cfg)
		var wrong *batch.Error
		if !errors.As(err, &wrong) || !strings.Contains(wrong.Message, "batchd keys create") || !strings.Contains(wrong.Message, "--no-auth") {
			t.Errorf("got %v, want both ways out", err)
		}
	}
	refuse()
	if _, err := os.Stat(cfg.DataDir); err == nil {
		t.Error("a server that refused to start made its data directory")
	}
	// Nor with a directory that never had a key.
	local := cfg
	local.Listen = "127.0.0.1:0"
	stopped, stop := context.WithCancel(t.Context())
	if err := app.Serve(stopped, local, slog.New(slog.DiscardHandler), func(net.Addr) { stop() }); err != nil {
		t.Fatal(err)
	}
	refuse()

	k := key(t, cfg.DataDir, admin.NewKey{Tenant: "acme"})
	url, _ := serving(t, cfg)
	if got := [2]int{answer(t, url, ""), answer(t, url, k.Text)}; got != [2]int{401, 200} {
		t.Errorf("without and with the key: %v", got)
	}
}

func TestWithoutAuthEverybodyIsLetInWhateverKeysThereAre(t *testing.T) {
	t.Parallel()
	cfg := guarded(t, "0.0.0.0")
	cfg.Auth.Mode = "none"
	key(t, cfg.DataDir, admin.NewKey{Tenant: "acme"})
	url, log := serving(t, cfg)
	if status := answer(t, url, "sk-anything"); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	if !log.said("no API key is asked for") {
		t.Error("the log does not say that everybody is let in")
	}
}

func TestTheEnvironmentsKeyIsTheDefaultTenants(t *testing.T) {
	t.Parallel()
	const text = "correct-horse-battery-staple"
	cfg := guarded(t, "0.0.0.0")
	cfg.Auth.BootstrapKey = text
	url, log := serving(t, cfg)
	if got := [2]int{answer(t, url, ""), answer(t, url, text)}; got != [2]int{401, 200} {
		t.Errorf("without and with the key: %v", got)
	}
	if log.said(text) || !log.said("API key created from the environment") {
		t.Error("the log does not say that there is a key now, or says too much")
	}
	administer(t, cfg, func(a *admin.Service) error {
		keys, err := a.Keys(t.Context(), "")
		if len(keys) != 1 || keys[0].TenantName != "default" {
			t.Errorf("got %+v", keys)
		}
		return err
	})
}

func TestTheEnvironmentsKeyMustBeHardToGuess(t *testing.T) {
	t.Parallel()
	cfg := guarded(t, "127.0.0.1")
	cfg.Auth.BootstrapKey = "pass word"
	err := refusal(t, cfg)
	var wrong *batch.Error
	if !errors.As(err, &wrong) || !strings.HasPrefix(wrong.Message, "BATCHD_BOOTSTRAP_KEY has a space") || strings.Contains(err.Error(), "pass word") {
		t.Errorf("got %v", err)
	}
}

// TestOnANetworkOnlyAdminsReadTheMetrics holds for the address of the API; metrics.listen is for whoever reaches it.
func TestOnANetworkOnlyAdminsReadTheMetrics(t *testing.T) {
	t.Parallel()
	cfg := guarded(t, "0.0.0.0")
	plain := key(t, cfg.DataDir, admin.NewKey{Tenant: "acme"})
	operator := key(t, cfg.DataDir, admin.NewKey{Role: store.RoleAdmin})
	files, _ := serving(t, cfg)
	metrics := strings.TrimSuffix(files, "/v1/files") + "/metrics"
	if got := [3]int{answer(t, metrics, ""), answer(t, metrics, plain.Text), answer(t, metrics, operator.Text)}; got != [3]int{401, 403, 200} {
		t.Errorf("without a key, with a tenant's, with an admin's: %v", got)
	}
	// A revoked admin is none within seconds.
	upstreams := strings.TrimSuffix(files, "/v1/files") + "/batchd/v1/batches?tenant=acme"
	if status := answer(t, upstreams, operator.Text); status != http.StatusOK {
		t.Errorf("an admin acts for a tenant: status %d", status)
	}
	administer(t, cfg, func(a *admin.Service) error {
		_, _, err := a.RevokeKey(t.Context(), operator.ID)
		return err
	})
	soon(t, metrics, operator.Text, http.StatusUnauthorized)
	if status := answer(t, upstreams, operator.Text); status != http.StatusUnauthorized {
		t.Errorf("a revoked admin acts for a tenant: status %d", status)
	}
}

// TestWithoutKeysTheMachineActsForAnyTenantAndANetworkForNone calls servers that ask for no key, on data with two tenants.
func TestWithoutKeysTheMachineActsForAnyTenantAndANetworkForNone(t *testing.T) {
	t.Parallel()
	for listen, want := range map[string]int{"127.0.0.1": http.StatusOK, "0.0.0.0": http.StatusForbidden} {
		cfg := guarded(t, listen)
		cfg.Auth.Mode = "none"
		key(t, cfg.DataDir, admin.NewKey{Tenant: "acme"})
		files, _ := serving(t, cfg)
		if got := [2]int{answer(t, files+"?tenant=acme", ""), answer(t, files+"?tenant=default", "")}; got != [2]int{want, 200} {
			t.Errorf("%s: for another tenant and its own: %v, want %d", listen, got, want)
		}
		if got := answer(t, files+"/file-1/content?tenant=acme", ""); got != http.StatusForbidden {
			t.Errorf("%s: another tenant's content: status %d", listen, got)
		}
	}
}

// TestB09OtherNamesAndWebPagesAreRefusedWithoutKeys calls a server as a browser does that a foreign page makes do it.
func TestB09OtherNamesAndWebPagesAreRefusedWithoutKeys(t *testing.T) {
	t.Parallel()
	cfg := guarded(t, "127.0.0.1")
	cfg.AllowedHosts = []string{"*.example.com"}
	cfg.Dialect.Hosts = map[string]string{"novita.test:8080": "novita"}
	files, _ := serving(t, cfg)
	base := strings.TrimSuffix(files, "/v1/files")
	call := func(method, path, host, origin string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	for _, prefix := range []string{"/v1", "/openai/v1", "/neosantara/v1", "/batchd/v1"} {
		if got := call("GET", prefix+"/files", "evil.test", ""); got != http.StatusMisdirectedRequest {
			t.Errorf("%s under another name: status %d", prefix, got)
		}
		if got := call("POST", prefix+"/batches", "localhost", "http://evil.test"); got != http.StatusForbidden {
			t.Errorf("%s from another site: status %d", prefix, got)
		}
	}
	for _, host := range []string{"localhost", "[::1]", "a.example.com", "novita.test"} {
		if got := call("GET", "/v1/files", host, ""); got != http.StatusOK {
			t.Errorf("%s: status %d", host, got)
		}
	}
	if got := [3]int{call("GET", "/metrics", "evil.test", ""), call("GET", "/metrics", "localhost", "http://evil.test"), call("GET", "/metrics", "localhost", "")}; got != [3]int{421, 403, 200} {
		t.Errorf("metrics: %v", got)
	}
	if got := [2]int{call("GET", "/healthz", "evil.test", ""), call("GET", "/readyz", "evil.test", "http://evil.test")}; got != [2]int{200, 200} {
		t.Errorf("health: %v", got)
	}
}
