package cli

import (
	"bytes"
	"strings"
	"testing"

	"batchd/internal/client"
)

// Tables fit a terminal whatever tenants are called, and a figure is never cut for a name.
func TestDiskUsageFitsEightyColumns(t *testing.T) {
	t.Parallel()
	const huge = 1023 << 40
	all := client.TenantDisk{
		Total: client.Amount{Bytes: huge, Objects: 12_345_678}, Inputs: client.Amount{Bytes: huge}, Results: client.Amount{Bytes: huge},
		Plans: client.Amount{Bytes: huge}, Deleted: client.Amount{Bytes: huge},
	}
	var tenants []client.TenantDisk
	for _, name := range []string{strings.Repeat("team-", 30), "a", strings.Repeat("数据", 30)} {
		all.Name = name
		tenants = append(tenants, all)
	}
	u := client.DiskUsage{
		Inputs: all.Total, Lost: client.Amount{Bytes: 1, Objects: 1}, Unreferenced: all.Total, Tenants: tenants,
		Disk: &client.Disk{Size: huge, Free: huge, UploadsStopBelow: 2 << 30},
	}
	var out bytes.Buffer
	s := &invocation{Process: Process{Stdout: &out}}
	if err := s.showDisk(u); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if got := columns(strings.TrimRight(line, "\n")); got > 80 {
			t.Errorf("%d columns: %s", got, line)
		}
	}
	for _, want := range []string{"12,345,678", "1023 TiB", "Uploads stop below 2.0 GiB", "set aside for you", "team-team-", "…"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, &out)
		}
	}
	if strings.Count(out.String(), "waits to go") != 1 {
		t.Errorf("what does not exist waits, or what does does not:\n%s", &out)
	}
}
