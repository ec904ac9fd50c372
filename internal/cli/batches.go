package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"batchd/internal/app"
	"batchd/internal/client"
)

// batchesCommand is the commands on a server's batches.
type batchesCommand struct {
	remoteFlags
	Create createBatch `cmd:"" help:"Create a batch from a file here or on the server."`
	List   listBatches `cmd:"" help:"List batches, newest first."`
	Get    getBatch    `cmd:"" help:"Show a batch."`
	Watch  watchBatch  `cmd:"" help:"Show a batch's progress until it has ended."`
	Cancel cancelBatch `cmd:"" help:"Cancel a batch; what is finished is kept."`
}

type createBatch struct {
	Input    string            `arg:"" name:"file.jsonl|file-id" help:"Input file, which is uploaded, or the id of one on the server."`
	Endpoint string            `placeholder:"PATH" help:"Endpoint of all lines (default: the url of the first line)."`
	Window   string            `default:"24h" help:"How long the batch may take (default 24h)."`
	Metadata map[string]string `mapsep:"none" placeholder:"KEY=VALUE" help:"Something to remember with the batch; may be given several times."`
	Watch    bool              `help:"Show the progress until the batch has ended."`
}

// Run creates a batch, and watches it if asked to.
func (c *createBatch) Run(s *invocation, g *grammar) error {
	api, err := g.Batches.client(s)
	if err != nil {
		return err
	}
	n := client.NewBatch{Endpoint: c.Endpoint, CompletionWindow: c.Window, Metadata: c.Metadata}
	if err := c.findInput(s, api, &n); err != nil {
		return err
	}
	b, err := api.CreateBatch(s.ctx, n)
	if err != nil {
		return err
	}
	switch {
	case c.Watch:
		fmt.Fprintln(s.Stderr, "created "+b.ID)
		return s.watch(api, b.ID, g.Batches.JSON)
	case g.Batches.JSON:
		return s.printJSON(b.Raw)
	}
	fmt.Fprintf(s.Stdout, "created %s for %s\nWatch it with: batchd batches watch %s\n", b.ID, b.Endpoint, b.ID)
	return nil
}

// findInput uploads a local file, or takes the argument for an id, and finds out the endpoint if it was not given.
func (c *createBatch) findInput(s *invocation, api *client.Client, n *client.NewBatch) error {
	if _, err := os.Stat(c.Input); err != nil {
		if filepath.Ext(c.Input) != "" || strings.ContainsAny(c.Input, `/\`) {
			return misuse("%v", err) // no id looks like this
		}
		n.InputFileID = c.Input
		return c.remoteEndpoint(s, api, n)
	}
	if err := c.localEndpoint(n); err != nil {
		return err
	}
	f, err := upload(s, api, c.Input, "batch")
	n.InputFileID = f.ID
	return err
}

// localEndpoint reads the beginning of a file here for its first url.
func (c *createBatch) localEndpoint(n *client.NewBatch) error {
	if n.Endpoint != "" {
		return nil
	}
	f, err := os.Open(c.Input)
	if err != nil {
		return misuse("%v", err)
	}
	defer func() { _ = f.Close() }() // it is only read
	n.Endpoint = app.FirstURL(f)
	return nil
}

// remoteEndpoint reads the beginning of a file on the server for its first url.
func (c *createBatch) remoteEndpoint(s *invocation, api *client.Client, n *client.NewBatch) error {
	if n.Endpoint != "" {
		return nil
	}
	content, err := api.OpenFile(s.ctx, n.InputFileID)
	if err != nil {
		return err
	}
	defer content.Close()
	n.Endpoint = app.FirstURL(content)
	return nil
}

type listBatches struct {
	Limit int    `default:"20" help:"How many to list, at most 100 (default 20)."`
	After string `placeholder:"BATCH-ID" help:"List what comes after this batch."`
}

// Run lists one page.
func (c *listBatches) Run(s *invocation, g *grammar) error {
	api, err := g.Batches.client(s)
	if err != nil {
		return err
	}
	p, err := api.Batches(s.ctx, c.Limit, c.After)
	if err != nil {
		return err
	}
	if g.Batches.JSON {
		return s.printJSON(p.Raw)
	}
	rows := []string{"ID\tSTATUS\tDONE\tFAILED\tTOTAL\tCREATED\tENDPOINT"}
	for _, b := range p.Data {
		rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%s", b.ID, b.Status, count(b.Counts.Completed+b.Counts.Failed),
			count(b.Counts.Failed), count(b.Counts.Total), moment(b.CreatedAt), b.Endpoint))
	}
	if err := s.table(rows); err != nil {
		return err
	}
	s.sayMore("batches list", p.HasMore, p.LastID)
	return nil
}

type getBatch struct {
	ID string `arg:"" name:"batch-id" help:"Id of the batch."`
}

// Run shows a batch.
func (c *getBatch) Run(s *invocation, g *grammar) error {
	api, err := g.Batches.client(s)
	if err != nil {
		return err
	}
	b, err := api.Batch(s.ctx, c.ID)
	if err != nil {
		return err
	}
	return s.showBatch(b, g.Batches.JSON)
}

type cancelBatch struct {
	ID string `arg:"" name:"batch-id" help:"Id of the batch."`
}

// Run cancels a batch and shows it as it then is.
func (c *cancelBatch) Run(s *invocation, g *grammar) error {
	api, err := g.Batches.client(s)
	if err != nil {
		return err
	}
	b, err := api.CancelBatch(s.ctx, c.ID)
	if err != nil {
		return err
	}
	return s.showBatch(b, g.Batches.JSON)
}

// showBatch writes a batch for people, or as it came.
func (s *invocation) showBatch(b client.Batch, raw bool) error {
	if raw {
		return s.printJSON(b.Raw)
	}
	rows := []string{
		"id:\t" + b.ID, "status:\t" + b.Status, "endpoint:\t" + b.Endpoint,
		fmt.Sprintf("lines:\t%s of %s done, %s failed", count(b.Counts.Completed+b.Counts.Failed), count(b.Counts.Total), count(b.Counts.Failed)),
		fmt.Sprintf("tokens:\t%s in, %s out", count(b.Usage.InputTokens), count(b.Usage.OutputTokens)),
		"created:\t" + moment(b.CreatedAt), "window:\t" + b.CompletionWindow + ", ends " + moment(b.ExpiresAt),
		"input:\t" + b.InputFileID,
	}
	for _, extra := range []struct{ name, value string }{
		{"model", b.Model}, {"output", b.OutputFileID}, {"errors", b.ErrorFileID},
	} {
		if extra.value != "" {
			rows = append(rows, extra.name+":\t"+extra.value)
		}
	}
	if err := s.table(rows); err != nil {
		return err
	}
	s.sayLineErrors(b)
	return nil
}

// sayLineErrors lists what validation found.
func (s *invocation) sayLineErrors(b client.Batch) {
	if b.Errors == nil {
		return
	}
	for _, e := range b.Errors.Data {
		s.sayFault(e.Line, e.Code, e.Message, e.Param)
	}
}
