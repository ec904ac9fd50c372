package batches

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"batchd/internal/batch"
	"batchd/internal/httpapi"
	"batchd/internal/store"
)

const (
	// keyHeader is the header by which a client names a create call that it may send again.
	keyHeader = "Idempotency-Key"
	// maxKey is the longest key, in bytes. SDKs send UUIDs, which have 36; keys are stored for a day.
	maxKey = 255
)

// idempotencyKey returns the key that a call with this body came with, nil if it has none.
func idempotencyKey(c *httpapi.Call, body []byte) (*store.IdempotencyKey, error) {
	values := c.Request.Header.Values(keyHeader)
	switch {
	case len(values) == 0:
		return nil, nil
	case len(values) > 1:
		return nil, batch.Invalidf(keyHeader, "", "Several %s headers were sent. Send one.", keyHeader)
	case values[0] == "" || len(values[0]) > maxKey || strings.ContainsFunc(values[0], func(r rune) bool { return r < ' ' || r > '~' }):
		return nil, batch.Invalidf(keyHeader, "", "Invalid '%s': expected 1 to %d printable ASCII characters.", keyHeader, maxKey)
	}
	return &store.IdempotencyKey{Key: values[0], Fingerprint: fingerprint(c.Request.URL.Path, body)}, nil
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
