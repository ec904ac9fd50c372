package httpapi

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/tenant"
)

const (
	// maxID is the longest id that is looked up. Every dialect's own are far shorter.
	maxID = 128
	// maxJSONBody bounds the body of a JSON call. It has room above 1 MiB so that one oversized value gets an error that
	// names it.
	maxJSONBody = batch.MiB + 64*batch.KiB
)

// call is one API request under way.
type call struct {
	*server
	mount *Mount
	// Profile is that of the dialect that the call speaks.
	dialect.Profile
	who tenant.Identity
	w   *reply
	r   *http.Request
}

// speak returns the profile of a call whose identity is not known, for the errors before it is.
func (m *Mount) speak(r *http.Request) dialect.Profile { return m.speakTo(r, tenant.Identity{}) }

func (m *Mount) speakTo(r *http.Request, who tenant.Identity) dialect.Profile {
	if m.Choose != nil {
		if p, ok := m.Choose(r.Host, who); ok {
			return p
		}
	}
	return m.Profile
}

// authenticate finds out who calls, and with that the dialect, and counts the call.
func (c *call) authenticate() error {
	who, err := c.Auth.Authenticate(c.r)
	if err != nil {
		return err
	}
	c.who, c.Profile = who, c.mount.speakTo(c.r, who)
	return c.countRequest()
}

// id returns the id in the path. One that cannot be any dialect's is not looked up: the answer is the same.
func (c *call) id(kind string) (string, error) {
	id := c.r.PathValue("id")
	if !plausible(id) {
		return "", c.Dialect.NotFound(kind, id)
	}
	return id, nil
}

// plausible reports whether id could be an id: short, and of letters, digits, "-" and "_".
func plausible(id string) bool {
	return id != "" && len(id) <= maxID && !strings.ContainsFunc(id, foreign)
}

// foreign reports whether no id has the character r.
func foreign(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
		return false
	default:
		return true
	}
}

// refuseEncoding refuses compressed request bodies: nobody sends them, and their size says nothing about what they
// unpack to.
func (c *call) refuseEncoding() error {
	if e := c.r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return batch.Invalidf("", "", "Request bodies with a Content-Encoding are not accepted. Send the body uncompressed.")
	}
	return nil
}

// body reads the body of a JSON call, which may be empty.
func (c *call) body() ([]byte, error) {
	if err := c.refuseEncoding(); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxJSONBody))
	if err != nil {
		return nil, bodyFault(err)
	}
	return body, nil
}

// bodyFault tells a body that is too large or too slow from one that did not arrive whole.
func bodyFault(err error) error {
	var tooLarge *http.MaxBytesError
	var fault *batch.Error
	if errors.As(err, &tooLarge) || errors.As(err, &fault) {
		return fmt.Errorf("read request body: %w", err)
	}
	return batch.Invalidf("", "", "The request body ended early. Send the request again.")
}

// json writes an object and status 200.
func (c *call) json(body []byte) error {
	c.w.json(http.StatusOK, body)
	return nil
}
