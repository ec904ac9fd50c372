package upstream

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	// keyTTL is how long a key is used before its source is asked again: a rotated key is taken up within it, and a file is
	// not read for every call. refusedKeyTTL holds for a key that an upstream has refused: it may have been changed just now.
	keyTTL        = 10 * time.Second
	refusedKeyTTL = time.Second
)

// KeyFromEnv returns a source that reads the environment variable name.
func KeyFromEnv(name string) func() (string, error) {
	return func() (string, error) {
		key := strings.TrimSpace(os.Getenv(name))
		if key == "" {
			return "", fmt.Errorf("api key: environment variable %s is empty or not set", name)
		}
		return key, nil
	}
}

// KeyFromFile returns a source that reads the file at path each time, without surrounding white space.
func KeyFromFile(path string) func() (string, error) {
	return func() (string, error) {
		raw, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("api key: %w", err)
		}
		key := strings.TrimSpace(string(raw))
		if key == "" {
			return "", fmt.Errorf("api key: file %s is empty", path)
		}
		return key, nil
	}
}

// credential holds the value of the Authorization header.
type credential struct {
	source func() (string, error)
	now    func() time.Time

	// mu guards the fields below.
	mu     sync.Mutex
	header []string
	read   time.Time
	// refused is set when an upstream has refused the key since it was read.
	refused bool
}

// newCredential returns a credential that sends the source's key, else user as basic authentication, else nothing. It reads
// the key once, so that a wrong configuration shows at start.
func newCredential(source func() (string, error), user *url.Userinfo, now func() time.Time) (*credential, error) {
	c := &credential{source: source, now: now}
	switch {
	case source != nil:
		_, err := c.value()
		return c, err
	case user != nil:
		password, _ := user.Password()
		c.header = []string{"Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password))}
	}
	return c, nil
}

// refuse notes that an upstream has refused the key.
func (c *credential) refuse() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused = true
}

// held returns the header without asking the source.
func (c *credential) held() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.header
}

// value returns the header, and asks the source again once the key in use is older than its TTL. If that fails the key in
// use stays, and the error comes back beside it.
func (c *credential) value() ([]string, error) {
	if c.source == nil {
		return c.header, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	ttl := keyTTL
	if c.refused {
		ttl = refusedKeyTTL
	}
	now := c.now()
	if age := now.Sub(c.read); c.header != nil && age >= 0 && age < ttl {
		return c.header, nil
	}
	c.read, c.refused = now, false
	key, err := c.source()
	if err == nil && !isHeaderValue(key) {
		err = errors.New("api key: it has control characters or is longer than 8 KiB")
	}
	if err != nil {
		return c.header, err
	}
	if value := "Bearer " + key; c.header == nil || c.header[0] != value {
		c.header = []string{value}
	}
	return c.header, nil
}
