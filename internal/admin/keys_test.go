package admin_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/admin"
	"batchd/internal/batch"
	"batchd/internal/store"
	"batchd/internal/store/sqlite"
	"batchd/internal/tenant"
	"batchd/internal/webhook"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// desk is a service over a store of its own, at a time that tests set.
type desk struct {
	*admin.Service
	t     *testing.T
	store store.Store
	now   time.Time
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "batchd.db"), sqlite.Options{MayCreate: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	d := &desk{t: t, store: st, now: noon}
	d.Service = admin.New(admin.Options{
		Store: st, Dialects: []string{"openai", "novita", "neosantara"}, Guard: webhook.NewGuard(nil),
		Now: func() time.Time { return d.now },
	})
	return d
}

// key makes a key.
func (d *desk) key(n admin.NewKey) admin.MintedKey {
	d.t.Helper()
	k, err := d.CreateKey(d.t.Context(), n)
	if err != nil {
		d.t.Fatal(err)
	}
	return k
}

// states returns the states of all keys, by id.
func (d *desk) states() map[string]admin.KeyState {
	d.t.Helper()
	keys, err := d.Keys(d.t.Context(), "")
	if err != nil {
		d.t.Fatal(err)
	}
	found := make(map[string]admin.KeyState)
	for _, k := range keys {
		found[k.ID] = k.State
	}
	return found
}

// wantFault checks that an error is a fault of a class, with words.
func wantFault(t *testing.T, what string, err error, class batch.Class, words string) {
	t.Helper()
	var fault *batch.Error
	if !errors.As(err, &fault) || fault.Class != class || !strings.Contains(fault.Message, words) {
		t.Errorf("%s: got %v, want a fault of class %d with %q", what, err, class, words)
	}
}

func TestAKeyComesWithItsTenant(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	first := d.key(admin.NewKey{Tenant: "acme", Dialect: "novita", ExpiresAt: noon.Add(time.Hour)})
	second := d.key(admin.NewKey{Tenant: "acme"})
	other := d.key(admin.NewKey{Tenant: "default"})
	if !first.TenantIsNew || second.TenantIsNew || other.TenantIsNew {
		t.Errorf("new tenants: %v, %v, %v, want only the first", first.TenantIsNew, second.TenantIsNew, other.TenantIsNew)
	}
	if first.Tenant != second.Tenant || first.Tenant == other.Tenant {
		t.Errorf("tenants %s, %s and %s", first.Tenant, second.Tenant, other.Tenant)
	}
	if first.ID != tenant.IDOf(first.Text) {
		t.Errorf("key %s has another's id, %s", first.ID, tenant.IDOf(first.Text))
	}
	got, err := d.Keys(t.Context(), "")
	if diff := cmp.Diff([]admin.Key{first.Key, second.Key, other.Key}, got, utc()); err != nil || diff != "" {
		t.Errorf("%v, listed (-created +listed):\n%s", err, diff)
	}
	mine, err := d.Keys(t.Context(), "default")
	if diff := cmp.Diff([]admin.Key{other.Key}, mine, utc()); err != nil || diff != "" {
		t.Errorf("%v, listed by tenant (-created +listed):\n%s", err, diff)
	}
}

// utc compares times without their zones.
func utc() cmp.Option { return cmp.Transformer("utc", time.Time.UTC) }

func TestOrdersForKeysAreChecked(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for name, c := range map[string]struct {
		order admin.NewKey
		want  string
	}{
		"no name":        {admin.NewKey{}, "1 to 64 letters"},
		"name":           {admin.NewKey{Tenant: "a/b"}, `tenant "a/b"`},
		"dialect":        {admin.NewKey{Tenant: "a", Dialect: "OpenAI"}, `dialect "OpenAI": want openai, novita, neosantara`},
		"role":           {admin.NewKey{Tenant: "a", Role: "root"}, `role "root": want tenant or admin`},
		"content":        {admin.NewKey{Tenant: "a", OpensContent: true}, "only an admin's key"},
		"no admin name":  {admin.NewKey{Tenant: "a/b", Role: store.RoleAdmin}, `tenant "a/b"`},
		"already over":   {admin.NewKey{Tenant: "a", ExpiresAt: noon.Add(-time.Hour)}, "would have expired at 2026-06-01T11:00:00Z"},
		"hardly over":    {admin.NewKey{Tenant: "a", ExpiresAt: noon.AddDate(100, 0, 1)}, "in more than 100 years"},
		"over right now": {admin.NewKey{Tenant: "a", ExpiresAt: noon}, "would have expired"},
	} {
		_, err := d.CreateKey(t.Context(), c.order)
		wantFault(t, name, err, batch.Invalid, c.want)
	}
	if tenants, err := d.Tenants(t.Context()); err != nil || len(tenants) != 1 {
		t.Errorf("an order that was refused made a tenant: %+v, %v", tenants, err)
	}
}

func TestAKeysStateFollowsItsTimes(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	plain := d.key(admin.NewKey{Tenant: "acme"}).ID
	expiring := d.key(admin.NewKey{Tenant: "acme", ExpiresAt: noon.Add(time.Hour)}).ID
	rotated := d.key(admin.NewKey{Tenant: "acme"}).ID
	minted, _, err := d.RotateKey(t.Context(), rotated, 2*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	const active, expired = admin.KeyActive, admin.KeyExpired
	for after, want := range map[time.Duration]map[string]admin.KeyState{
		0:                  {plain: active, expiring: active, rotated: admin.KeyReplaced, minted.ID: active},
		time.Hour - 1:      {plain: active, expiring: active, rotated: admin.KeyReplaced, minted.ID: active},
		time.Hour:          {plain: active, expiring: expired, rotated: admin.KeyReplaced, minted.ID: active},
		2 * time.Hour:      {plain: active, expiring: expired, rotated: admin.KeyRevoked, minted.ID: active},
		100000 * time.Hour: {plain: active, expiring: expired, rotated: admin.KeyRevoked, minted.ID: active},
	} {
		d.now = noon.Add(after)
		if diff := cmp.Diff(want, d.states()); diff != "" {
			t.Errorf("after %s (-want +got):\n%s", after, diff)
		}
	}
}

func TestARotatedKeyHasAnHeirLikeItself(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	old := d.key(admin.NewKey{Tenant: "acme", Dialect: "neosantara", ExpiresAt: noon.Add(90 * time.Hour)})
	d.now = noon.Add(80 * time.Hour)
	heir, ended, err := d.RotateKey(t.Context(), old.ID, 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	want := admin.Key{Key: store.Key{
		ID: heir.ID, Tenant: old.Tenant, Hash: tenant.HashOf(heir.Text), Dialect: "neosantara", Role: store.RoleTenant,
		CreatedAt: d.now, ExpiresAt: d.now.Add(90 * time.Hour),
	}, TenantName: "acme", State: admin.KeyActive}
	if diff := cmp.Diff(want, heir.Key, utc()); diff != "" || heir.ID == old.ID || tenant.IDOf(heir.Text) != heir.ID {
		t.Errorf("the heir (-want +got):\n%s", diff)
	}
	// The old key's own end comes before that of the overlap.
	if ended.ID != old.ID || !ended.EndsAt().Equal(old.ExpiresAt) || ended.State != admin.KeyReplaced {
		t.Errorf("the old key: %+v", ended)
	}
}

func TestAnAdminsKeyIsTheDefaultTenantsUnlessItNamesOneAndItsHeirIsAnAdminsToo(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	plain := d.key(admin.NewKey{Role: store.RoleAdmin})
	content := d.key(admin.NewKey{Role: store.RoleAdmin, OpensContent: true, Tenant: "acme"})
	if plain.TenantName != store.DefaultTenantName || content.TenantName != "acme" || !content.TenantIsNew {
		t.Errorf("tenants %q and %q", plain.TenantName, content.TenantName)
	}
	for _, k := range []admin.MintedKey{plain, content} {
		heir, _, err := d.RotateKey(t.Context(), k.ID, 0)
		if err != nil || heir.Role != store.RoleAdmin || heir.OpensContent != k.OpensContent || heir.Tenant != k.Tenant {
			t.Errorf("the heir of %+v: %+v, %v", k, heir, err)
		}
	}
	if k := d.key(admin.NewKey{Tenant: "acme"}); k.Role != store.RoleTenant || k.OpensContent {
		t.Errorf("a tenant's key: %+v", k)
	}
}

func TestRotatingWithoutOverlapEndsTheOldKeyAtOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	old := d.key(admin.NewKey{Tenant: "acme"})
	heir, ended, err := d.RotateKey(t.Context(), old.ID, 0)
	if err != nil || ended.State != admin.KeyRevoked || !heir.ExpiresAt.IsZero() {
		t.Fatalf("got %+v, %+v, %v", heir, ended, err)
	}
	_, _, err = d.RotateKey(t.Context(), old.ID, 0)
	wantFault(t, "a key that has ended", err, batch.Conflict, "is revoked and is not replaced")
	if got := d.states(); len(got) != 2 {
		t.Errorf("there are %d keys, want 2", len(got))
	}
}

func TestARevokedKeyStaysRevokedFromItsFirstEnd(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	one, two := d.key(admin.NewKey{Tenant: "acme"}), d.key(admin.NewKey{Tenant: "acme"})
	for i, at := range []time.Time{noon, noon.Add(time.Hour)} {
		d.now = at
		k, left, err := d.RevokeKey(t.Context(), one.ID)
		if err != nil || !k.RevokedAt.Equal(noon) || k.State != admin.KeyRevoked || left != 1 {
			t.Errorf("time %d: got %+v, %d left, %v", i, k, left, err)
		}
	}
	if _, left, err := d.RevokeKey(t.Context(), two.ID); err != nil || left != 0 {
		t.Errorf("%d left, %v", left, err)
	}
}

func TestWhatIsNotThereIsNamed(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.key(admin.NewKey{Tenant: "acme"})
	id := "key_" + strings.Repeat("0", 32)
	text := tenant.Mint()
	for name, c := range map[string]struct {
		do    func() error
		class batch.Class
		want  string
	}{
		"key to revoke":  {func() error { _, _, err := d.RevokeKey(t.Context(), id); return err }, batch.NotFound, id},
		"key to rotate":  {func() error { _, _, err := d.RotateKey(t.Context(), id, 0); return err }, batch.NotFound, id},
		"tenant to list": {func() error { _, err := d.Keys(t.Context(), "no"); return err }, batch.NotFound, `"no"`},
		"tenant to set": {
			func() error { _, err := d.SetTenant(t.Context(), "no", func(*store.Tenant) {}); return err }, batch.NotFound, `"no"`,
		},
		"webhook":          {func() error { return d.RemoveWebhook(t.Context(), "we_1") }, batch.NotFound, "we_1"},
		"no id":            {func() error { _, _, err := d.RevokeKey(t.Context(), "key_1"); return err }, batch.Invalid, "32 hexadecimal digits"},
		"a key for its id": {func() error { _, _, err := d.RotateKey(t.Context(), text, 0); return err }, batch.Invalid, tenant.IDOf(text)},
	} {
		err := c.do()
		wantFault(t, name, err, c.class, c.want)
		if err != nil && strings.Contains(err.Error(), text) {
			t.Errorf("%s: the key is repeated: %v", name, err)
		}
	}
}

func TestAChosenKeyIsMadeOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	const text = "correct-horse-battery-staple"
	owner := d.key(admin.NewKey{Tenant: "acme"}).Tenant
	for _, want := range []bool{true, false} {
		k, created, err := d.EnsureKey(t.Context(), owner, text)
		if err != nil || created != want || k.ID != tenant.IDOf(text) || k.TenantName != "acme" || k.State != admin.KeyActive {
			t.Errorf("got %+v, %v, %v", k, created, err)
		}
	}
	if _, _, err := d.RevokeKey(t.Context(), tenant.IDOf(text)); err != nil {
		t.Fatal(err)
	}
	if k, created, err := d.EnsureKey(t.Context(), owner, text); err != nil || created || k.State != admin.KeyRevoked {
		t.Errorf("once revoked: got %+v, %v, %v", k, created, err)
	}
	_, _, err := d.EnsureKey(t.Context(), owner, "pass word")
	wantFault(t, "easy to guess", err, batch.Invalid, "space")
}
