package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"batchd/internal/app"
	"batchd/internal/oneshot"
)

// runCommand runs one input file. Standard output gets the summary alone; progress, faults and advice go to standard error. It
// ends with 3 if a line failed or was not run, with 1 if the input is not valid or every call was refused, and with 130 if it
// was interrupted.
type runCommand struct {
	engineFlags
	Input    string `arg:"" name:"in.jsonl" help:"Input file: one JSON request on each line."`
	Output   string `placeholder:"FILE" help:"File for the results (default IN.output.jsonl)."`
	Errors   string `placeholder:"FILE" help:"File for the lines that failed (default IN.errors.jsonl)."`
	Endpoint string `placeholder:"PATH" help:"Endpoint of all lines, like /v1/chat/completions (default: the url of the first line)."`
	State    string `placeholder:"DIR" help:"Working directory, which an interrupted run resumes from (default IN.batchd)."`
	Restart  bool   `help:"Start over, discarding the results of an earlier run of this file."`
	Wait     bool   `help:"Keep retrying while every call is refused or no upstream can be reached, instead of giving up."`
}

// Run takes the file to its results, or as far as it gets.
func (c *runCommand) Run(s *invocation) error {
	cfg, err := c.settings(s, nil)
	if err != nil {
		return err
	}
	d := newDisplay(s.Stderr, time.Now)
	// The display shows what a server's log would say; only warnings and errors are worth lines beside it.
	log := logger(d.logs(s.Stderr), cfg.Log, slog.LevelWarn)
	job := oneshot.Job{
		Input: c.Input, Output: c.Output, Errors: c.Errors, Endpoint: c.Endpoint, State: c.State, Restart: c.Restart,
		Wait: c.Wait,
	}
	summary, err := oneshot.Run(s.ctx, app.OneShot(cfg, log, func(p oneshot.Progress) {
		now, waits := time.Now(), waitsIn(p)
		v := view{
			status: string(p.Status), total: p.Total, completed: p.Completed, failed: p.Failed, inFlight: p.InFlight,
			tokens: p.OutputTokens, retryIn: retryIn(waits, now), notes: notesOf(waits, now),
		}
		if s.ctx.Err() != nil {
			v.notes = []note{{text: "stopping: calls in flight may finish, a second Ctrl-C ends them"}}
		}
		d.show(v)
	}), job)
	d.close() // before anything else is written, which a bar that is still drawn would tear
	var refused *oneshot.RefusedError
	switch {
	case errors.Is(err, oneshot.ErrInterrupted), errors.Is(err, context.Canceled):
		s.sayResume(summary)
		return errInterrupted
	case errors.As(err, &refused):
		s.sayRefused(refused, summary)
		return errFailed
	case errors.Is(err, oneshot.ErrInvalidInput):
		fmt.Fprintf(s.Stderr, "the input is not valid, so nothing was sent (%s):\n", plural(summary.FaultCount, "error"))
		for _, f := range summary.Faults {
			s.sayFault(f.Line, f.Code, f.Message, f.Param)
		}
		return errFailed
	case err != nil:
		return err
	}
	s.saySummary(summary)
	if summary.Failed+summary.Unrun > 0 {
		return errSomeFailed
	}
	return nil
}

// sayResume says what is kept and how to go on.
func (s *invocation) sayResume(summary oneshot.Summary) {
	kept := "nothing was sent yet"
	if summary.Total > 0 {
		kept = fmt.Sprintf("%s of %s are done and kept", count(summary.Completed+summary.Failed), plural(summary.Total, "line"))
	}
	fmt.Fprintf(s.Stderr, "interrupted; %s. Resume with:\n  %s\n", kept, resumeCommand(s.Args))
}

// sayRefused says why a run was given up, what to do about it, and how to go on.
func (s *invocation) sayRefused(refused *oneshot.RefusedError, summary oneshot.Summary) {
	fmt.Fprintln(s.Stderr, "batchd: given up: no call was served")
	for _, u := range refused.Upstreams {
		w := wait{reason: u.Kind, detail: u.Detail, status: u.Status, code: u.Code, upstream: u.Host}
		fmt.Fprintf(s.Stderr, "  %s\n", w.cause())
		if u.Message != "" {
			fmt.Fprintf(s.Stderr, "  %q\n", u.Message)
		}
		fmt.Fprintf(s.Stderr, "  %s\n", remedy(w, u.Host))
	}
	kept := "Nothing was recorded."
	if done := summary.Completed + summary.Failed; done > 0 {
		kept = fmt.Sprintf("%s of %s are done and kept.", count(done), plural(summary.Total, "line"))
	}
	fmt.Fprintf(s.Stderr, "%s Go on with the same command (--wait keeps trying):\n  %s\n", kept, resumeCommand(s.Args))
}

// remedy is what to do about an upstream that refuses every call. host is its host, port and path: where requests find nothing,
// the usual cause is a base URL without /v1.
func remedy(w wait, host string) string {
	switch w.reason {
	case "denied":
		switch w.status {
		case http.StatusProxyAuthRequired:
			return "Check the user and password in HTTP_PROXY or HTTPS_PROXY: a proxy asks for them, not the upstream."
		case http.StatusUnavailableForLegalReasons:
			return "The provider refuses for legal reasons, perhaps by country: ask it, or use another upstream."
		}
		return "Check the key: --upstream-key-env NAME takes it from an environment variable."
	case "account":
		return "The account behind the key has no balance or quota left: top it up."
	case "misconfigured":
		if !strings.HasSuffix(host, "/v1") {
			return "Check --upstream: the URL ends in /v1 for most servers, and this one does not."
		}
		return "Check --upstream: nothing takes requests at this URL."
	}
	switch w.detail {
	case "dns":
		return "Check the host name in --upstream."
	case "descriptors":
		return "Raise the limit on file descriptors (ulimit -n)."
	case "tls":
		return "Check --upstream: whether http:// or https:// is right, and the certificate."
	default:
		return "Check that it is running, and host and port in --upstream."
	}
}

// resumeCommand is the command line that goes on with an interrupted run, ready to be pasted: without --restart, which would
// begin anew. Where a URL may hold a password nothing is repeated, since output ends up in logs.
func resumeCommand(args []string) string {
	words := []string{"batchd"}
	for _, a := range args {
		if strings.Contains(a, "://") && strings.Contains(a, "@") {
			return "the same command"
		}
		if a != "--restart" {
			words = append(words, quote(a))
		}
	}
	return strings.Join(words, " ")
}

// quote writes an argument as a POSIX shell takes it: within single quotes nothing is special but the quote itself.
func quote(argument string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=,@%+"
	if argument != "" && strings.Trim(argument, plain) == "" {
		return argument
	}
	return "'" + strings.ReplaceAll(argument, "'", `'\''`) + "'"
}

// sayFault writes one thing that is wrong with an input file.
func (s *invocation) sayFault(line int64, code, message, param string) {
	where := "file"
	if line > 0 {
		where = fmt.Sprintf("line %d", line)
	}
	if param != "" {
		message += " (" + param + ")"
	}
	fmt.Fprintf(s.Stderr, "  %s: %s: %s\n", where, code, message)
}

// saySummary says how it went and where the results are.
func (s *invocation) saySummary(summary oneshot.Summary) {
	if summary.Repeated {
		fmt.Fprintln(s.Stdout, "Already done; no request was sent. Give --restart to run it again.")
	}
	fmt.Fprintf(s.Stdout, "%s: %s completed, %s failed", plural(summary.Total, "line"), count(summary.Completed), count(summary.Failed))
	if summary.Unrun > 0 {
		fmt.Fprintf(s.Stdout, ", %s not run", count(summary.Unrun))
	}
	if summary.OutputTokens > 0 {
		fmt.Fprintf(s.Stdout, ", %s output tokens", count(summary.OutputTokens))
	}
	fmt.Fprintf(s.Stdout, "\noutput: %s\n", relPath(summary.Output))
	if summary.Errors != "" {
		fmt.Fprintf(s.Stdout, "errors: %s\n", relPath(summary.Errors))
	}
}

// relPath writes a path as seen from the working directory if it lies below, which is shorter and can be pasted as well.
func relPath(path string) string {
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	relative, err := filepath.Rel(here, path)
	if err != nil || strings.HasPrefix(relative, "..") {
		return path
	}
	return relative
}
