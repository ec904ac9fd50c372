// Package cli is the command line: it reads arguments, calls app for what runs here and client for what a server
// does, and shows both to people. It promises the exit codes: 0 done, 1 failed, 2 wrong usage, 3 finished with some
// failed lines, 130 interrupted. What a command does beyond words and tables is not decided here.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"

	"batchd/internal/batch"
	"batchd/internal/client"
	"batchd/internal/config"
	"batchd/internal/oneshot"

	"github.com/alecthomas/kong"
)

// Process is what the command line runs in.
type Process struct {
	// Args are the arguments without the program's name; Environ is as os.Environ returns it.
	Args    []string
	Environ []string
	Stdout  io.Writer
	Stderr  io.Writer
	// Signals delivers the requests to stop: the first one stops in order, the second at once, through Exit.
	Signals <-chan os.Signal
	Exit    func(code int)
	// Version is the program's version; Build says in words what it was built from, "" if nobody knows.
	Version string
	Build   string
}

// grammar is every command with its flags. Help, errors and usage lines follow from the tags.
type grammar struct {
	Serve    serveCommand    `cmd:"" help:"Run the server: the Files and Batches API in front of your inference servers."`
	Run      runCommand      `cmd:"" help:"Run one input file without a server. The same command again resumes."`
	Sim      simCommand      `cmd:"" help:"Run the simulated inference engine."`
	Batches  batchesCommand  `cmd:"" help:"Create, show, watch, cancel and retry batches of a server."`
	Files    filesCommand    `cmd:"" help:"Upload, show, download and delete files of a server."`
	Keys     keysCommand     `cmd:"" help:"Create, list, revoke and rotate API keys, in a server's data directory."`
	Tenants  tenantsCommand  `cmd:"" help:"List tenants and set their limits, in a server's data directory."`
	Webhooks webhooksCommand `cmd:"" help:"Manage webhooks, in a server's data directory."`
	Status   statusCommand   `cmd:"" help:"Show how a server stands: what uses its disk."`
	Check    checkCommand    `cmd:"" help:"Compare a data directory's database with its files, and say what is lost."`
	Repair   repairCommand   `cmd:"" help:"Let a server start again after its database has lost what was committed to it."`
	Version  versionCommand  `cmd:"" help:"Show the version."`

	ShowVersion kong.VersionFlag `name:"version" help:"Show the version."`
}

// invocation is a running command's surroundings. Its context ends with the first signal.
type invocation struct {
	Process
	ctx context.Context
}

// Main runs a command line and returns the exit code.
func Main(p Process) int {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var watching sync.WaitGroup
	over := make(chan struct{}) // closed below, once the command has returned
	watching.Go(func() { watchSignals(p, stop, over) })
	s := &invocation{Process: p, ctx: ctx}
	err := s.explain(execute(s))
	close(over)
	watching.Wait()
	if err != nil && err.Error() != "" {
		fmt.Fprintf(p.Stderr, "batchd: %v\n", err)
	}
	return exitCode(err)
}

// explain adds what to do to an error whose sender does not know how it is called from here.
func (s *invocation) explain(err error) error {
	var refused *client.Error
	if !errors.As(err, &refused) || refused.Status != http.StatusUnauthorized {
		return err
	}
	remedy := "the API key comes from the environment variable " + keyVariable
	if s.variable(keyVariable) == "" {
		remedy = "set the environment variable " + keyVariable + " to an API key"
	}
	return fmt.Errorf("%w\n%s; `batchd keys create`, run where the server's data directory is, creates one", err, remedy)
}

// watchSignals ends the command's context at the first signal and the process at the second, until over is closed. It must
// return then, since p.Exit in the middle of writing the last words would cut them off.
func watchSignals(p Process, stop context.CancelFunc, over <-chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-p.Signals:
		case <-over:
			return
		}
		if n > 0 {
			p.Exit(exitCode(errInterrupted))
			return
		}
		stop()
	}
}

// parser returns the parser that fills in g. exited is called once help or the version has been shown, in place of ending the
// process: output may be buffered, and tests go on.
func (s *invocation) parser(g *grammar, exited func(code int)) (*kong.Kong, error) {
	dialects := config.Dialects()
	last := len(dialects) - 1
	return kong.New(g, kong.Name("batchd"),
		kong.Description("A self-hosted, crash-proof Batch API for any LLM endpoint."),
		kong.Writers(s.Stdout, s.Stderr), kong.Exit(exited),
		kong.Vars{"version": s.versionText(), "dialects": strings.Join(dialects[:last], ", ") + " or " + dialects[last]},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true}))
}

// execute parses the arguments and runs the command that they name.
func execute(s *invocation) error {
	helped := false
	var g grammar
	parser, err := s.parser(&g, func(int) { helped = true })
	if err != nil {
		return fmt.Errorf("build command line: %w", err)
	}
	parsed, err := parser.Parse(s.Args)
	if helped {
		return nil // parsing went on after the help was shown; what it found does not matter
	}
	if err != nil {
		command := parser.Model.Node
		var wrong *kong.ParseError
		if errors.As(err, &wrong) {
			command = commandOf(wrong.Context)
		}
		return &usageError{command: command, problem: err.Error()}
	}
	err = parsed.Run(s, &g)
	var wrong *usageError
	var fault *batch.Error
	switch {
	case errors.As(err, &wrong):
		wrong.command = commandOf(parsed)
	case errors.As(err, &fault) && fault.Class == batch.Invalid:
		return &usageError{command: commandOf(parsed), problem: fault.Message}
	}
	return err
}

// commandOf returns the command that was being parsed, which is the program itself if none was named.
func commandOf(c *kong.Context) *kong.Node {
	command := c.Model.Node
	for _, step := range c.Path {
		if step.Command != nil {
			command = step.Command
		}
	}
	return command
}

// usageError is a command line that cannot be followed.
type usageError struct {
	// command is what the line is about; execute fills it in, and until then it is nil.
	command *kong.Node
	problem string
}

// Error says what is wrong and shows the right form, as the command's help begins with it.
func (e *usageError) Error() string {
	if e.command == nil {
		return e.problem
	}
	return fmt.Sprintf("%s\nusage: %s\nRun `%s --help` for details.", e.problem, usageOf(e.command), e.command.FullPath())
}

// usageOf returns the right form of a command, or the commands that there are in a group of them.
func usageOf(command *kong.Node) string {
	if len(command.Children) == 0 {
		return "batchd " + command.Summary()
	}
	var names []string
	for _, child := range command.Children {
		names = append(names, child.Name)
	}
	return command.FullPath() + " " + strings.Join(names, "|")
}

// silentError carries an exit code only: what there is to say was said.
type silentError string

// Error returns nothing.
func (silentError) Error() string { return "" }

const (
	// errSomeFailed means that all is done, but some lines have no good answer.
	errSomeFailed silentError = "some lines failed"
	// errFailed means that a batch did not complete.
	errFailed silentError = "failed"
	// errInterrupted means that the user stopped the command.
	errInterrupted silentError = "interrupted"
)

// exitCode is the only place where an error becomes an exit code. The codes are a promise to scripts.
func exitCode(err error) int {
	var usage *usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		return 2
	case errors.Is(err, errSomeFailed):
		return 3
	case errors.Is(err, errInterrupted), errors.Is(err, oneshot.ErrInterrupted), errors.Is(err, context.Canceled):
		return 130
	default:
		return 1
	}
}

// variable returns an environment variable, "" if it is not set.
func (s *invocation) variable(name string) string {
	i := slices.IndexFunc(s.Environ, func(pair string) bool { return strings.HasPrefix(pair, name+"=") })
	if i < 0 {
		return ""
	}
	return s.Environ[i][len(name)+1:]
}

// versionCommand shows the version.
type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(s *invocation) error {
	_, err := fmt.Fprintln(s.Stdout, s.versionText())
	return err
}

// versionText is what is shown of the version: its line, and one of what was built if that is known.
func (s *invocation) versionText() string {
	text := "batchd " + s.Version
	if s.Build != "" {
		text += "\n" + s.Build
	}
	return text
}
