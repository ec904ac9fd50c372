package cli

import (
	"strings"
	"testing"
	"time"

	"batchd/internal/store"
)

func TestTheEndOfAKeyIsALengthADayOrATime(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"":                          {},
		"90d":                       now.Add(90 * 24 * time.Hour),
		"1h30m":                     now.Add(90 * time.Minute),
		"2027-01-31":                time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC),
		"2027-12-31":                time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC),
		"2027-01-31T18:00:00Z":      time.Date(2027, 1, 31, 18, 0, 0, 0, time.UTC),
		"2027-01-31T18:00:00+07:00": time.Date(2027, 1, 31, 11, 0, 0, 0, time.UTC),
	} {
		if got, err := expiryOf(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: got %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"soon", "-1d", "90", "2027-02-30", "31.01.2027", "2027-01-31T18:00", "tomorrow"} {
		if got, err := expiryOf(text, now); err == nil {
			t.Errorf("%q was read as %s", text, got)
		}
	}
}

func TestQuotasAreShownWithWhatIsUsed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		used, limit, going int64
		short, long        string
	}{
		{0, 0, 0, "0", "0 (no limit)"},
		{1200, 0, 0, "1,200", "1,200 (no limit)"},
		{3, 10, 0, "3/10", "3 (at most 10)"},
		{3, 10, 2, "3/10", "3 (at most 10; 2 deleted, going)"},
		{-1, 0, 0, "-", "no limit"},
		{-1, 600, 0, "600", "at most 600"},
	} {
		q := quota{"files", c.used, c.limit, count, c.going}
		if q.short() != c.short || q.long() != c.long {
			t.Errorf("%d of %d: got %q and %q, want %q and %q", c.used, c.limit, q.short(), q.long(), c.short, c.long)
		}
	}
}

// Each flag of `tenants set` changes its own limit and no other.
func TestEveryLimitHasItsFlag(t *testing.T) {
	t.Parallel()
	text := func(s string) *string { return &s }
	weight := 2
	for name, c := range map[string]struct {
		command setTenant
		want    func(*store.Tenant)
	}{
		"weight":              {setTenant{Weight: &weight}, func(n *store.Tenant) { n.Weight = 2 }},
		"stored bytes":        {setTenant{MaxStoredBytes: text("10GiB")}, func(n *store.Tenant) { n.Limits.StoredBytes = 10 << 30 }},
		"files":               {setTenant{MaxFiles: text("3")}, func(n *store.Tenant) { n.Limits.Files = 3 }},
		"open batches":        {setTenant{MaxOpenBatches: text("3")}, func(n *store.Tenant) { n.Limits.OpenBatches = 3 }},
		"enqueued lines":      {setTenant{MaxEnqueuedLines: text("3")}, func(n *store.Tenant) { n.Limits.EnqueuedLines = 3 }},
		"enqueued tokens":     {setTenant{MaxEnqueuedTokens: text("3")}, func(n *store.Tenant) { n.Limits.EnqueuedTokens = 3 }},
		"batches per hour":    {setTenant{MaxBatchesPerHour: text("3")}, func(n *store.Tenant) { n.Limits.BatchesPerHour = 3 }},
		"requests per minute": {setTenant{MaxRequestsPerMinute: text("3")}, func(n *store.Tenant) { n.Limits.RequestsPerMinute = 3 }},
		"lifted":              {setTenant{MaxFiles: text("0")}, func(n *store.Tenant) { n.Limits.Files = 0 }},
	} {
		before := store.Tenant{Name: "acme", Weight: 1}
		before.Limits.Files, before.Limits.RequestsPerMinute = 77, 88
		got, want := before, before
		c.want(&want)
		changes, err := c.command.changes()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, change := range changes {
			change(&got)
		}
		if got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
	for name, c := range map[string]setTenant{
		"nothing":      {},
		"a word":       {MaxFiles: text("many")},
		"a fraction":   {MaxFiles: text("1.5")},
		"below zero":   {MaxOpenBatches: text("-1")},
		"a wrong size": {MaxStoredBytes: text("10GX")},
	} {
		if _, err := c.changes(); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestTheDataDirectoryIsTheServers(t *testing.T) {
	t.Parallel()
	given := "flag"
	for name, c := range map[string]struct {
		flags dataFlags
		env   []string
		want  string
	}{
		"default":     {dataFlags{}, nil, "./batchd-data"},
		"environment": {dataFlags{}, []string{"BATCHD_DATA_DIR=env"}, "env"},
		"flag":        {dataFlags{DataDir: &given}, []string{"BATCHD_DATA_DIR=env"}, "flag"},
	} {
		got, err := c.flags.settings(&invocation{Process: Process{Environ: c.env}})
		if err != nil || got.DataDir != c.want {
			t.Errorf("%s: got %q, %v, want %q", name, got.DataDir, err, c.want)
		}
	}
	absent := "absent.yaml"
	if _, err := (dataFlags{Config: &absent}).settings(&invocation{}); err == nil || !strings.Contains(err.Error(), "absent.yaml") {
		t.Errorf("got %v", err)
	}
}
