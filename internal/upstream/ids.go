package upstream

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// NoHeader stands in place of a header's name and leaves the header out.
const NoHeader = "none"

// The headers that name a line, unless the configuration says otherwise.
const (
	defaultRequestIDHeader      = "X-Request-Id"
	defaultIdempotencyKeyHeader = "Idempotency-Key"
)

// idHeaders are the names of the headers that name a line, "" for one that is left out. They are in lower case: net/http
// repeats a request that was written if it sees an Idempotency-Key, which it looks for in canonical case only.
type idHeaders struct{ requestID, idempotencyKey string }

// newIDHeaders checks the names that c gives; others are what is sent besides.
func newIDHeaders(c Config, others http.Header) (idHeaders, error) {
	var names idHeaders
	for _, n := range []struct {
		setting, name, standard string
		into                    *string
	}{
		{"request id header", c.RequestIDHeader, defaultRequestIDHeader, &names.requestID},
		{"idempotency key header", c.IdempotencyKeyHeader, defaultIdempotencyKeyHeader, &names.idempotencyKey},
	} {
		switch n.name {
		case NoHeader:
			continue
		case "":
			n.name = n.standard
		}
		key := http.CanonicalHeaderKey(n.name)
		_, taken := others[key]
		switch {
		case !isToken(n.name):
			return names, fmt.Errorf("upstream %s %q: not a header name", n.setting, n.name)
		case taken || slices.Contains(framingHeaders, key) || key == "Authorization":
			return names, fmt.Errorf("upstream %s %q: the header says something else", n.setting, n.name)
		}
		*n.into = strings.ToLower(n.name)
	}
	if names.requestID != "" && names.requestID == names.idempotencyKey {
		return names, fmt.Errorf("upstream request id header %q: it is that of the idempotency key too", names.requestID)
	}
	return names, nil
}

// set names the line of a call. The request id is a UUID, since some servers refuse a request whose id is none: one of
// version 8, whose meaning is its maker's, from the SHA-256 of the key, so that each try of a line has the same.
func (n idHeaders) set(h http.Header, key string) {
	if key == "" {
		return
	}
	if n.idempotencyKey != "" {
		h[n.idempotencyKey] = []string{key}
	}
	if n.requestID != "" {
		sum := sha256.Sum256([]byte(key))
		id := uuid.UUID(sum[:16])
		id[6] = id[6]&0x0f | 8<<4 // the version
		id[8] = id[8]&0x3f | 0x80 // the variant of RFC 9562
		h[n.requestID] = []string{id.String()}
	}
}
