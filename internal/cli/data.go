package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"batchd/internal/admin"
	"batchd/internal/app"
	"batchd/internal/batch"
	"batchd/internal/config"
)

// dataFlags are the flags of every command that opens a server's data directory itself, beside the server as well as without it.
type dataFlags struct {
	Config  *string `placeholder:"FILE" help:"Read the data directory from the server's YAML file."`
	DataDir *string `placeholder:"DIR" help:"Data directory of the server (default $$BATCHD_DATA_DIR or ./batchd-data)."`
	JSON    bool    `name:"json" help:"Print JSON."`
}

// settings reads and checks the server's settings, as far as they matter to a command that calls no upstream: variables with
// the keys of upstreams, which only the server has, need not be set.
func (f dataFlags) settings(s *invocation) (config.Config, error) {
	src := config.Source{Environ: s.Environ, Flags: add(nil, "--data-dir", "data_dir", f.DataDir), NoCalls: true}
	if f.Config != nil {
		src.File = *f.Config
	}
	c, err := config.Load(src)
	if err = errors.Join(err, c.Validate()); err != nil {
		return c, misuse("%s", faultList(err))
	}
	return c, nil
}

// administer opens the data directory for use, by the same rules as the server.
func (f dataFlags) administer(s *invocation, use func(*admin.Service) error) error {
	cfg, err := f.settings(s)
	if err != nil {
		return err
	}
	return remedied(app.Administer(s.ctx, cfg, app.Administration{
		UserAgent: "batchd/" + s.Version, Logger: logger(s.Stderr, cfg.Log, slog.LevelWarn),
	}, use))
}

// allowRemedy is what to do about a receiver at an address that is not public.
const allowRemedy = "list its range, like 10.0.0.0/8, under webhooks.allow in the server's settings, and name their file with --config here too"

// remedied adds to an error of administration which command helps: admin names the thing in Param, which is also what the commands
// on it are called. What is wrong with the command line ends in exit code 2.
func remedied(err error) error {
	var fault *batch.Error
	if !errors.As(err, &fault) {
		return err
	}
	switch {
	case fault.Class == batch.NotFound && fault.Param == "delivery":
		return fmt.Errorf("%w: `batchd webhooks deliveries` shows those there are", err)
	case fault.Class == batch.Conflict && fault.Param == "delivery":
		return err
	case fault.Class == batch.Conflict && fault.Param == "webhook":
		return fmt.Errorf("%w: `batchd webhooks enable` lets it have events again", err)
	case fault.Class == batch.NotFound:
		return fmt.Errorf("%w: `batchd %ss list` shows those there are", err, fault.Param)
	case fault.Class == batch.Conflict:
		return fmt.Errorf("%w: `batchd %ss create` makes a new one", err, fault.Param)
	case admin.PrivateAddress(err):
		return misuse("%v To allow it, %s.", err, allowRemedy)
	default:
		return misuse("%v", err)
	}
}

// printObject writes an object of our own as JSON, indented.
func (s *invocation) printObject(object any) error {
	raw, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	return s.printJSON(raw)
}

// formatTime writes a time for people, "-" for none.
func formatTime(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return formatUnix(t.Unix())
}
