package app_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/app"
	"batchd/internal/tenant"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// key makes a key in a data folder.
func key(t *testing.T, dir string, n app.NewKey) app.MintedKey {
	t.Helper()
	k, err := app.CreateKey(t.Context(), dir, n, noon)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// states returns the states of all keys at a time, by id.
func states(t *testing.T, dir string, now time.Time) map[string]app.KeyState {
	t.Helper()
	keys, err := app.ListKeys(t.Context(), dir, "", now)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]app.KeyState)
	for _, k := range keys {
		found[k.ID] = k.State
	}
	return found
}

func TestAKeyComesWithItsTenantAndItsFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "data")
	first := key(t, dir, app.NewKey{Tenant: "acme", Dialect: "novita", ExpiresAt: noon.Add(time.Hour)})
	second := key(t, dir, app.NewKey{Tenant: "acme"})
	other := key(t, dir, app.NewKey{Tenant: "default"})
	if !first.TenantIsNew || second.TenantIsNew || other.TenantIsNew {
		t.Errorf("new tenants: %v, %v, %v, want only the first", first.TenantIsNew, second.TenantIsNew, other.TenantIsNew)
	}
	if first.TenantID != second.TenantID || first.TenantID == other.TenantID {
		t.Errorf("tenants %s, %s and %s", first.TenantID, second.TenantID, other.TenantID)
	}
	if first.ID != tenant.IDOf(first.Text) {
		t.Errorf("key %s has another's id, %s", first.ID, tenant.IDOf(first.Text))
	}
	got, err := app.ListKeys(t.Context(), dir, "", noon)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]app.Key{first.Key, second.Key, other.Key}, got); diff != "" {
		t.Errorf("listed (-created +listed):\n%s", diff)
	}
	mine, err := app.ListKeys(t.Context(), dir, "default", noon)
	if diff := cmp.Diff([]app.Key{other.Key}, mine); err != nil || diff != "" {
		t.Errorf("%v, listed by tenant (-created +listed):\n%s", err, diff)
	}
}

// Whoever reads the data folder, from a backup say, can call nothing with what is there.
func TestTheFolderDoesNotHoldTheKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := key(t, dir, app.NewKey{Tenant: "acme"}).Text
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

func TestOrdersForKeysAreChecked(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	for name, c := range map[string]struct {
		order app.NewKey
		want  string
	}{
		"no name":        {app.NewKey{}, "1 to 64 letters"},
		"name":           {app.NewKey{Tenant: "a/b"}, `tenant "a/b"`},
		"dialect":        {app.NewKey{Tenant: "a", Dialect: "OpenAI"}, `dialect "OpenAI": want openai, novita, neosantara`},
		"already over":   {app.NewKey{Tenant: "a", ExpiresAt: noon.Add(-time.Hour)}, "would have expired at 2026-06-01T11:00:00Z"},
		"hardly over":    {app.NewKey{Tenant: "a", ExpiresAt: noon.AddDate(100, 0, 1)}, "in more than 100 years"},
		"over right now": {app.NewKey{Tenant: "a", ExpiresAt: noon}, "would have expired"},
	} {
		_, err := app.CreateKey(t.Context(), dir, c.order, noon)
		var wrong *app.UsageError
		if !errors.As(err, &wrong) || !strings.Contains(wrong.Problem, c.want) {
			t.Errorf("%s: got %v, want %q in it", name, err, c.want)
		}
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("an order that was refused made the data folder")
	}
}

func TestAKeysStateFollowsItsTimes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plain := key(t, dir, app.NewKey{Tenant: "acme"}).ID
	expiring := key(t, dir, app.NewKey{Tenant: "acme", ExpiresAt: noon.Add(time.Hour)}).ID
	rotated := key(t, dir, app.NewKey{Tenant: "acme"}).ID
	minted, _, err := app.RotateKey(t.Context(), dir, rotated, 2*time.Hour, noon)
	if err != nil {
		t.Fatal(err)
	}
	const active, expired = app.KeyActive, app.KeyExpired
	for after, want := range map[time.Duration]map[string]app.KeyState{
		0:                  {plain: active, expiring: active, rotated: app.KeyReplaced, minted.ID: active},
		time.Hour - 1:      {plain: active, expiring: active, rotated: app.KeyReplaced, minted.ID: active},
		time.Hour:          {plain: active, expiring: expired, rotated: app.KeyReplaced, minted.ID: active},
		2 * time.Hour:      {plain: active, expiring: expired, rotated: app.KeyRevoked, minted.ID: active},
		100000 * time.Hour: {plain: active, expiring: expired, rotated: app.KeyRevoked, minted.ID: active},
	} {
		if diff := cmp.Diff(want, states(t, dir, noon.Add(after))); diff != "" {
			t.Errorf("after %s (-want +got):\n%s", after, diff)
		}
	}
}

func TestARotatedKeyHasAnHeirLikeItself(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old := key(t, dir, app.NewKey{Tenant: "acme", Dialect: "neosantara", ExpiresAt: noon.Add(90 * time.Hour)})
	later := noon.Add(80 * time.Hour)
	heir, ended, err := app.RotateKey(t.Context(), dir, old.ID, 24*time.Hour, later)
	if err != nil {
		t.Fatal(err)
	}
	want := app.Key{
		ID: heir.ID, Tenant: "acme", TenantID: old.TenantID, Dialect: "neosantara", CreatedAt: later,
		ExpiresAt: later.Add(90 * time.Hour), State: app.KeyActive,
	}
	if diff := cmp.Diff(want, heir.Key); diff != "" || heir.ID == old.ID || tenant.IDOf(heir.Text) != heir.ID {
		t.Errorf("the heir (-want +got):\n%s", diff)
	}
	// The old key's own end comes before that of the overlap.
	if ended.ID != old.ID || !ended.EndsAt().Equal(old.ExpiresAt) || ended.State != app.KeyReplaced {
		t.Errorf("the old key: %+v", ended)
	}
}

func TestRotatingWithoutOverlapEndsTheOldKeyAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old := key(t, dir, app.NewKey{Tenant: "acme"})
	heir, ended, err := app.RotateKey(t.Context(), dir, old.ID, 0, noon)
	if err != nil || ended.State != app.KeyRevoked || !heir.ExpiresAt.IsZero() {
		t.Fatalf("got %+v, %+v, %v", heir, ended, err)
	}
	_, _, err = app.RotateKey(t.Context(), dir, old.ID, 0, noon)
	if err == nil || !strings.Contains(err.Error(), "is revoked and is not replaced: `batchd keys create --tenant acme`") {
		t.Errorf("a key that has ended was replaced: %v", err)
	}
	if got := states(t, dir, noon); len(got) != 2 {
		t.Errorf("there are %d keys, want 2", len(got))
	}
}

func TestARevokedKeyStaysRevokedFromItsFirstEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	one, two := key(t, dir, app.NewKey{Tenant: "acme"}), key(t, dir, app.NewKey{Tenant: "acme"})
	for i, at := range []time.Time{noon, noon.Add(time.Hour)} {
		k, left, err := app.RevokeKey(t.Context(), dir, one.ID, at)
		if err != nil || !k.RevokedAt.Equal(noon) || k.State != app.KeyRevoked || left != 1 {
			t.Errorf("time %d: got %+v, %d left, %v", i, k, left, err)
		}
	}
	if _, left, err := app.RevokeKey(t.Context(), dir, two.ID, noon); err != nil || left != 0 {
		t.Errorf("%d left, %v", left, err)
	}
}

func TestWhatIsNotThereHasARemedyInItsError(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key(t, dir, app.NewKey{Tenant: "acme"})
	id := "key_" + strings.Repeat("0", 32)
	absent := filepath.Join(dir, "absent")
	text := tenant.Mint()
	for name, c := range map[string]struct {
		do     func() error
		want   string
		misuse bool
	}{
		"key to revoke":     {func() error { _, _, err := app.RevokeKey(t.Context(), dir, id, noon); return err }, "`batchd keys list`", false},
		"key to rotate":     {func() error { _, _, err := app.RotateKey(t.Context(), dir, id, 0, noon); return err }, "`batchd keys list`", false},
		"tenant to list":    {func() error { _, err := app.ListKeys(t.Context(), dir, "no", noon); return err }, "`batchd tenants list`", false},
		"tenant to set":     {func() error { _, err := app.SetTenant(t.Context(), dir, "no", func(*app.Tenant) {}, noon); return err }, "`batchd tenants list`", false},
		"folder of keys":    {func() error { _, err := app.ListKeys(t.Context(), absent, "", noon); return err }, "--data-dir", true},
		"folder of tenants": {func() error { _, err := app.ListTenants(t.Context(), absent, noon); return err }, "--data-dir", true},
		"no id":             {func() error { _, _, err := app.RevokeKey(t.Context(), dir, "key_1", noon); return err }, "32 hexadecimal digits", true},
		"a key for its id":  {func() error { _, _, err := app.RotateKey(t.Context(), dir, text, 0, noon); return err }, tenant.IDOf(text), true},
	} {
		err := c.do()
		var wrong *app.UsageError
		if err == nil || !strings.Contains(err.Error(), c.want) || errors.As(err, &wrong) != c.misuse || strings.Contains(err.Error(), text) {
			t.Errorf("%s: got %v, want %q in it", name, err, c.want)
		}
	}
	if _, err := os.Stat(absent); err == nil {
		t.Error("looking made a data folder")
	}
}

func TestTenantsAreSetByWhatIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key(t, dir, app.NewKey{Tenant: "acme"})
	set := func(change func(*app.Tenant)) app.Tenant {
		t.Helper()
		got, err := app.SetTenant(t.Context(), dir, "acme", change, noon)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	set(func(n *app.Tenant) { n.Weight, n.Limits.StoredBytes, n.Limits.RequestsPerMinute = 7, 10<<30, 600 })
	got := set(func(n *app.Tenant) { n.Limits.StoredBytes, n.Limits.Files = 0, 3 })
	want := app.Tenant{ID: got.ID, Name: "acme", CreatedAt: noon, Weight: 7, Keys: 1}
	want.Limits.Files, want.Limits.RequestsPerMinute = 3, 600
	if diff := cmp.Diff(want, got, cmp.Transformer("utc", time.Time.UTC)); diff != "" {
		t.Errorf("set (-want +got):\n%s", diff)
	}
	listed, err := app.ListTenants(t.Context(), dir, noon)
	if err != nil || len(listed) != 2 || listed[1].Name != "default" {
		t.Fatalf("got %+v, %v", listed, err)
	}
	if diff := cmp.Diff(got, listed[0]); diff != "" {
		t.Errorf("listed (-set +listed):\n%s", diff)
	}
	for name, change := range map[string]func(*app.Tenant){
		"no weight":        func(n *app.Tenant) { n.Weight = 0 },
		"too much weight":  func(n *app.Tenant) { n.Weight = 1001 },
		"limit below zero": func(n *app.Tenant) { n.Limits.EnqueuedTokens = -1 },
	} {
		var wrong *app.UsageError
		if _, err := app.SetTenant(t.Context(), dir, "acme", change, noon); !errors.As(err, &wrong) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestCommandsAtTheSameTimeMakeOneStoreWithOneTenant(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var running sync.WaitGroup
	owners := make([]string, 8)
	for i := range owners {
		running.Go(func() {
			k, err := app.CreateKey(t.Context(), dir, app.NewKey{Tenant: "acme"}, noon)
			if err != nil {
				t.Errorf("create: %v", err)
			}
			owners[i] = k.TenantID
		})
	}
	running.Wait()
	for _, id := range owners {
		if id != owners[0] {
			t.Errorf("tenants %v, want one", owners)
		}
	}
	if keys := states(t, dir, noon); len(keys) != len(owners) {
		t.Errorf("%d keys are left of %d: a store was replaced", len(keys), len(owners))
	}
}
