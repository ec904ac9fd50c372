package tenant_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/batch"
	"batchd/internal/store"
	"batchd/internal/tenant"
)

// cabinet is a store with keys of one tenant, and a clock, both in memory.
type cabinet struct {
	// mu guards following fields.
	mu     sync.Mutex
	keys   map[string]store.Key
	tenant store.Tenant
	now    time.Time
	err    error
	// reads are the ids that Key was asked for; looks counts the calls of HasKeys.
	reads []string
	looks int
}

func newCabinet() *cabinet {
	return &cabinet{
		keys:   make(map[string]store.Key),
		tenant: store.Tenant{ID: "t-1", Name: "acme", Weight: 1, Limits: store.Limits{RequestsPerMinute: 60}},
		now:    time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC),
	}
}

func (c *cabinet) Key(_ context.Context, id string) (store.Key, store.Tenant, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads = append(c.reads, id)
	if c.err != nil {
		return store.Key{}, store.Tenant{}, c.err
	}
	k, ok := c.keys[id]
	if !ok {
		return store.Key{}, store.Tenant{}, fmt.Errorf("key %s: %w", id, store.ErrNotFound)
	}
	return k, c.tenant, nil
}

func (c *cabinet) HasKeys(context.Context) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looks++
	return len(c.keys) > 0, c.err
}

func (c *cabinet) clock() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *cabinet) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// change edits the key of a text, adding it if it is new.
func (c *cabinet) change(text string, edit func(*store.Key)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, ok := c.keys[tenant.IDOf(text)]
	if !ok {
		k = store.Key{ID: tenant.IDOf(text), Tenant: c.tenant.ID, Hash: tenant.HashOf(text), CreatedAt: c.now}
	}
	edit(&k)
	c.keys[k.ID] = k
}

func (c *cabinet) add(text string) { c.change(text, func(*store.Key) {}) }

// readCount returns how often Key was called since it was last asked.
func (c *cabinet) readCount() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.reads)
	c.reads = nil
	return n
}

// with returns a request with headers: names and values in turn.
func with(headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/v1/files", nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func bearer(text string) *http.Request { return with("Authorization", "Bearer "+text) }

// refusal returns the user fault that a request is refused with.
func refusal(t *testing.T, a tenant.Authenticator, r *http.Request) batch.Error {
	t.Helper()
	who, err := a.Authenticate(r)
	var fault *batch.Error
	if !errors.As(err, &fault) {
		t.Fatalf("got %+v, %v, want a refusal", who, err)
	}
	if fault.Class != batch.Unauthenticated {
		t.Errorf("refused with class %d", fault.Class)
	}
	if who != (tenant.Identity{}) {
		t.Errorf("refused, but with the identity %+v", who)
	}
	return *fault
}

func admitted(t *testing.T, a tenant.Authenticator, r *http.Request) tenant.Identity {
	t.Helper()
	who, err := a.Authenticate(r)
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	return who
}

func TestAKeyIsTakenFromEachHeader(t *testing.T) {
	t.Parallel()
	text, other := tenant.Mint(), tenant.Mint()
	c := newCabinet()
	c.add(text)
	c.add(other)
	c.change(text, func(k *store.Key) { k.Dialect = "novita" })
	keys := tenant.NewKeys(c, c.clock)
	for name, headers := range map[string][]string{
		"bearer":                          {"Authorization", "Bearer " + text},
		"scheme in small letters":         {"Authorization", "bearer " + text},
		"scheme in capitals":              {"Authorization", "BEARER " + text},
		"more than one space":             {"Authorization", "Bearer   " + text},
		"x-api-key":                       {"X-Api-Key", text},
		"api-key":                         {"Api-Key", text},
		"all three alike":                 {"Authorization", "Bearer " + text, "X-Api-Key", text, "Api-Key", text},
		"api-key beside another scheme":   {"Authorization", "Basic dXNlcjpwYXNz", "Api-Key", text},
		"both alike":                      {"Authorization", "Bearer " + text, "X-Api-Key", text},
		"twice the same header":           {"X-Api-Key", text, "X-Api-Key", text},
		"x-api-key beside another scheme": {"Authorization", "Basic dXNlcjpwYXNz", "X-Api-Key", text},
		"x-api-key beside an empty token": {"Authorization", "Bearer ", "X-Api-Key", text},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := tenant.Identity{
				Tenant: "t-1", TenantName: "acme", KeyID: tenant.IDOf(text), Dialect: "novita", Limits: store.Limits{RequestsPerMinute: 60},
			}
			if diff := cmp.Diff(want, admitted(t, keys, with(headers...))); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
		})
	}
}

func TestARoleIsTakenFromTheKeyAndAnUnknownOneGivesNothing(t *testing.T) {
	t.Parallel()
	text := tenant.Mint()
	for _, c := range []struct {
		role           store.Role
		content        bool
		admin, opensIt bool
	}{
		{store.RoleTenant, false, false, false},
		{store.RoleAdmin, false, true, false},
		{store.RoleAdmin, true, true, true},
		{store.RoleTenant, true, false, false},
		{"", true, false, false},
		{"owner", true, false, false},
	} {
		box := newCabinet()
		box.change(text, func(k *store.Key) { k.Role, k.OpensContent = c.role, c.content })
		who := admitted(t, tenant.NewKeys(box, box.clock), bearer(text))
		if who.Operator != c.admin || who.Admin != c.admin || who.OpensContent != c.opensIt || who.Tenant != "t-1" {
			t.Errorf("role %q, content %v: %+v", c.role, c.content, who)
		}
	}
}

func TestARequestWithoutAKeyIsToldHowToSendOne(t *testing.T) {
	t.Parallel()
	c := newCabinet()
	c.add(tenant.Mint())
	keys := tenant.NewKeys(c, c.clock)
	for name, headers := range map[string][]string{
		"nothing":         nil,
		"empty":           {"Authorization", "", "X-Api-Key", "", "Api-Key", ""},
		"scheme alone":    {"Authorization", "Bearer"},
		"empty token":     {"Authorization", "Bearer  "},
		"basic":           {"Authorization", "Basic dXNlcjpwYXNz"},
		"a scheme's name": {"Authorization", "BearerX abc"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fault := refusal(t, keys, with(headers...))
			if fault.Code != "missing_api_key" || !strings.Contains(fault.Message, "Authorization: Bearer") {
				t.Errorf("got %+v", fault)
			}
		})
	}
}

func TestTwoDifferentKeysAreRefused(t *testing.T) {
	t.Parallel()
	text, other := tenant.Mint(), tenant.Mint()
	c := newCabinet()
	c.add(text)
	c.add(other)
	keys := tenant.NewKeys(c, c.clock)
	for name, headers := range map[string][]string{
		"one in each header":  {"Authorization", "Bearer " + text, "X-Api-Key", other},
		"two bearers":         {"Authorization", "Bearer " + text, "Authorization", "Bearer " + other},
		"bearer and api-key":  {"Authorization", "Bearer " + text, "Api-Key", other},
		"the two headers":     {"X-Api-Key", text, "Api-Key", other},
		"two api-keys":        {"Api-Key", text, "Api-Key", other},
		"two x-api-keys":      {"X-Api-Key", text, "X-Api-Key", other},
		"one of them unknown": {"Authorization", "Bearer " + text, "X-Api-Key", "zzz"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fault := refusal(t, keys, with(headers...))
			if !strings.Contains(fault.Message, "two different API keys") {
				t.Errorf("got %+v", fault)
			}
		})
	}
}

// wrongKeys are keys that open nothing, for as many reasons as there are.
func wrongKeys(c *cabinet, good string) map[string]string {
	revoked, expired := tenant.Mint(), tenant.Mint()
	c.change(revoked, func(k *store.Key) { k.RevokedAt = c.now })
	c.change(expired, func(k *store.Key) { k.ExpiresAt = c.now })
	last := "A"
	if strings.HasSuffix(good, last) {
		last = "B"
	}
	return map[string]string{
		"unknown":                tenant.Mint(),
		"revoked":                revoked,
		"expired":                expired,
		"wrong in the first":     good[:43] + "!" + good[44:],
		"wrong in the last":      good[:len(good)-1] + last,
		"all but the last":       good[:len(good)-1],
		"the id alone":           good[:42],
		"prefix alone":           "sk-batchd-",
		"one too many":           good + "x",
		"one character":          "x",
		"longest that is read":   strings.Repeat("x", 1024),
		"longer than is read":    strings.Repeat("x", 1025),
		"very long":              strings.Repeat("x", 1<<20),
		"the id of the key":      tenant.IDOf(good),
		"the hash of the key":    fmt.Sprintf("%x", tenant.HashOf(good)),
		"other case":             strings.ToUpper(good),
		"not even text":          "\xff\xfe\x80",
		"hash of nothing at all": strings.Repeat("\x00", 32),
	}
}

func TestEveryKeyThatOpensNothingGetsTheSameAnswer(t *testing.T) {
	t.Parallel()
	good := tenant.Mint()
	c := newCabinet()
	c.add(good)
	wrong := wrongKeys(c, good)
	keys := tenant.NewKeys(c, c.clock)
	want := refusal(t, keys, bearer(tenant.Mint()))
	if want.Code != "invalid_api_key" {
		t.Fatalf("got code %s", want.Code)
	}
	for name, text := range wrong {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(want, refusal(t, keys, bearer(text))); diff != "" {
				t.Errorf("another answer (-unknown +this):\n%s", diff)
			}
			if len(text) > 20 && strings.Contains(want.Message, text) {
				t.Errorf("the key is repeated: %s", want.Message)
			}
		})
	}
}

// How long a refusal takes must not tell whether an id exists, how much of a secret is right, or that the right key was
// just used. So all go the same way: one read, one comparison, no memory.
func TestEveryWrongKeyTakesTheSameSteps(t *testing.T) {
	t.Parallel()
	good := tenant.Mint()
	c := newCabinet()
	c.add(good)
	keys := tenant.NewKeys(c, c.clock)
	for _, warmth := range []string{"cold", "while the right key is known"} {
		for at := len("sk-batchd-"); at < len(good); at++ {
			text := good[:at] + "~" + good[at+1:] // right up to there
			c.readCount()
			refusal(t, keys, bearer(text))
			if n := c.readCount(); n != 1 {
				t.Errorf("%s: a key that is right in its first %d characters costs %d reads, want 1", warmth, at, n)
			}
		}
		admitted(t, keys, bearer(good))
	}
}

func TestAKnownKeyCostsOneReadInFiveSeconds(t *testing.T) {
	t.Parallel()
	good := tenant.Mint()
	c := newCabinet()
	c.add(good)
	keys := tenant.NewKeys(c, c.clock)
	for range 50 {
		admitted(t, keys, bearer(good))
		c.pass(99 * time.Millisecond)
	}
	if n := c.readCount(); n != 1 {
		t.Errorf("%d reads in 4.95 s, want 1", n)
	}
	c.pass(50 * time.Millisecond)
	admitted(t, keys, bearer(good))
	if n := c.readCount(); n != 1 {
		t.Errorf("%d reads after 5 s, want 1", n)
	}
	c.pass(-time.Hour) // the clock was set back: nothing is known of how old anything is
	admitted(t, keys, bearer(good))
	if n := c.readCount(); n != 1 {
		t.Errorf("%d reads after the clock was set back, want 1", n)
	}
}

func TestChangesAreSeenWithinFiveSeconds(t *testing.T) {
	t.Parallel()
	good := tenant.Mint()
	c := newCabinet()
	c.add(good)
	keys := tenant.NewKeys(c, c.clock)
	admitted(t, keys, bearer(good))
	c.tenant.Limits = store.Limits{RequestsPerMinute: 7}
	c.pass(5 * time.Second)
	if who := admitted(t, keys, bearer(good)); who.Limits.RequestsPerMinute != 7 {
		t.Errorf("the new limit is not seen: %+v", who)
	}
	c.change(good, func(k *store.Key) { k.RevokedAt = c.now })
	c.pass(5 * time.Second)
	refusal(t, keys, bearer(good))
}

// After a restart the steady clock is behind for a minute, by as long as the server was down.
func TestARevocationCountsByTheWallClockTooAndAnExpiryDoesNot(t *testing.T) {
	t.Parallel()
	revoked, expired := tenant.Mint(), tenant.Mint()
	c := newCabinet()
	c.change(revoked, func(k *store.Key) { k.RevokedAt = c.now.Add(time.Hour) })
	c.change(expired, func(k *store.Key) { k.ExpiresAt = c.now.Add(time.Hour) })
	keys := tenant.NewKeys(c, c.clock)
	keys.RevokeBy(func() time.Time { return c.clock().Add(2 * time.Hour) })
	refusal(t, keys, bearer(revoked))
	admitted(t, keys, bearer(expired))
	c.pass(time.Hour)
	refusal(t, keys, bearer(expired))
}

func TestAnEndThatLiesAheadComesOnTime(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*store.Key, time.Time){
		"expiry":     func(k *store.Key, at time.Time) { k.ExpiresAt = at },
		"revocation": func(k *store.Key, at time.Time) { k.RevokedAt = at },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			good := tenant.Mint()
			c := newCabinet()
			c.change(good, func(k *store.Key) { end(k, c.now.Add(time.Second)) })
			keys := tenant.NewKeys(c, c.clock)
			admitted(t, keys, bearer(good))
			c.pass(time.Second - 1)
			admitted(t, keys, bearer(good))
			c.pass(1)
			refusal(t, keys, bearer(good))
			if n := c.readCount(); n != 1 {
				t.Errorf("%d reads: what is known says when the key ends", n)
			}
		})
	}
}

func TestWrongKeysPushNoGoodOneOut(t *testing.T) {
	t.Parallel()
	good := tenant.Mint()
	c := newCabinet()
	c.add(good)
	keys := tenant.NewKeys(c, c.clock)
	admitted(t, keys, bearer(good))
	for i := range 20_000 {
		refusal(t, keys, bearer(fmt.Sprintf("wrong-%d", i)))
	}
	c.readCount()
	admitted(t, keys, bearer(good))
	if n := c.readCount(); n != 0 {
		t.Errorf("the good key was read again")
	}
}

func TestMoreKeysThanAreRememberedAllWork(t *testing.T) {
	t.Parallel()
	c := newCabinet()
	keys := tenant.NewKeys(c, c.clock)
	text := func(i int) string { return fmt.Sprintf("chosen-key-number-%06d", i) }
	const many = 12_000
	for i := range many {
		c.add(text(i))
		admitted(t, keys, bearer(text(i)))
	}
	c.readCount()
	for i := range many {
		if who := admitted(t, keys, bearer(text(i))); who.KeyID != tenant.IDOf(text(i)) {
			t.Fatalf("key %d came out as %s", i, who.KeyID)
		}
	}
	if n := c.readCount(); n < 2000 {
		t.Errorf("only %d reads: more than 10,000 keys are held in memory", n)
	}
}

func TestAStoreThatFailsLetsNobodyInAndIsNoRefusal(t *testing.T) {
	t.Parallel()
	c := newCabinet()
	c.err = errors.New("disk on fire")
	for name, a := range map[string]tenant.Authenticator{
		"keys":            tenant.NewKeys(c, c.clock),
		"open until keys": openUntil(c),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := a.Authenticate(bearer(tenant.Mint()))
			var fault *batch.Error
			if !errors.Is(err, c.err) || errors.As(err, &fault) {
				t.Errorf("got %v, want the internal error", err)
			}
		})
	}
}

func TestKeysMayBeCheckedConcurrently(t *testing.T) {
	t.Parallel()
	c := newCabinet()
	good := []string{tenant.Mint(), tenant.Mint(), tenant.Mint()}
	for _, text := range good {
		c.add(text)
	}
	keys := tenant.NewKeys(c, c.clock)
	var running sync.WaitGroup
	for i := range 8 {
		running.Go(func() {
			for n := range 300 {
				if _, err := keys.Authenticate(bearer(good[(i+n)%3])); err != nil {
					t.Errorf("a good key is refused: %v", err)
				}
				if _, err := keys.Authenticate(bearer(fmt.Sprint("wrong", i, n))); err == nil {
					t.Error("a wrong key is admitted")
				}
				c.pass(50 * time.Millisecond)
			}
		})
	}
	running.Wait()
}
