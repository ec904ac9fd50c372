package config

import (
	"fmt"
	"log/slog"
	"net/url"
	"strings"
)

// hidden stands where a secret would.
const hidden = "xxxxx"

// Redacted returns the URL without what may be secret: its password, and the values of its query.
func (u Upstream) Redacted() string {
	parsed, err := url.Parse(u.URL)
	if err != nil {
		return hidden
	}
	if parsed.User != nil {
		parsed.User = url.User(hidden)
	}
	if parsed.RawQuery != "" {
		parsed.RawQuery = hidden
	}
	return parsed.String()
}

// String describes the upstream without secrets: header values, and passwords in its URL.
func (u Upstream) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "{url=%s", u.Redacted())
	if len(u.Models) > 0 {
		fmt.Fprintf(&b, " models=%s", strings.Join(u.Models, ","))
	}
	if u.Concurrency > 0 {
		fmt.Fprintf(&b, " concurrency=%d", u.Concurrency)
	}
	if u.APIKeyEnv != "" {
		fmt.Fprintf(&b, " api_key_env=%s", u.APIKeyEnv)
	}
	if u.APIKeyFile != "" {
		fmt.Fprintf(&b, " api_key_file=%s", u.APIKeyFile)
	}
	if len(u.Headers) > 0 {
		fmt.Fprintf(&b, " headers=%d", len(u.Headers))
	}
	if u.RequestIDHeader != "" {
		fmt.Fprintf(&b, " request_id_header=%s", u.RequestIDHeader)
	}
	if u.IdempotencyKeyHeader != "" {
		fmt.Fprintf(&b, " idempotency_key_header=%s", u.IdempotencyKeyHeader)
	}
	b.WriteByte('}')
	return b.String()
}

// GoString is String: %#v must not show more than %v.
func (u Upstream) GoString() string { return u.String() }

// MarshalText is String, so that no encoder of JSON or YAML shows more.
func (u Upstream) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// LogValue is String.
func (u Upstream) LogValue() slog.Value { return slog.StringValue(u.String()) }

// Secret is a text that is shown in no way: however it is printed, logged or encoded, it comes out as "xxxxx", or as
// nothing if it is empty.
type Secret string

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// GoString is String: %#v must not show more than %v.
func (s Secret) GoString() string { return s.String() }

// Format is String whatever the format asks for, such as %q or %x.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// MarshalText is String, so that no encoder of JSON or YAML shows more.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue is String.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
