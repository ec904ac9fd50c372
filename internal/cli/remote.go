package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"batchd/internal/client"
)

// remoteFlags are the flags of every command that asks a server.
type remoteFlags struct {
	Server string `placeholder:"URL" help:"Server to call (default $$BATCHD_SERVER or http://127.0.0.1:8080). The API key comes from $$BATCHD_API_KEY."`
	Tenant string `placeholder:"NAME" help:"Act for this tenant, which takes an admin key, and for what its files hold one made with --content (default: the key's own)."`
	JSON   bool   `name:"json" help:"Print the server's answer as JSON."`
}

// keyVariable is the environment variable that holds the key for the server. There is no flag for it, since a command line can be
// read by every user of the machine.
const keyVariable = "BATCHD_API_KEY"

// client makes the client of the server that was named.
func (f remoteFlags) client(s *invocation) (*client.Client, error) {
	server := f.Server
	if server == "" {
		server = s.variable("BATCHD_SERVER")
	}
	key := s.variable(keyVariable)
	c, err := client.New(client.Options{
		Server: server, APIKey: key, Tenant: f.Tenant, UserAgent: "batchd/" + s.Version,
	})
	if err != nil {
		return nil, misuse("--server: %v", err)
	}
	return c, nil
}

// printJSON writes an object of the API as it came, indented: members that this version does not know are shown too.
func (s *invocation) printJSON(raw []byte) error {
	var out bytes.Buffer
	if err := json.Indent(&out, raw, "", "  "); err != nil {
		return fmt.Errorf("show answer: %w", err)
	}
	out.WriteByte('\n')
	_, err := s.Stdout.Write(out.Bytes())
	return err
}

// columnGap is the space between two columns of a table.
const columnGap = 2

// table writes rows in columns; cells are joined by tabs.
func (s *invocation) table(rows []string) error {
	w := tabwriter.NewWriter(s.Stdout, 0, 8, columnGap, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, row)
	}
	return w.Flush()
}

// sayMore says how to get the next page, on standard error so that the table or JSON can be piped.
func (s *invocation) sayMore(command string, more bool, last string) {
	if more {
		fmt.Fprintf(s.Stderr, "There are more: batchd %s --after %s\n", command, last)
	}
}
