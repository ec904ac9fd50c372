package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"batchd/internal/client"
	"batchd/internal/oneshot"
)

// batchesCommand is the commands on a server's batches. They speak batchd's own dialect, under a prefix of its own, and so show
// the same of every server whatever vendor it stands in for.
type batchesCommand struct {
	remoteFlags
	Create createBatch `cmd:"" help:"Create a batch from a file here or on the server."`
	List   listBatches `cmd:"" help:"List batches, newest first."`
	Get    getBatch    `cmd:"" help:"Show a batch."`
	Watch  watchBatch  `cmd:"" help:"Show a batch's progress until it has ended."`
	Cancel cancelBatch `cmd:"" help:"Cancel a batch; finished lines are kept."`
	Retry  retryBatch  `cmd:"" help:"Create a batch of the lines that failed, expired or were cancelled."`
}

// createBatch creates a batch of a file that is here or on the server. With --watch it ends as watchBatch does.
type createBatch struct {
	Input    string            `arg:"" name:"file.jsonl|file-id" help:"Input file, which is uploaded, or the ID of one on the server."`
	Endpoint string            `placeholder:"PATH" help:"Endpoint of all lines (default: the url of the first line)."`
	Window   string            `default:"24h" placeholder:"24h" help:"Completion window, one of those that the server offers (default 24h)."`
	Metadata map[string]string `mapsep:"none" placeholder:"KEY=VALUE" help:"Metadata to store with the batch; may be given several times."`
	Callback string            `placeholder:"URL" help:"URL to notify when the batch has ended."`
	Watch    bool              `help:"Show progress until the batch has ended."`
}

// Run creates a batch, and watches it if asked to.
func (c *createBatch) Run(s *invocation, g *grammar) error {
	api, err := g.Batches.client(s)
	if err != nil {
		return err
	}
	// The window and what else may be wrong is for the server to judge: it knows what it offers.
	n := client.NewBatch{Endpoint: c.Endpoint, CompletionWindow: c.Window, Metadata: c.Metadata, CallbackURL: c.Callback}
	if err := c.findInput(s, api, &n); err != nil {
		return err
	}
	b, err := api.CreateBatch(s.ctx, n)
	if err != nil {
		return c.takeBack(api, n, err)
	}
	return s.showCreated(api, b, c.Watch, g.Batches.JSON)
}

// takeBack deletes the file that was uploaded for a batch which the server refused, so that trying again does not pile
// up files, and returns why it was refused. A file that was on the server before stays.
func (c *createBatch) takeBack(api *client.Client, n client.NewBatch, cause error) error {
	var refused *client.Error
	if n.InputFileID == c.Input || !errors.As(cause, &refused) {
		return cause
	}
	// Not s.ctx: an interrupt that came with the refusal must not leave the file behind.
	if _, err := api.DeleteFile(context.Background(), n.InputFileID); err != nil {
		return fmt.Errorf("%w\nThe uploaded file %s is left on the server: %w", cause, n.InputFileID, err)
	}
	return cause
}

// showCreated says that a batch was created, and watches it if asked to. Then the ID goes to standard error, so that standard
// output has the batch as it ended and nothing else.
func (s *invocation) showCreated(api *client.Client, b client.Batch, watch, raw bool) error {
	switch {
	case watch:
		fmt.Fprintln(s.Stderr, "created "+b.ID)
		return s.watch(api, b.ID, raw)
	case raw:
		return s.printJSON(b.Raw)
	}
	fmt.Fprintf(s.Stdout, "created %s for %s\nWatch it with: batchd batches watch %s\n", b.ID, b.Endpoint, b.ID)
	return nil
}

// findInput uploads a local file, or takes the argument for an ID where there is no such file, and finds out the endpoint if it
// was not given.
func (c *createBatch) findInput(s *invocation, api *client.Client, n *client.NewBatch) error {
	_, missing := os.Stat(c.Input)
	if missing != nil && (filepath.Ext(c.Input) != "" || strings.ContainsAny(c.Input, `/\`)) {
		return unreadable(missing) // no ID looks like this
	}
	if n.Endpoint == "" {
		var content io.ReadCloser
		var err error
		if missing == nil {
			content, err = os.Open(c.Input)
			if err != nil {
				return unreadable(err)
			}
		} else if content, err = api.OpenFile(s.ctx, c.Input); err != nil {
			return err
		}
		// Only the beginning is read: the url of the first line is that of all.
		n.Endpoint = oneshot.FirstURL(content)
		_ = content.Close() // it was only read
	}
	if missing != nil {
		n.InputFileID = c.Input
		return nil
	}
	f, err := upload(s, api, c.Input, "batch")
	n.InputFileID = f.ID
	return err
}

// listBatches shows one page of a server's batches. Where there are more, how to get them is said on standard error.
type listBatches struct {
	Limit int    `default:"20" placeholder:"N" help:"How many to list, at most 100 (default 20)."`
	After string `placeholder:"BATCH-ID" help:"Continue the list after this batch."`

	Status        string `placeholder:"STATUS" help:"Only batches with this status, like in_progress."`
	CreatedAfter  string `placeholder:"TIME" help:"Only batches created at this time or later: RFC 3339 or Unix seconds."`
	CreatedBefore string `placeholder:"TIME" help:"Only batches created before this time."`
	AllTenants    bool   `help:"List the batches of all tenants, with their names. This takes an admin key, and goes with --limit and --after only."`
}

// Run lists one page.
func (c *listBatches) Run(s *invocation, g *grammar) error {
	api, err := g.Batches.client(s)
	if err != nil {
		return err
	}
	if c.AllTenants {
		return c.listAll(s, g, api)
	}
	p, err := api.Batches(s.ctx, client.BatchQuery{
		Limit: c.Limit, After: c.After, Status: c.Status, CreatedAfter: c.CreatedAfter, CreatedBefore: c.CreatedBefore,
	})
	if err != nil {
		return err
	}
	if g.Batches.JSON {
		return s.printJSON(p.Raw)
	}
	rows := []string{"ID\tSTATUS\tDONE\tFAILED\tTOTAL\tCREATED\tENDPOINT"}
	for _, b := range p.Data {
		rows = append(rows, batchRow(b))
	}
	if err := s.table(rows); err != nil {
		return err
	}
	s.sayMore("batches list", p.HasMore, p.LastID)
	return nil
}

// listAll lists one page of the batches of all tenants.
func (c *listBatches) listAll(s *invocation, g *grammar, api *client.Client) error {
	if c.Status+c.CreatedAfter+c.CreatedBefore+g.Batches.Tenant != "" {
		return misuse("--all-tenants goes with --limit and --after only; name a --tenant to choose among its batches")
	}
	p, err := api.AllBatches(s.ctx, c.Limit, c.After)
	if err != nil {
		return err
	}
	if g.Batches.JSON {
		return s.printJSON(p.Raw)
	}
	rows := []string{"TENANT\tID\tSTATUS\tDONE\tFAILED\tTOTAL\tCREATED\tENDPOINT"}
	for _, b := range p.Data {
		rows = append(rows, b.Tenant+"\t"+batchRow(b))
	}
	if err := s.table(rows); err != nil {
		return err
	}
	s.sayMore("batches list --all-tenants", p.HasMore, p.LastID)
	return nil
}

// batchRow is a batch in a list.
func batchRow(b client.Batch) string {
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%s", b.ID, b.Status, count(b.Counts.Completed+b.Counts.Failed),
		count(b.Counts.Failed), count(b.Counts.Total), formatUnix(b.CreatedAt), b.Endpoint)
}

// getBatch shows a batch with what it waits for and what validation found.
type getBatch struct {
	ID string `arg:"" name:"batch-id" help:"ID of the batch."`
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

// cancelBatch asks for a batch to be cancelled. It does not wait for that: calls in flight may still end.
type cancelBatch struct {
	ID string `arg:"" name:"batch-id" help:"ID of the batch."`
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

// retryBatch creates a batch of the lines of an ended one that have no good result.
type retryBatch struct {
	ID     string `arg:"" name:"batch-id" help:"ID of the batch whose unfinished lines to run again."`
	Window string `placeholder:"WINDOW" help:"Completion window of the new batch (default: that of the old one)."`
	Watch  bool   `help:"Show progress until the new batch has ended."`
}

// Run creates a batch of what is unfinished, and watches it if asked to.
func (c *retryBatch) Run(s *invocation, g *grammar) error {
	api, err := g.Batches.client(s)
	if err != nil {
		return err
	}
	b, err := api.RetryBatch(s.ctx, c.ID, c.Window)
	if err != nil {
		return err
	}
	return s.showCreated(api, b, c.Watch, g.Batches.JSON)
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
		"created:\t" + formatUnix(b.CreatedAt), "window:\t" + b.CompletionWindow + ", ends " + formatUnix(b.ExpiresAt),
		"input:\t" + b.InputFileID,
	}
	// What a batch does not have is left out: most have no model of their own until they are planned.
	for _, extra := range []struct{ name, value string }{
		{"continues", b.ContinuedFrom}, {"model", b.Model}, {"output", b.OutputFileID}, {"errors", b.ErrorFileID},
	} {
		if extra.value != "" {
			rows = append(rows, extra.name+":\t"+extra.value)
		}
	}
	for _, f := range b.DamagedFiles {
		rows = append(rows, fmt.Sprintf("damaged:\t%s is %s on the server's disk, found %s", f.FileID, f.Problem, formatUnix(f.Since)))
	}
	// Only the first row of the reasons has the name in front, those below it stand under its text.
	name := "waiting:"
	for _, n := range waitsOf(b) { // without a limit, unlike below a bar: nothing is drawn over here
		told := n.note(time.Now(), len(b.WaitingFor) > 1)
		for _, text := range []string{told.text, told.more, told.words} {
			if text != "" {
				rows = append(rows, name+"\t"+text)
				name = ""
			}
		}
	}
	if err := s.table(rows); err != nil {
		return err
	}
	if b.Errors != nil { // what validation found
		for _, e := range b.Errors.Data {
			s.sayFault(e.Line, e.Code, e.Message, e.Param)
		}
	}
	return nil
}
