package batches

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/httpapi"
	"batchd/internal/store"
)

const (
	// keyHeader is the header by which a client names a create call that it may send again.
	keyHeader = "Idempotency-Key"
	// keyMember is where some clients put it in the body of a create call.
	keyMember = "idempotency_key"
	// maxKey is the longest key, in bytes. SDKs send UUIDs, which have 36; keys are stored for a day.
	maxKey = 255
)

// idempotencyKey returns the key that a call with this body came with, nil if it has none.
func idempotencyKey(c *httpapi.Call, body []byte) (*store.IdempotencyKey, error) {
	values := c.Request.Header.Values(keyHeader)
	switch len(values) {
	case 0:
		return nil, nil
	case 1:
		return newKey(c, keyHeader, values[0], body)
	default:
		return nil, batch.Invalidf(keyHeader, "", "Several %s headers were sent. Send one.", keyHeader)
	}
}

// keyOfCreate returns the key of a create call, which is in a header or in its body, nil if it has none.
func keyOfCreate(c *httpapi.Call, asked dialect.CreateBatch, body []byte) (*store.IdempotencyKey, error) {
	key, err := idempotencyKey(c, body)
	if err != nil || !asked.HasIdempotencyKey {
		return key, err
	}
	if key != nil && key.Key != asked.IdempotencyKey {
		return nil, batch.Invalidf(keyMember, "", "The %s header and '%s' have different keys. Send one.", keyHeader, keyMember)
	}
	return newKey(c, keyMember, asked.IdempotencyKey, body)
}

// newKey returns a key for the call, if it may be one. param names where it was sent.
func newKey(c *httpapi.Call, param, key string, body []byte) (*store.IdempotencyKey, error) {
	if key == "" || len(key) > maxKey || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) {
		return nil, batch.Invalidf(param, "", "Invalid '%s': expected 1 to %d printable ASCII characters.", param, maxKey)
	}
	return &store.IdempotencyKey{Key: key, Fingerprint: fingerprint(c.Request.URL.Path, body)}, nil
}

// once returns the batch that an earlier call made under the key, as it is now, and looks at nothing else then. If
// there is none, or no key, it returns what create does.
func (a *API) once(c *httpapi.Call, key *store.IdempotencyKey, create func() (batch.Batch, error)) (batch.Batch, error) {
	if key == nil {
		return create()
	}
	b, err := a.store.BatchOfKey(c.Context(), c.Who.Tenant, *key, c.Steady())
	switch {
	case err == nil:
		return a.Live(c, b)
	case errors.Is(err, store.ErrNotFound):
		return create()
	case errors.Is(err, store.ErrKeyReused):
		return batch.Batch{}, keyReused()
	default:
		return batch.Batch{}, fmt.Errorf("look up idempotency key: %w", err)
	}
}

// fingerprint returns a digest that is the same for calls that ask for the same thing. Bodies that differ only in white space
// or in the order of members have the same one, because some clients send a call again by encoding it again.
func fingerprint(path string, body []byte) [sha256.Size]byte {
	canonical := jsontext.Value(bytes.Clone(body))
	if canonical.Canonicalize() != nil {
		canonical = body // a dialect may take more than strict JSON; then every byte counts
	}
	return sha256.Sum256(append([]byte(path+"\n"), canonical...))
}

func keyReused() *batch.Error {
	return &batch.Error{
		Class: batch.Conflict, Code: "idempotency_key_reused",
		Message: "This " + keyHeader + " was used for a different request in the last 24 hours. Use a new key for a new request.",
	}
}
