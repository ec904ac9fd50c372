package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strings"

	"batchd/internal/config"
)

// engineFlags are the flags of every command that sends requests itself. Each stands for a setting: config reads and checks it as
// it does the same setting in a file or a variable, so that the words of an error are the same.
type engineFlags struct {
	Config           *string  `placeholder:"FILE" help:"Read settings from a YAML file; environment variables and flags override it."`
	Upstream         []string `sep:"none" placeholder:"URL" help:"Inference server, as the base URL that an OpenAI SDK takes (http://host:8000/v1), or sim for the built-in simulator. May be given several times."`
	UpstreamKeyEnv   *string  `placeholder:"NAME" help:"Environment variable that holds the API key for the upstreams."`
	Concurrency      *string  `placeholder:"N" help:"Calls in flight to each upstream: a number to start with and never exceed, or auto to find how many are worth it (default auto)."`
	AllowMixedModels bool     `help:"Let the lines of a file name different models."`
}

// flags returns what was given, in config's terms.
func (f engineFlags) flags() []config.Flag {
	var flags []config.Flag
	if len(f.Upstream) > 0 {
		flags = append(flags, config.Flag{Name: "--upstream", Key: "upstreams", Values: f.Upstream})
	}
	flags = add(flags, "--upstream-key-env", "upstream_key_env", f.UpstreamKeyEnv)
	flags = add(flags, "--concurrency", "concurrency", f.Concurrency)
	if f.AllowMixedModels {
		flags = append(flags, config.Flag{Name: "--allow-mixed-models", Key: "allow_mixed_models", Values: []string{"true"}})
	}
	return flags
}

// add appends a flag that was given. name is for errors, key is what the setting is called in a file.
func add(flags []config.Flag, name, key string, text *string) []config.Flag {
	if text == nil {
		return flags
	}
	return append(flags, config.Flag{Name: name, Key: key, Values: []string{*text}})
}

// settings reads and checks all settings of a command that needs an upstream. flags, which are its own, come before those that
// all such commands have; the order shows in errors only.
func (f engineFlags) settings(s *invocation, flags []config.Flag) (config.Config, error) {
	src := config.Source{Environ: s.Environ, Flags: append(flags, f.flags()...)}
	if f.Config != nil {
		src.File = *f.Config
	}
	c, err := config.Load(src)
	if err = errors.Join(err, c.Validate()); err != nil {
		return c, misuse("%s", faultList(err))
	}
	if len(c.Upstreams) == 0 {
		return c, misuse("no upstream: name the inference server that requests go to\n" +
			"  --upstream http://host:8000/v1   an OpenAI-compatible server, as the base URL that an SDK takes\n" +
			"  --upstream sim                   the built-in simulator")
	}
	return c, nil
}

// misuse is an error that ends in exit code 2; execute adds the command's usage line to it. It is for what another command line
// would mend, never for what a server or a disk refused.
func misuse(format string, args ...any) error {
	return &usageError{problem: fmt.Sprintf(format, args...)}
}

// unreadable is misuse for a file that was named and cannot be read: its path and what is wrong, without the system call.
func unreadable(err error) error {
	var fault *fs.PathError
	if errors.As(err, &fault) {
		return misuse("%s: %v", fault.Path, fault.Err)
	}
	return misuse("%v", err)
}

// faultList shows one fault on a line, several as a list: all that is wrong with the settings at once, so that nobody mends one
// after the other.
func faultList(err error) string {
	lines := strings.Split(err.Error(), "\n")
	if len(lines) == 1 {
		return lines[0]
	}
	return "the settings are not valid:\n  " + strings.Join(lines, "\n  ")
}

// logger makes the logger that the settings ask for, which drops what is below the least level. Only debug goes below it.
func logger(w io.Writer, l config.Log, least slog.Level) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(l.Level)) // Validate has checked it
	options := &slog.HandlerOptions{Level: max(level, least)}
	if level == slog.LevelDebug {
		options.Level = level // whoever asks for that wants to see everything
	}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
