package tenant

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

const (
	// keyCacheTTL is how long what was read about keys is cached. A change, such as a revocation, takes effect within
	// it.
	keyCacheTTL = 5 * time.Second
	// maxCachedKeys bounds the keys in memory; beyond it, keys are read more often.
	maxCachedKeys = 10_000
)

// The codes that dialects know refused credentials by.
const (
	codeMissing = "missing_api_key"
	codeInvalid = "invalid_api_key"
)

// KeyReader is the part of the metadata store that authentication needs.
type KeyReader interface {
	Key(ctx context.Context, id string) (store.Key, store.Tenant, error)
	HasKeys(ctx context.Context) (bool, error)
}

// Keys is the authenticator of a server with keys. A key that was good is cached for five seconds, so that most
// requests cost no read, and a revoked one stops working within them. It may be used concurrently. Make it with
// NewKeys.
type Keys struct {
	store KeyReader
	now   func() time.Time
	wall  func() time.Time

	// mu guards cached. It is never held while the store is read.
	mu sync.Mutex
	// cached holds, by key id, keys that were presented with their right text. Nothing about a wrong key is kept: it
	// can neither push out a good one nor take memory.
	cached map[string]cachedKey
}

// cachedKey is a key with its tenant as they were read at a time.
type cachedKey struct {
	key    store.Key
	tenant store.Tenant
	at     time.Time
}

// NewKeys returns the authenticator over the keys of a store. Keys expire and are revoked by now.
func NewKeys(keys KeyReader, now func() time.Time) *Keys {
	return &Keys{store: keys, now: now, wall: now, cached: make(map[string]cachedKey)}
}

// RevokeBy has keys revoked by another clock too. A server whose keys expire by a steady clock gives the wall clock, by which
// commands write when a key is revoked: it must open nothing while it is waited out which clock is right. It is called before
// the first Authenticate.
func (k *Keys) RevokeBy(wall func() time.Time) { k.wall = wall }

// Authenticate returns who the request's key stands for. Its refusals distinguish a missing key from one that opens
// nothing, and no more than that: unknown, wrong, revoked and expired ones get the same answer by the same steps.
func (k *Keys) Authenticate(r *http.Request) (Identity, error) {
	text, err := credential(r.Header)
	if err != nil {
		return Identity{}, err
	}
	switch {
	case text == "":
		return Identity{}, &batch.Error{
			Class: batch.Unauthenticated, Code: codeMissing,
			Message: "No API key was sent. Send it in a header: Authorization: Bearer YOUR_KEY, or x-api-key: YOUR_KEY.",
		}
	case len(text) > maxKey:
		return Identity{}, errInvalid()
	}
	id, hash, now := IDOf(text), HashOf(text), k.now()
	found, ok := k.fromCache(id, hash, now)
	if !ok {
		if found, ok, err = k.read(r.Context(), id, hash, now); err != nil {
			return Identity{}, err
		}
	}
	if !ok || !found.key.Usable(now) || found.key.Revoked(k.wall()) {
		return Identity{}, errInvalid()
	}
	return found.identity(), nil
}

// identity returns whom the key stands for. A role that is not known gives no more than a tenant has.
func (c cachedKey) identity() Identity {
	admin := c.key.Role == store.RoleAdmin
	return Identity{
		Tenant: c.tenant.ID, TenantName: c.tenant.Name, KeyID: c.key.ID, Dialect: c.key.Dialect,
		Operator: admin, Admin: admin, OpensContent: admin && c.key.OpensContent, Limits: c.tenant.Limits,
	}
}

// fromCache returns a key from the cache, if it is fresh and this is its text. A wrong text for a known id is not
// refused here, where it would be faster than for an unknown id, but goes the way of all wrong ones.
func (k *Keys) fromCache(id string, hash [sha256.Size]byte, now time.Time) (cachedKey, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	found, ok := k.cached[id]
	age := now.Sub(found.at)
	fresh := ok && age >= 0 && age < keyCacheTTL // below zero if the clock was set back
	return found, fresh && subtle.ConstantTimeCompare(found.key.Hash[:], hash[:]) == 1
}

// read asks the store for a key, and caches it if this is its text. Where there is no such key the comparison runs
// all the same, against a hash that no text has.
func (k *Keys) read(ctx context.Context, id string, hash [sha256.Size]byte, now time.Time) (cachedKey, bool, error) {
	key, owner, err := k.store.Key(ctx, id)
	exists := !errors.Is(err, store.ErrNotFound)
	if err != nil && exists {
		return cachedKey{}, false, fmt.Errorf("read key %s: %w", id, err)
	}
	if !exists {
		key = store.Key{}
	}
	if same := subtle.ConstantTimeCompare(key.Hash[:], hash[:]) == 1; !same || !exists {
		return cachedKey{}, false, nil
	}
	found := cachedKey{key: key, tenant: owner, at: now}
	k.mu.Lock()
	defer k.mu.Unlock()
	// Where there are too many, any other makes room: it costs that one a read.
	if _, ok := k.cached[key.ID]; !ok && len(k.cached) >= maxCachedKeys {
		for other := range k.cached {
			delete(k.cached, other)
			break
		}
	}
	k.cached[key.ID] = found
	return found, true, nil
}

// credential returns the one key that a request carries, "" if it carries none. Bearer, x-api-key and api-key, which Azure's
// clients send, are understood whatever the dialect; other schemes are for somebody else, a proxy perhaps, and are passed over.
func credential(h http.Header) (string, error) {
	var sent []string
	for _, value := range h.Values("Authorization") { // one at most, in practice
		if scheme, token, ok := strings.Cut(value, " "); ok && strings.EqualFold(scheme, "Bearer") {
			sent = append(sent, strings.Trim(token, " \t"))
		}
	}
	key := ""
	for _, text := range slices.Concat(sent, h.Values("X-Api-Key"), h.Values("Api-Key")) {
		switch {
		case text == "" || text == key:
		case key == "":
			key = text
		default:
			return "", &batch.Error{
				Class: batch.Unauthenticated, Code: codeInvalid,
				Message: "The request carries two different API keys. Send one, as Authorization: Bearer or as x-api-key.",
			}
		}
	}
	return key, nil
}

// errInvalid refuses every key that opens nothing, with the same words whether it is unknown, wrong, revoked or
// expired.
func errInvalid() error {
	return &batch.Error{
		Class: batch.Unauthenticated, Code: codeInvalid,
		Message: "The API key is not valid. Check it, or ask the operator of this server for another one.",
	}
}
