package app_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"batchd/internal/admin"
	"batchd/internal/app"
	"batchd/internal/batch"
	"batchd/internal/config"
)

// administer uses the store of a data directory, making both if they are absent.
func administer(t *testing.T, cfg config.Config, use func(*admin.Service) error) {
	t.Helper()
	if err := app.Administer(t.Context(), cfg, app.Administration{Create: true}, use); err != nil {
		t.Fatal(err)
	}
}

// key makes a key in a data directory.
func key(t *testing.T, dir string, n admin.NewKey) admin.MintedKey {
	t.Helper()
	var k admin.MintedKey
	administer(t, config.Config{DataDir: dir}, func(a *admin.Service) (err error) {
		k, err = a.CreateKey(t.Context(), n)
		return err
	})
	return k
}

// addWebhook makes a webhook of the tenant default.
func addWebhook(t *testing.T, cfg config.Config, url string, events ...string) admin.SecretWebhook {
	t.Helper()
	var w admin.SecretWebhook
	administer(t, cfg, func(a *admin.Service) (err error) {
		w, err = a.AddWebhook(t.Context(), admin.NewWebhook{Tenant: "default", URL: url, Events: events})
		return err
	})
	return w
}

// Whoever reads the data directory, from a backup say, can call nothing with what is there.
func TestTheDataDirectoryDoesNotHoldTheKey(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "data")
	text := key(t, dir, admin.NewKey{Tenant: "acme"}).Text
	secret := text[len(text)-43:]
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) == 0 {
		t.Fatal(err, entries)
	}
	for _, e := range entries {
		raw, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(raw), secret) {
			t.Errorf("%s holds the secret", e.Name())
		}
	}
}

func TestADataDirectoryIsMadeOnlyWhereThatIsAskedFor(t *testing.T) {
	t.Parallel()
	absent := filepath.Join(t.TempDir(), "absent")
	err := app.Administer(t.Context(), config.Config{DataDir: absent}, app.Administration{}, func(*admin.Service) error {
		t.Error("it was used")
		return nil
	})
	var wrong *batch.Error
	if !errors.As(err, &wrong) || !strings.Contains(wrong.Message, "--data-dir") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(absent); err == nil {
		t.Error("looking made a data directory")
	}
}

func TestCommandsAtTheSameTimeMakeOneStoreWithOneTenant(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var running sync.WaitGroup
	owners := make([]string, 8)
	for i := range owners {
		running.Go(func() {
			err := app.Administer(t.Context(), config.Config{DataDir: dir}, app.Administration{Create: true}, func(a *admin.Service) error {
				k, err := a.CreateKey(t.Context(), admin.NewKey{Tenant: "acme"})
				owners[i] = k.Tenant
				return err
			})
			if err != nil {
				t.Errorf("create: %v", err)
			}
		})
	}
	running.Wait()
	for _, id := range owners {
		if id != owners[0] {
			t.Errorf("tenants %v, want one", owners)
		}
	}
	administer(t, config.Config{DataDir: dir}, func(a *admin.Service) error {
		keys, err := a.Keys(t.Context(), "")
		if len(keys) != len(owners) {
			t.Errorf("%d keys are left of %d: a store was replaced", len(keys), len(owners))
		}
		return err
	})
}
