package tenant

import (
	"net/http"
	"strings"

	"batchd/internal/batch"
)

// credential returns the one key that a request carries, "" if it carries none. Bearer and x-api-key are understood
// whatever the dialect; other schemes are for somebody else, a proxy perhaps, and are passed over.
func credential(h http.Header) (string, error) {
	key := ""
	for _, text := range append(bearers(h), h.Values("X-Api-Key")...) {
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

// bearers returns the bearer tokens of the Authorization headers, of which there is one at most in practice.
func bearers(h http.Header) []string {
	var tokens []string
	for _, value := range h.Values("Authorization") {
		if scheme, token, ok := strings.Cut(value, " "); ok && strings.EqualFold(scheme, "Bearer") {
			tokens = append(tokens, strings.Trim(token, " \t"))
		}
	}
	return tokens
}

// The codes that dialects know refused credentials by.
const (
	codeMissing = "missing_api_key"
	codeInvalid = "invalid_api_key"
)

// errMissing refuses a request without a key.
func errMissing() error {
	return &batch.Error{
		Class: batch.Unauthenticated, Code: codeMissing,
		Message: "No API key was sent. Send it in a header: Authorization: Bearer YOUR_KEY, or x-api-key: YOUR_KEY.",
	}
}

// errInvalid refuses every key that opens nothing, with the same words whether it is unknown, wrong, revoked or
// expired.
func errInvalid() error {
	return &batch.Error{
		Class: batch.Unauthenticated, Code: codeInvalid,
		Message: "The API key is not valid. Check it, or ask the operator of this server for another one.",
	}
}
