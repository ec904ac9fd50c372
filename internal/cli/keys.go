package cli

import (
	"cmp"
	"fmt"
	"log/slog"
	"time"

	"batchd/internal/admin"
	"batchd/internal/app"
	"batchd/internal/config"
	"batchd/internal/store"
)

// keysCommand is the commands on API keys. They open the data directory themselves, whether a server runs on it or not.
type keysCommand struct {
	dataFlags
	Create createKey `cmd:"" help:"Create an API key, and its tenant if that is new."`
	List   listKeys  `cmd:"" help:"List API keys, oldest first."`
	Revoke revokeKey `cmd:"" help:"Revoke an API key immediately."`
	Rotate rotateKey `cmd:"" help:"Replace an API key with a new one; the old one keeps working for an overlap."`
}

// createKey creates a key. Unlike its siblings it makes the data directory if there is none: a server that others can reach does
// not start without a key.
type createKey struct {
	Tenant  string `placeholder:"NAME" help:"Tenant that the key acts for: 1 to 64 letters, digits, dots, hyphens or underscores. Required unless with --admin (default: default)."`
	Admin   bool   `help:"Make an admin key: it may act for every tenant and administer the server, but not read what other tenants' files hold."`
	Content bool   `help:"With --admin: the key may also read and write what other tenants' files hold."`
	Dialect string `placeholder:"NAME" help:"Vendor whose API the key speaks: ${dialects} (default: as host and path of a call say)."`
	Expires string `placeholder:"WHEN" help:"When the key expires: a duration like 90d, its last day like 2027-01-31 (UTC), or an RFC 3339 time. Default: never."`
}

// Run creates a key and shows it, this once.
func (c *createKey) Run(s *invocation, g *grammar) error {
	cfg, err := g.Keys.settings(s)
	if err != nil {
		return err
	}
	now := time.Now()
	n := admin.NewKey{Tenant: c.Tenant, Dialect: c.Dialect, OpensContent: c.Content}
	switch {
	case c.Admin:
		n.Role = store.RoleAdmin
	case c.Content:
		return misuse("--content goes with --admin: a tenant's key opens its own tenant's files anyway")
	case c.Tenant == "":
		return misuse("missing flags: --tenant=NAME, or --admin")
	}
	if n.ExpiresAt, err = expiryOf(c.Expires, now); err != nil {
		return err
	}
	// Checked before a data directory is made for it, so that a slip of the pen leaves none behind.
	if err := n.Check(config.Dialects(), now); err != nil {
		return remedied(err)
	}
	var k admin.MintedKey
	err = app.Administer(s.ctx, cfg, app.Administration{Create: true, Logger: logger(s.Stderr, cfg.Log, slog.LevelWarn)}, func(a *admin.Service) (err error) {
		k, err = a.CreateKey(s.ctx, n)
		return err
	})
	if err != nil {
		return remedied(err)
	}
	if k.TenantIsNew {
		fmt.Fprintf(s.Stderr, "created tenant %s\n", k.TenantName)
	}
	fmt.Fprintf(s.Stderr, "created %s for tenant %s in %s\n", k.ID, k.TenantName, cfg.DataDir)
	if k.Role == store.RoleAdmin {
		fmt.Fprintln(s.Stderr, "It is an admin key: it may act for every tenant, and administer the server.")
	}
	return s.showMinted(k, g.Keys.JSON)
}

// expiryOf reads when a key expires; "" is never. A time in the past is for admin to refuse.
func expiryOf(text string, now time.Time) (time.Time, error) {
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
		return time.Time{}, misuse("--expires: want a duration like 90d, a date like 2027-01-31 or a time like 2027-01-31T18:00:00Z, got %q", text)
	}
	return now.Add(d), nil
}

// showMinted writes the text of a new key, alone on standard output so that a script can take it from there.
func (s *invocation) showMinted(k admin.MintedKey, asJSON bool) error {
	const warning = "The key is shown only once and stored nowhere: save it now."
	if !k.ExpiresAt.IsZero() {
		fmt.Fprintf(s.Stderr, "it expires at %s\n", formatTime(k.ExpiresAt))
	}
	fmt.Fprintln(s.Stderr, warning)
	if asJSON {
		return s.printObject(k)
	}
	_, err := fmt.Fprintln(s.Stdout, k.Text)
	return err
}

// listKeys lists keys. What opens the API is stored nowhere, so it cannot be shown.
type listKeys struct {
	Tenant string `placeholder:"NAME" help:"Only keys of this tenant."`
}

// Run lists keys.
func (c *listKeys) Run(s *invocation, g *grammar) error {
	var keys []admin.Key
	err := g.Keys.administer(s, func(a *admin.Service) (err error) {
		keys, err = a.Keys(s.ctx, c.Tenant)
		return err
	})
	if err != nil {
		return err
	}
	if g.Keys.JSON {
		return s.printObject(admin.ListOf(keys))
	}
	rows := []string{"ID\tTENANT\tROLE\tDIALECT\tSTATE\tCREATED\tENDS"}
	for _, k := range keys {
		rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%s",
			k.ID, k.TenantName, roleOf(k), cmp.Or(k.Dialect, "-"), k.State, formatTime(k.CreatedAt), formatTime(k.EndsAt())))
	}
	return s.table(rows)
}

// roleOf names what a key may do, in a cell of a table.
func roleOf(k admin.Key) string {
	if k.OpensContent {
		return string(k.Role) + "+content"
	}
	return string(k.Role)
}

// revokeKey revokes a key. It is kept in the list.
type revokeKey struct {
	ID string `arg:"" name:"key-id" help:"ID of the key, as keys list shows it."`
}

// Run revokes a key.
func (c *revokeKey) Run(s *invocation, g *grammar) error {
	var k admin.Key
	var left int
	err := g.Keys.administer(s, func(a *admin.Service) (err error) {
		k, left, err = a.RevokeKey(s.ctx, c.ID)
		return err
	})
	if err != nil {
		return err
	}
	// Without any key in the database a server on loopback lets everybody in again; with revoked ones it lets in nobody.
	if left == 0 {
		fmt.Fprintln(s.Stderr, "No active keys are left: the server refuses every request until `batchd keys create` makes one.")
	}
	if g.Keys.JSON {
		return s.printObject(k)
	}
	fmt.Fprintf(s.Stdout, "revoked %s of tenant %s; a running server refuses it within 5 s\n", k.ID, k.TenantName)
	return nil
}

// rotateKey replaces a key: the new one is like the old one, which goes on working for the overlap.
type rotateKey struct {
	ID      string `arg:"" name:"key-id" help:"ID of the key to replace, as keys list shows it."`
	Overlap string `default:"24h" placeholder:"24h" help:"How long the old key keeps working (default 24h); 0 revokes it immediately."`
}

// Run replaces a key and shows the new one, this once.
func (c *rotateKey) Run(s *invocation, g *grammar) error {
	overlap, err := config.ParseDuration(c.Overlap)
	if err != nil {
		return misuse("--overlap: %v", err)
	}
	var k admin.MintedKey
	var old admin.Key
	err = g.Keys.administer(s, func(a *admin.Service) (err error) {
		k, old, err = a.RotateKey(s.ctx, c.ID, overlap)
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Stderr, "created %s for tenant %s; %s works until %s\n", k.ID, k.TenantName, old.ID, formatTime(old.EndsAt()))
	return s.showMinted(k, g.Keys.JSON)
}
