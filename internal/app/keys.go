package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"batchd/internal/config"
	"batchd/internal/datadir"
	"batchd/internal/store"
	"batchd/internal/tenant"
)

// Key is an API key as its operator sees it: without the key itself.
type Key struct {
	ID string
	// Tenant is the name of the tenant that the key acts for, TenantID its id.
	Tenant   string
	TenantID string
	// Dialect is the name of the dialect that the key speaks under /v1; "" for the server's.
	Dialect   string
	CreatedAt time.Time
	// ExpiresAt is zero for a key without an end, RevokedAt for one that was not revoked. RevokedAt may lie ahead.
	ExpiresAt time.Time
	RevokedAt time.Time
	State     KeyState
}

// EndsAt is when the key stops working, or did; zero for never.
func (k Key) EndsAt() time.Time {
	if k.RevokedAt.IsZero() || !k.ExpiresAt.IsZero() && k.ExpiresAt.Before(k.RevokedAt) {
		return k.ExpiresAt
	}
	return k.RevokedAt
}

// KeyState says whether a key works.
type KeyState string

// The states of a key. One that is being replaced works until its end comes.
const (
	KeyActive   KeyState = "active"
	KeyReplaced KeyState = "being replaced"
	KeyExpired  KeyState = "expired"
	KeyRevoked  KeyState = "revoked"
)

// NewKey says what key is wanted.
type NewKey struct {
	// Tenant is a name; one that is new makes a new tenant.
	Tenant  string
	Dialect string
	// ExpiresAt is zero for a key without an end.
	ExpiresAt time.Time
}

// MintedKey is a new key with its text, which is kept nowhere.
type MintedKey struct {
	Key
	Text string
	// TenantIsNew is set when the tenant was made for the key.
	TenantIsNew bool
}

// CreateKey mints a key and stores its hash, making the data directory and the tenant if they are not there. A server that
// runs on the folder takes the key within seconds. What is wrong with the order is a *UsageError.
func CreateKey(ctx context.Context, dataDir string, n NewKey, now time.Time) (MintedKey, error) {
	if err := tenant.CheckName(n.Tenant); err != nil {
		return MintedKey{}, misuse("%v", err)
	}
	if n.Dialect != "" && !slices.Contains(config.Dialects(), n.Dialect) {
		return MintedKey{}, misuse("dialect %q: want %s", n.Dialect, strings.Join(config.Dialects(), ", "))
	}
	if err := checkEnd(n.ExpiresAt, now); err != nil {
		return MintedKey{}, err
	}
	var minted MintedKey
	err := withStore(ctx, dataDir, func(st store.Store) error {
		owner, fresh, err := tenantFor(ctx, st, n.Tenant, now)
		if err != nil {
			return err
		}
		minted, err = mint(ctx, st, owner, store.Key{Dialect: n.Dialect, CreatedAt: now, ExpiresAt: n.ExpiresAt})
		minted.TenantIsNew = fresh
		return err
	})
	return minted, err
}

// checkEnd refuses an end that has passed, or lies so far ahead that the store, which counts nanoseconds, might not know
// the time.
func checkEnd(at, now time.Time) error {
	switch {
	case at.IsZero():
		return nil
	case !at.After(now):
		return misuse("the key would have expired at %s; name a time that lies ahead", at.UTC().Format(time.RFC3339))
	case at.After(now.AddDate(100, 0, 0)):
		return misuse("the key would expire in more than 100 years; leave the end out for a key that has none")
	default:
		return nil
	}
}

// tenantFor returns the tenant with a name, making it if there is none.
func tenantFor(ctx context.Context, st store.Tenants, name string, now time.Time) (_ store.Tenant, fresh bool, _ error) {
	t, err := st.TenantNamed(ctx, name)
	if !errors.Is(err, store.ErrNotFound) {
		return t, false, err
	}
	t = store.Tenant{ID: uuid.NewString(), Name: name, CreatedAt: now, Weight: 1}
	err = st.CreateTenant(ctx, t)
	if errors.Is(err, store.ErrConflict) { // made by another command in the meantime
		t, err = st.TenantNamed(ctx, name)
		return t, false, err
	}
	return t, true, err
}

// mint stores a new key of a tenant; id, tenant and hash are filled in.
func mint(ctx context.Context, st store.Tenants, owner store.Tenant, k store.Key) (MintedKey, error) {
	text := tenant.Mint()
	k.ID, k.Tenant, k.Hash = tenant.IDOf(text), owner.ID, tenant.HashOf(text)
	if err := st.CreateKey(ctx, k); err != nil {
		return MintedKey{}, err
	}
	return MintedKey{Key: describe(k, owner.Name, k.CreatedAt), Text: text}, nil
}

// describe returns a stored key as it is shown at now.
func describe(k store.Key, tenantName string, now time.Time) Key {
	d := Key{
		ID: k.ID, Tenant: tenantName, TenantID: k.Tenant, Dialect: k.Dialect,
		CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt, RevokedAt: k.RevokedAt, State: KeyActive,
	}
	switch {
	case !k.RevokedAt.IsZero() && !now.Before(k.RevokedAt):
		d.State = KeyRevoked
	case !k.Usable(now):
		d.State = KeyExpired
	case !k.RevokedAt.IsZero():
		d.State = KeyReplaced
	}
	return d
}

// ListKeys returns the keys of the tenant with this name, or of all with "", oldest first.
func ListKeys(ctx context.Context, dataDir, tenantName string, now time.Time) ([]Key, error) {
	var keys []Key
	err := withData(ctx, dataDir, func(st store.Store) error {
		names, err := tenantNames(ctx, st)
		if err != nil {
			return err
		}
		id, err := tenantIDOf(ctx, st, tenantName)
		if err != nil {
			return err
		}
		stored, err := st.ListKeys(ctx, id)
		for _, k := range stored {
			keys = append(keys, describe(k, names[k.Tenant], now))
		}
		return err
	})
	return keys, err
}

// tenantNames returns the name of every tenant by its id.
func tenantNames(ctx context.Context, st store.Tenants) (map[string]string, error) {
	tenants, err := st.ListTenants(ctx)
	names := make(map[string]string, len(tenants))
	for _, t := range tenants {
		names[t.ID] = t.Name
	}
	return names, err
}

// namedTenant returns a tenant by its name, and the remedy where there is none.
func namedTenant(ctx context.Context, st store.Tenants, name string) (store.Tenant, error) {
	t, err := st.TenantNamed(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return t, fmt.Errorf("no tenant is named %q: `batchd tenants list` shows those there are", name)
	}
	return t, err
}

// tenantIDOf returns the id of the tenant with this name; "" stands for all and stays.
func tenantIDOf(ctx context.Context, st store.Tenants, name string) (string, error) {
	if name == "" {
		return "", nil
	}
	t, err := namedTenant(ctx, st, name)
	return t.ID, err
}

// usable counts the keys that work at now.
func usable(keys []store.Key, now time.Time) int {
	n := 0
	for _, k := range keys {
		if k.Usable(now) {
			n++
		}
	}
	return n
}

// RevokeKey ends a key at now, and returns it with the number of keys that still work. A running server refuses it
// within seconds. A key that has ended already stays as it is.
func RevokeKey(ctx context.Context, dataDir, id string, now time.Time) (revoked Key, left int, err error) {
	if err := checkKeyID(id); err != nil {
		return Key{}, 0, err
	}
	err = withData(ctx, dataDir, func(st store.Store) error {
		if _, _, err := keyWithID(ctx, st, id); err != nil {
			return err
		}
		if err := st.EndKey(ctx, id, now); err != nil {
			return err
		}
		k, owner, err := keyWithID(ctx, st, id)
		if err != nil {
			return err
		}
		revoked = describe(k, owner.Name, now)
		all, err := st.ListKeys(ctx, "")
		left = usable(all, now)
		return err
	})
	return revoked, left, err
}

// RotateKey mints a key like the one with this id: for the same tenant and dialect, and with a life as long if that one
// expires. The old key ends after the overlap, at once if it is zero. It returns both.
func RotateKey(ctx context.Context, dataDir, id string, overlap time.Duration, now time.Time) (minted MintedKey, old Key, err error) {
	if err := checkKeyID(id); err != nil {
		return MintedKey{}, Key{}, err
	}
	err = withData(ctx, dataDir, func(st store.Store) error {
		k, owner, err := keyWithID(ctx, st, id)
		if err != nil {
			return err
		}
		if d := describe(k, owner.Name, now); !k.Usable(now) {
			return fmt.Errorf("key %s is %s and is not replaced: `batchd keys create --tenant %s` makes a new one", id, d.State, owner.Name)
		}
		like := store.Key{Dialect: k.Dialect, CreatedAt: now}
		if !k.ExpiresAt.IsZero() {
			like.ExpiresAt = now.Add(k.ExpiresAt.Sub(k.CreatedAt))
		}
		if minted, err = mint(ctx, st, owner, like); err != nil {
			return err
		}
		if err := st.EndKey(ctx, id, now.Add(overlap)); err != nil {
			// Nobody will see the new key, so nobody must be able to use it.
			return errors.Join(err, st.EndKey(ctx, minted.ID, now))
		}
		if k, _, err = keyWithID(ctx, st, id); err != nil {
			return err
		}
		old = describe(k, owner.Name, now)
		return nil
	})
	return minted, old, err
}

// keyWithID returns a key by its id, and the remedy where there is none.
func keyWithID(ctx context.Context, st store.Tenants, id string) (store.Key, store.Tenant, error) {
	k, owner, err := st.Key(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return k, owner, fmt.Errorf("no key has the id %s: `batchd keys list` shows those there are", id)
	}
	return k, owner, err
}

// checkKeyID refuses what cannot be a key's id, above all a key, and does not repeat it.
func checkKeyID(id string) error {
	digits, ok := strings.CutPrefix(id, "key_")
	switch {
	case ok && len(digits) == 32 && strings.Trim(digits, "0123456789abcdef") == "":
		return nil
	case strings.HasPrefix(id, "sk-"):
		return misuse("that is a key and not the id of one; its id would be %s", tenant.IDOf(id))
	default:
		return misuse("want the id of a key, key_ and 32 hexadecimal digits, as `batchd keys list` shows it")
	}
}

// withData is withStore for a data directory that a server or a command has made before: a command that changes what is
// there makes no new folder where the name of one is wrong.
func withData(ctx context.Context, dataDir string, use func(store.Store) error) error {
	if found, err := datadir.HasDatabase(dataDir); !found && err == nil {
		return misuse("there is no batchd data in %s: name the server's data directory with --data-dir", dataDir)
	}
	return withStore(ctx, dataDir, use)
}
