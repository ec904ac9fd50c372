package httpapi

import (
	"net/http"
	"strings"

	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/tenant"
)

// maxID is the longest id that is looked up. Every dialect's own are far shorter.
const maxID = 128

// call is one API request under way.
type call struct {
	*server
	mount   *Mount
	dialect dialect.Dialect
	who     tenant.Identity
	w       *reply
	r       *http.Request
}

// speak returns the dialect of a call whose identity is not known, for the errors before it is.
func (m *Mount) speak(r *http.Request) dialect.Dialect { return m.speakTo(r, tenant.Identity{}) }

func (m *Mount) speakTo(r *http.Request, who tenant.Identity) dialect.Dialect {
	if m.Choose != nil {
		if d := m.Choose(r.Host, who); d != nil {
			return d
		}
	}
	return m.Dialect
}

func (c *call) authenticate() (err error) {
	if c.who, err = c.Auth.Authenticate(c.r); err != nil {
		return err
	}
	c.dialect = c.mount.speakTo(c.r, c.who)
	return nil
}

// id returns the id in the path. One that cannot be any dialect's is not looked up: the answer is the same.
func (c *call) id(kind string) (string, error) {
	id := c.r.PathValue("id")
	if !plausible(id) {
		return "", c.dialect.NotFound(kind, id)
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

// json writes an object and status 200.
func (c *call) json(body []byte) error {
	c.w.json(http.StatusOK, body)
	return nil
}
