package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"batchd/internal/app"
	"batchd/internal/check"
)

// checkCommand compares a data directory's rows with its files.
type checkCommand struct {
	Dir  string `arg:"" name:"dir" help:"Data directory of the server."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Help shows an example.
func (checkCommand) Help() string {
	return "Reads every stored byte that a row refers to and changes nothing. A server may be running.\n\n" +
		"Example: batchd check ./batchd-data\n\n" +
		"Exit code 0: nothing is lost. 1: something is. 2: wrong usage."
}

// Run prints each thing that was found, and what was looked at.
func (c *checkCommand) Run(s *invocation) error {
	show := c.text(s)
	if c.JSON {
		show = c.objects(s)
	}
	progress := newCheckProgress(s)
	sum, err := app.Check(s.ctx, c.Dir, func(f check.Finding) error {
		progress.close()
		return show.finding(f)
	}, progress.show)
	progress.close()
	if err != nil {
		return err
	}
	if err := show.summary(sum); err != nil {
		return err
	}
	if sum.Lost > 0 {
		return errFailed
	}
	return nil
}

// findings writes what a check finds, as it finds it.
type findings struct {
	finding func(check.Finding) error
	summary func(check.Summary) error
}

// text writes for people.
func (c *checkCommand) text(s *invocation) findings {
	return findings{
		finding: func(f check.Finding) error {
			_, err := fmt.Fprintf(s.Stdout, "%s: %s\n    %s\n    %s\n", f.State, subject(f), f.Problem, f.Remedy)
			return err
		},
		summary: func(sum check.Summary) error {
			batches := count(sum.Batches) + " batches"
			if sum.Batches == 1 {
				batches = "1 batch"
			}
			_, err := fmt.Fprintf(s.Stdout, "looked at %s, %s with %s, %s with %s, and %s of %s\n%s\n",
				plural(sum.Files, "file"), batches, plural(sum.Units, "unit"), plural(sum.Journals, "journal"),
				plural(sum.Results, "result"), plural(sum.Objects, "object"), bytesOf(sum.Bytes), verdictOf(sum))
			return err
		},
	}
}

// subject names what a finding is about.
func subject(f check.Finding) string {
	about := []string{string(f.Kind)}
	for _, id := range []string{f.FileID, f.UploadID, f.BatchID} {
		if id != "" {
			about = append(about, id)
		}
	}
	if f.Unit != nil {
		about = append(about, fmt.Sprintf("unit %d", *f.Unit))
	}
	if f.File == "" {
		return strings.Join(about, ", ")
	}
	return fmt.Sprintf("%s (%s)", f.File, strings.Join(about, ", "))
}

// verdictOf says in a line what a check came to.
func verdictOf(sum check.Summary) string {
	if sum.Lost == 0 {
		return fmt.Sprintf("nothing is lost; %s unreferenced, %s noted", count(sum.Unreferenced), count(sum.Noted))
	}
	return fmt.Sprintf("%s lost, %s unreferenced, %s noted", count(sum.Lost), count(sum.Unreferenced), count(sum.Noted))
}

// objects writes one JSON object, a finding on a line as it is found: there may be a great many.
func (c *checkCommand) objects(s *invocation) findings {
	begun := false
	begin := func() error {
		if begun {
			return nil
		}
		begun = true
		dir, err := json.Marshal(c.Dir)
		if err == nil {
			_, err = fmt.Fprintf(s.Stdout, `{"object":"check","data_dir":%s,"findings":[`, dir)
		}
		return err
	}
	separator := ""
	return findings{
		finding: func(f check.Finding) error {
			if err := begin(); err != nil {
				return err
			}
			raw, err := json.Marshal(f)
			if err == nil {
				_, err = fmt.Fprintf(s.Stdout, "%s\n%s", separator, raw)
			}
			separator = ","
			return err
		},
		summary: func(sum check.Summary) error {
			if err := begin(); err != nil {
				return err
			}
			raw, err := json.Marshal(sum)
			if err == nil {
				_, err = fmt.Fprintf(s.Stdout, "],\n\"summary\":%s}\n", raw)
			}
			return err
		},
	}
}

// checkProgress shows on a terminal how far a check is; elsewhere nothing, since what it finds is its output.
type checkProgress struct {
	s    *invocation
	bar  *liveBar
	last time.Time
}

func newCheckProgress(s *invocation) *checkProgress { return &checkProgress{s: s} }

// redrawEvery is how often progress is shown anew.
const redrawEvery = 100 * time.Millisecond

// show takes how many bytes were read of how many.
func (p *checkProgress) show(done, total int64) {
	if now := time.Now(); now.Sub(p.last) < redrawEvery || !drawable(p.s.Stderr) {
		return
	}
	p.last = time.Now()
	if p.bar == nil {
		p.bar = newLiveBar(p.s.Stderr)
	}
	p.bar.show(view{total: total, completed: done}, []string{bytesOf(done) + " of " + bytesOf(total)})
}

// close takes the progress off the terminal, so that something else may be written; it comes again.
func (p *checkProgress) close() {
	if p.bar != nil {
		p.bar.close()
		p.bar = nil
	}
}
