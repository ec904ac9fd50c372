package cli

import (
	"fmt"

	"batchd/internal/app"
	"batchd/internal/check"
	"batchd/internal/repair"
)

// repairCommand brings a data directory whose database has lost time to a state in which a server starts.
type repairCommand struct {
	Dir         string `arg:"" name:"dir" help:"Data directory of the server, which must not be running."`
	Yes         bool   `help:"Do it. Without this flag, only print what would be done."`
	AcceptOlder bool   `help:"Take the database for the right one, after an older copy was put there on purpose: adopt nothing, and set aside all that is newer."`
}

// Help shows an example.
func (repairCommand) Help() string {
	return "Adopts results from journals and segments that still fit their batch, and sets aside under lost/ what the database knows " +
		"nothing of. Nothing is deleted.\n\n" +
		"Example: batchd repair ./batchd-data; and when that is what you want: batchd repair ./batchd-data --yes\n\n" +
		"Exit code 0: nothing to do, or done. 1: there is something to do. 2: wrong usage."
}

// Run prints each thing that is done, or would be.
func (c *repairCommand) Run(s *invocation) error {
	things := int64(0)
	err := app.Repair(s.ctx, app.RepairOptions{Dir: c.Dir, Apply: c.Yes, AcceptOlder: c.AcceptOlder, Report: func(a repair.Action) error {
		things++
		_, err := fmt.Fprintln(s.Stdout, c.line(a))
		return err
	}})
	if err != nil {
		return err
	}
	switch {
	case things == 0:
		_, err = fmt.Fprintln(s.Stdout, "nothing to do")
	case c.Yes:
		_, err = fmt.Fprintf(s.Stdout, "%s done\n", plural(things, "thing"))
	default:
		flags := " --yes"
		if c.AcceptOlder {
			flags = " --accept-older" + flags
		}
		_, err = fmt.Fprintf(s.Stdout, "%s to do; nothing was changed. `batchd repair %s%s` does it\n", plural(things, "thing"), c.Dir, flags)
	}
	if err == nil && things > 0 && !c.Yes {
		err = errFailed
	}
	return err
}

// line says what is done to what, and why.
func (c *repairCommand) line(a repair.Action) string {
	step := string(a.Step)
	if !c.Yes {
		step = "would " + step
	}
	text := fmt.Sprintf("%s: %s", step, subject(check.Finding{Kind: a.Kind, File: a.File, BatchID: a.BatchID, Unit: a.Unit}))
	if a.Results > 0 {
		text += ", " + plural(int64(a.Results), "result")
	}
	if a.KeptAs != "" {
		text += ", as " + a.KeptAs
	}
	return text + "\n    " + a.Reason
}
