package tenant

import (
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// OpenUntilKeys is the authenticator of a server that only its own machine can reach: it is Open while no key exists,
// and demands keys within five seconds of the first one's creation, for good. Make it with NewOpenUntilKeys.
type OpenUntilKeys struct {
	open Open
	keys *Keys
	log  *slog.Logger

	// mu guards required and checked. It is never held while the store is read.
	mu sync.Mutex
	// required is set once a key was seen; checked is when none was.
	required bool
	checked  time.Time
}

// NewOpenUntilKeys returns an authenticator that is open until keys has one, which it logs.
func NewOpenUntilKeys(open Open, keys *Keys, logger *slog.Logger) *OpenUntilKeys {
	return &OpenUntilKeys{open: open, keys: keys, log: logger}
}

// Authenticate lets everybody in as the one tenant while there are no keys, and then only who has one.
func (o *OpenUntilKeys) Authenticate(r *http.Request) (Identity, error) {
	required, err := o.keysRequired(r)
	switch {
	case err != nil:
		return Identity{}, err
	case required:
		return o.keys.Authenticate(r)
	default:
		return o.open.Authenticate(r)
	}
}

// keysRequired reports whether a request must carry a key. The store is asked without the lock held, by several
// requests at once if they come together: none of them waits for another's read.
func (o *OpenUntilKeys) keysRequired(r *http.Request) (bool, error) {
	now := o.keys.now()
	o.mu.Lock()
	age := now.Sub(o.checked)
	required, fresh := o.required, age >= 0 && age < keyCacheTTL
	o.mu.Unlock()
	if required || fresh {
		return required, nil
	}
	exist, err := o.keys.store.HasKeys(r.Context())
	if err != nil {
		return false, fmt.Errorf("look for keys: %w", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if exist && !o.required {
		o.required = true
		o.log.Info("an API key exists now: from here on every call must carry one")
	}
	o.checked = now
	return o.required, nil
}
