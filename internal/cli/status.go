package cli

import (
	"encoding/json"
	"fmt"
	"strings"

	"batchd/internal/app"
	"batchd/internal/client"
)

// statusCommand shows how a server stands: what it says itself, or what its data directory shows.
type statusCommand struct {
	Disk    bool    `help:"Show what uses the disk, and how much room is left."`
	Server  string  `placeholder:"URL" help:"Server to ask (default $$BATCHD_SERVER or http://127.0.0.1:8080). The API key comes from $$BATCHD_API_KEY." xor:"where"`
	DataDir *string `placeholder:"DIR" help:"Look into this data directory instead, server running or not." xor:"where"`
	JSON    bool    `name:"json" help:"Print JSON."`
}

// Run shows the parts that were asked for.
func (c *statusCommand) Run(s *invocation) error {
	if !c.Disk {
		return misuse("say what to show: --disk is the only part that there is")
	}
	u, err := c.diskUsage(s)
	if err != nil {
		return err
	}
	if c.JSON {
		return s.printJSON(u.Raw)
	}
	return s.showDisk(u)
}

// diskUsage asks the server, or looks into the data directory.
func (c *statusCommand) diskUsage(s *invocation) (client.DiskUsage, error) {
	if c.DataDir == nil {
		api, err := remoteFlags{Server: c.Server}.client(s)
		if err != nil {
			return client.DiskUsage{}, err
		}
		return api.DiskUsage(s.ctx)
	}
	cfg, err := dataFlags{DataDir: c.DataDir}.settings(s)
	if err != nil {
		return client.DiskUsage{}, err
	}
	found, err := app.DiskUsage(s.ctx, cfg)
	if err != nil {
		return client.DiskUsage{}, err
	}
	// From here on it is the same as what a server answers.
	var u client.DiskUsage
	if u.Raw, err = json.Marshal(found); err == nil {
		err = json.Unmarshal(u.Raw, &u)
	}
	return u, err
}

// statusWidth is the width that tables of the status keep to, whatever tenants are called.
const statusWidth = 80

// showDisk writes two tables: what uses the disk, and which tenants do.
func (s *invocation) showDisk(u client.DiskUsage) error {
	rows := []string{"USE\tSIZE\tOBJECTS"}
	for _, use := range []struct {
		name string
		a    client.Amount
		note string
	}{
		{"inputs", u.Inputs, ""},
		{"results", u.Results, ""},
		{"plans", u.Plans, ""},
		{"journals", u.Journals, ""},
		{"database", u.Database, ""},
		{"temporary", u.Temporary, ""},
		{"deleted", u.Deleted, "waits to go"},
		{"unreferenced", u.Unreferenced, "waits to go"},
		{"lost", u.Lost, "set aside for you in lost/"},
		{"total", u.Total, ""},
	} {
		row := fmt.Sprintf("%s\t%s\t%s", use.name, bytesOf(use.a.Bytes), count(use.a.Objects))
		if use.note != "" && use.a.Objects > 0 {
			row += "\t" + use.note
		}
		rows = append(rows, row)
	}
	if err := s.table(rows); err != nil {
		return err
	}
	if d := u.Disk; d != nil {
		fmt.Fprintf(s.Stdout, "\nThe disk has %s, of which %s are free. Uploads stop below %s.\n",
			bytesOf(d.Size), bytesOf(d.Free), bytesOf(d.UploadsStopBelow))
	}
	return s.showTenantDisks(u.Tenants)
}

// showTenantDisks writes what each tenant uses. Names are cut where the table would be too wide; the columns are made here
// and not by table, since names may have letters that take two places.
func (s *invocation) showTenantDisks(tenants []client.TenantDisk) error {
	if len(tenants) == 0 {
		return nil
	}
	rows := [][]string{{"TENANT", "SIZE", "OBJECTS", "INPUTS", "RESULTS", "PLANS", "DELETED"}}
	for _, t := range tenants {
		rows = append(rows, []string{
			t.Name, bytesOf(t.Total.Bytes), count(t.Total.Objects), bytesOf(t.Inputs.Bytes), bytesOf(t.Results.Bytes),
			bytesOf(t.Plans.Bytes), bytesOf(t.Deleted.Bytes),
		})
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], columns(cell))
		}
	}
	room := statusWidth
	for _, w := range widths[1:] {
		room -= w + columnGap
	}
	widths[0] = min(widths[0], room)
	fmt.Fprintln(s.Stdout)
	for _, row := range rows {
		row[0] = clip(row[0], widths[0])
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell + strings.Repeat(" ", widths[i]-columns(cell)+columnGap))
		}
		if _, err := fmt.Fprintln(s.Stdout, strings.TrimRight(line.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}
