package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"batchd/internal/batch"
	"batchd/internal/store"
	"batchd/internal/tenant"
)

// Key is a stored API key as its operator sees it, at the time it was asked for.
type Key struct {
	store.Key
	// TenantName is the name of the tenant that the key acts for.
	TenantName string
	State      KeyState
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

// keyAt returns a stored key as it is at now.
func keyAt(k store.Key, tenantName string, now time.Time) Key {
	state := KeyActive
	switch {
	case !k.RevokedAt.IsZero() && !now.Before(k.RevokedAt):
		state = KeyRevoked
	case !k.Usable(now):
		state = KeyExpired
	case !k.RevokedAt.IsZero():
		state = KeyReplaced
	}
	return Key{Key: k, TenantName: tenantName, State: state}
}

// NewKey says what key is wanted.
type NewKey struct {
	// Tenant is a name; one that is new makes a new tenant, and an admin's key without one is the default tenant's.
	Tenant  string
	Dialect string
	// Role is store.RoleTenant if it is left out; OpensContent is for admins only.
	Role         store.Role
	OpensContent bool
	// ExpiresAt is zero for a key without an end.
	ExpiresAt time.Time
}

// Check refuses what CreateKey would refuse, as far as that can be said without a store.
func (n NewKey) Check(dialects []string, now time.Time) error {
	if err := tenant.CheckName(n.TenantOf()); err != nil {
		return invalid(paramTenant, "%v", err)
	}
	if n.Role != "" && n.Role != store.RoleTenant && n.Role != store.RoleAdmin {
		return invalid("role", "role %q: want %s or %s", n.Role, store.RoleTenant, store.RoleAdmin)
	}
	if n.OpensContent && n.Role != store.RoleAdmin {
		return invalid("content", "only an admin's key can be made for other tenants' content")
	}
	if n.Dialect != "" && !slices.Contains(dialects, n.Dialect) {
		return invalid("dialect", "dialect %q: want %s", n.Dialect, strings.Join(dialects, ", "))
	}
	switch at := n.ExpiresAt; {
	case at.IsZero():
		return nil
	case !at.After(now):
		return invalid("expires_at", "the key would have expired at %s; name a time that lies ahead", at.UTC().Format(time.RFC3339))
	case at.After(now.AddDate(100, 0, 0)): // the store counts nanoseconds and might not know the time
		return invalid("expires_at", "the key would expire in more than 100 years; leave the end out for a key that has none")
	default:
		return nil
	}
}

// TenantOf returns the name of the key's tenant.
func (n NewKey) TenantOf() string {
	if n.Tenant == "" && n.Role == store.RoleAdmin {
		return store.DefaultTenantName
	}
	return n.Tenant
}

// MintedKey is a new key with its text, which is kept nowhere.
type MintedKey struct {
	Key
	Text string
	// TenantIsNew is set when the tenant was made for the key.
	TenantIsNew bool
}

// CreateKey mints a key and stores its hash, making the tenant if it is not there.
func (s *Service) CreateKey(ctx context.Context, n NewKey) (MintedKey, error) {
	now := s.o.Now()
	if err := n.Check(s.o.Dialects, now); err != nil {
		return MintedKey{}, err
	}
	owner, fresh, err := s.tenantFor(ctx, n.TenantOf(), now)
	if err != nil {
		return MintedKey{}, err
	}
	minted, err := s.mint(ctx, owner, store.Key{
		Dialect: n.Dialect, Role: cmp.Or(n.Role, store.RoleTenant), OpensContent: n.OpensContent, CreatedAt: now, ExpiresAt: n.ExpiresAt,
	})
	minted.TenantIsNew = fresh
	return minted, err
}

// EnsureKey makes the key with a text that its operator has chosen, for the tenant with this id, unless it is there, and
// reports whether it made it. One that was revoked stays so: a restart must not undo that. A text that is easy to guess, or
// whose id is that of another key, is a fault.
func (s *Service) EnsureKey(ctx context.Context, tenantID, text string) (_ Key, created bool, _ error) {
	if err := tenant.CheckChosen(text); err != nil {
		return Key{}, false, invalid(paramKey, "%v", err)
	}
	now := s.o.Now()
	wanted := store.Key{ID: tenant.IDOf(text), Tenant: tenantID, Hash: tenant.HashOf(text), Role: store.RoleTenant, CreatedAt: now}
	err := s.o.Store.CreateKey(ctx, wanted)
	if err != nil && !errors.Is(err, store.ErrConflict) {
		return Key{}, false, err
	}
	found, owner, findErr := s.o.Store.Key(ctx, wanted.ID)
	switch {
	case findErr != nil:
		return Key{}, false, findErr
	case found.Hash != wanted.Hash:
		return Key{}, false, invalid(paramKey, "has the id of another key, %s; choose another text", wanted.ID)
	default:
		return keyAt(found, owner.Name, now), err == nil, nil
	}
}

// tenantFor returns the tenant with a name, making it if there is none.
func (s *Service) tenantFor(ctx context.Context, name string, now time.Time) (_ store.Tenant, fresh bool, _ error) {
	t, err := s.o.Store.TenantNamed(ctx, name)
	if !errors.Is(err, store.ErrNotFound) {
		return t, false, err
	}
	t = store.Tenant{ID: uuid.NewString(), Name: name, CreatedAt: now, Weight: 1}
	err = s.o.Store.CreateTenant(ctx, t)
	if errors.Is(err, store.ErrConflict) { // made by another command in the meantime
		t, err = s.o.Store.TenantNamed(ctx, name)
		return t, false, err
	}
	return t, true, err
}

// mint stores a new key of a tenant; ID, tenant and hash are filled in. The text leaves with the answer and is stored nowhere.
func (s *Service) mint(ctx context.Context, owner store.Tenant, k store.Key) (MintedKey, error) {
	text := tenant.Mint()
	k.ID, k.Tenant, k.Hash = tenant.IDOf(text), owner.ID, tenant.HashOf(text)
	if err := s.o.Store.CreateKey(ctx, k); err != nil {
		return MintedKey{}, err
	}
	return MintedKey{Key: keyAt(k, owner.Name, k.CreatedAt), Text: text}, nil
}

// Keys returns the keys of the tenant with this name, or of all with "", oldest first.
func (s *Service) Keys(ctx context.Context, tenantName string) ([]Key, error) {
	id, names, err := s.tenants(ctx, tenantName)
	if err != nil {
		return nil, err
	}
	stored, err := s.o.Store.ListKeys(ctx, id)
	now := s.o.Now()
	var keys []Key
	for _, k := range stored {
		keys = append(keys, keyAt(k, names[k.Tenant], now))
	}
	return keys, err
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

// RevokeKey ends a key now, and returns it with the number of keys that still work. A key that has ended already stays
// as it is.
func (s *Service) RevokeKey(ctx context.Context, id string) (revoked Key, left int, err error) {
	now := s.o.Now()
	if _, err := s.key(ctx, id, now); err != nil {
		return Key{}, 0, err
	}
	if err := s.o.Store.EndKey(ctx, id, now); err != nil {
		return Key{}, 0, err
	}
	if revoked, err = s.key(ctx, id, now); err != nil {
		return Key{}, 0, err
	}
	all, err := s.o.Store.ListKeys(ctx, "")
	return revoked, usable(all, now), err
}

// RotateKey mints a key like the one with this id: for the same tenant, role and dialect, and with a TTL as long if that
// one expires. The old key ends after the overlap, at once if it is zero. It returns both. A key that has ended is not
// replaced, which is a *batch.Error of class batch.Conflict.
func (s *Service) RotateKey(ctx context.Context, id string, overlap time.Duration) (minted MintedKey, old Key, err error) {
	now := s.o.Now()
	k, err := s.key(ctx, id, now)
	if err != nil {
		return MintedKey{}, Key{}, err
	}
	if !k.Usable(now) {
		return MintedKey{}, Key{}, &batch.Error{
			Class: batch.Conflict, Code: "key_ended", Param: paramKey,
			Message: fmt.Sprintf("key %s of tenant %s is %s and is not replaced", id, k.TenantName, k.State),
		}
	}
	like := store.Key{Dialect: k.Dialect, Role: k.Role, OpensContent: k.OpensContent, CreatedAt: now}
	if !k.ExpiresAt.IsZero() {
		like.ExpiresAt = now.Add(k.ExpiresAt.Sub(k.CreatedAt))
	}
	if minted, err = s.mint(ctx, store.Tenant{ID: k.Tenant, Name: k.TenantName}, like); err != nil {
		return MintedKey{}, Key{}, err
	}
	if err := s.o.Store.EndKey(ctx, id, now.Add(overlap)); err != nil {
		// The new key is never shown, so it must not go on working.
		return MintedKey{}, Key{}, errors.Join(err, s.o.Store.EndKey(ctx, minted.ID, now))
	}
	old, err = s.key(ctx, id, now)
	return minted, old, err
}

// Key returns a key by its id.
func (s *Service) Key(ctx context.Context, id string) (Key, error) { return s.key(ctx, id, s.o.Now()) }

// key returns a key by its id.
func (s *Service) key(ctx context.Context, id string, now time.Time) (Key, error) {
	if err := checkKeyID(id); err != nil {
		return Key{}, err
	}
	k, owner, err := s.o.Store.Key(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return Key{}, notFound(paramKey, "no key has the id %s", id)
	}
	return keyAt(k, owner.Name, now), err
}

// checkKeyID refuses what cannot be a key's id, above all a key, and does not repeat it.
func checkKeyID(id string) error {
	digits, ok := strings.CutPrefix(id, "key_")
	switch {
	case ok && len(digits) == 32 && strings.Trim(digits, "0123456789abcdef") == "":
		return nil
	case strings.HasPrefix(id, "sk-"):
		return invalid(paramKey, "that is a key and not the id of one; its id would be %s", tenant.IDOf(id))
	default:
		return invalid(paramKey, "want the id of a key, key_ and 32 hexadecimal digits, as a list of keys shows it")
	}
}
