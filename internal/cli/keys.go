package cli

import (
	"cmp"
	"fmt"
	"time"

	"batchd/internal/app"
	"batchd/internal/config"
)

// keysCommand is the commands on API keys. They open the data folder themselves, whether a server runs on it or not.
type keysCommand struct {
	dataFlags
	Create createKey `cmd:"" help:"Create an API key, and its tenant if that is new."`
	List   listKeys  `cmd:"" help:"List API keys, oldest first."`
	Revoke revokeKey `cmd:"" help:"End an API key at once."`
	Rotate rotateKey `cmd:"" help:"Replace an API key by a new one; the old one works on for a while."`
}

type createKey struct {
	Tenant  string `required:"" placeholder:"NAME" help:"Who the key acts for: 1 to 64 letters, digits, dots, hyphens or underscores."`
	Dialect string `placeholder:"NAME" help:"Vendor whose API the key speaks under /v1: openai, novita or neosantara (default: the server's)."`
	Expires string `placeholder:"WHEN" help:"End of the key: a length of time like 90d, the last day like 2027-01-31 (UTC), or a time of RFC 3339. Default: none."`
}

// Run creates a key and shows it, this once.
func (c *createKey) Run(s *invocation, g *grammar) error {
	dir, err := g.Keys.folder(s)
	if err != nil {
		return err
	}
	now := time.Now()
	n := app.NewKey{Tenant: c.Tenant, Dialect: c.Dialect}
	if n.ExpiresAt, err = endOf(c.Expires, now); err != nil {
		return err
	}
	k, err := app.CreateKey(s.ctx, dir, n, now)
	if err != nil {
		return err
	}
	if k.TenantIsNew {
		fmt.Fprintf(s.Stderr, "created tenant %s\n", k.Tenant)
	}
	fmt.Fprintf(s.Stderr, "created %s for tenant %s in %s\n", k.ID, k.Tenant, dir)
	return s.showMinted(k, g.Keys.JSON)
}

// endOf reads when a key ends; "" is never.
func endOf(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if last, err := time.Parse(time.DateOnly, text); err == nil {
		return last.AddDate(0, 0, 1), nil // the day itself still counts
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	d, err := config.ParseDuration(text)
	if err != nil {
		return time.Time{}, misuse("--expires: want a length of time like 90d, a day like 2027-01-31 or a time like 2027-01-31T18:00:00Z, got %q", text)
	}
	return now.Add(d), nil
}

// showMinted writes the text of a new key, alone on standard output so that a script can take it from there.
func (s *invocation) showMinted(k app.MintedKey, asJSON bool) error {
	const warning = "The key is shown this once and kept nowhere: store it now."
	if !k.ExpiresAt.IsZero() {
		fmt.Fprintf(s.Stderr, "it expires at %s\n", momentOf(k.ExpiresAt))
	}
	fmt.Fprintln(s.Stderr, warning)
	if asJSON {
		return s.printObject(mintedObject{Key: k.Text, keyObject: keyJSON(k.Key)})
	}
	_, err := fmt.Fprintln(s.Stdout, k.Text)
	return err
}

type listKeys struct {
	Tenant string `placeholder:"NAME" help:"Only keys of this tenant."`
}

// Run lists keys.
func (c *listKeys) Run(s *invocation, g *grammar) error {
	dir, err := g.Keys.folder(s)
	if err != nil {
		return err
	}
	keys, err := app.ListKeys(s.ctx, dir, c.Tenant, time.Now())
	if err != nil {
		return err
	}
	if g.Keys.JSON {
		return s.printObject(listOf(keys, keyJSON))
	}
	rows := []string{"ID\tTENANT\tDIALECT\tSTATE\tCREATED\tENDS"}
	for _, k := range keys {
		rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s",
			k.ID, k.Tenant, cmp.Or(k.Dialect, "-"), k.State, momentOf(k.CreatedAt), momentOf(k.EndsAt())))
	}
	return s.table(rows)
}

type revokeKey struct {
	ID string `arg:"" name:"key-id" help:"Id of the key, as keys list shows it."`
}

// Run ends a key.
func (c *revokeKey) Run(s *invocation, g *grammar) error {
	dir, err := g.Keys.folder(s)
	if err != nil {
		return err
	}
	k, left, err := app.RevokeKey(s.ctx, dir, c.ID, time.Now())
	if err != nil {
		return err
	}
	if left == 0 {
		fmt.Fprintln(s.Stderr, "No key works any more: until `batchd keys create` makes one, the server lets nobody in.")
	}
	if g.Keys.JSON {
		return s.printObject(keyJSON(k))
	}
	fmt.Fprintf(s.Stdout, "revoked %s of tenant %s; a running server refuses it within 5 s\n", k.ID, k.Tenant)
	return nil
}

type rotateKey struct {
	ID      string `arg:"" name:"key-id" help:"Id of the key to replace, as keys list shows it."`
	Overlap string `default:"24h" placeholder:"TIME" help:"How long the old key works on (default 24h); 0 ends it at once."`
}

// Run replaces a key and shows the new one, this once.
func (c *rotateKey) Run(s *invocation, g *grammar) error {
	dir, err := g.Keys.folder(s)
	if err != nil {
		return err
	}
	overlap, err := config.ParseDuration(c.Overlap)
	if err != nil {
		return misuse("--overlap: %v", err)
	}
	k, old, err := app.RotateKey(s.ctx, dir, c.ID, overlap, time.Now())
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Stderr, "created %s for tenant %s; %s works until %s\n", k.ID, k.Tenant, old.ID, momentOf(old.EndsAt()))
	return s.showMinted(k, g.Keys.JSON)
}

// keyObject is a key in JSON. Times are unix seconds.
type keyObject struct {
	ID        string  `json:"id"`
	Tenant    string  `json:"tenant"`
	TenantID  string  `json:"tenant_id"`
	Dialect   *string `json:"dialect"`
	State     string  `json:"state"`
	CreatedAt *int64  `json:"created_at"`
	ExpiresAt *int64  `json:"expires_at"`
	RevokedAt *int64  `json:"revoked_at"`
}

// mintedObject is a new key with its text.
type mintedObject struct {
	Key string `json:"key"`
	keyObject
}

func keyJSON(k app.Key) keyObject {
	o := keyObject{
		ID: k.ID, Tenant: k.Tenant, TenantID: k.TenantID, State: string(k.State),
		CreatedAt: unixOf(k.CreatedAt), ExpiresAt: unixOf(k.ExpiresAt), RevokedAt: unixOf(k.RevokedAt),
	}
	if k.Dialect != "" {
		o.Dialect = &k.Dialect
	}
	return o
}
