package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"batchd/internal/client"
	"batchd/internal/oneshot"

	"github.com/alecthomas/kong"
)

func TestExitCodesAreAsPromised(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("disk on fire"), 1},
		{errFailed, 1},
		{&client.Error{Status: 500}, 1},
		{&usageError{problem: "no"}, 2},
		{errSomeFailed, 3},
		{errInterrupted, 130},
		{fmt.Errorf("run: %w", oneshot.ErrInterrupted), 130},
		{context.Canceled, 130},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("%v: got %d, want %d", c.err, got, c.want)
		}
	}
}

func TestTheEndOfABatchDecidesTheExitCode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status string
		failed int64
		want   int
	}{
		{"completed", 0, 0}, {"completed", 2, 3}, {"failed", 0, 1}, {"expired", 1, 1}, {"cancelled", 0, 1},
	} {
		if got := exitCode(verdict(client.Batch{Status: c.status, Counts: client.Counts{Failed: c.failed}})); got != c.want {
			t.Errorf("%s with %d failed: got %d, want %d", c.status, c.failed, got, c.want)
		}
	}
}

func TestASecondSignalEndsTheProcessAtOnce(t *testing.T) {
	t.Parallel()
	signals := make(chan os.Signal)
	ctx, stop := context.WithCancel(t.Context())
	exited := make(chan int, 1)
	go watchSignals(Process{Signals: signals, Exit: func(code int) { exited <- code }}, stop, nil) // ends by Exit
	signals <- os.Interrupt
	<-ctx.Done()
	select {
	case code := <-exited:
		t.Fatalf("exited with %d at the first signal", code)
	default:
	}
	signals <- os.Interrupt
	if code := <-exited; code != 130 {
		t.Errorf("got code %d, want 130", code)
	}
}

func TestEveryCommandShowsItsUsage(t *testing.T) {
	t.Parallel()
	s := &invocation{}
	parser, err := s.parser(&grammar{}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	err = kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		command, ok := node.(*kong.Node)
		if !ok || command.Type != kong.CommandNode {
			return next(nil)
		}
		path := command.FullPath()
		if got := usageOf(command); !strings.HasPrefix(got, path) {
			t.Errorf("%s: got usage %q", path, got)
		}
		var out, fault bytes.Buffer
		code := Main(Process{Args: append(strings.Fields(path)[1:], "--help"), Stdout: &out, Stderr: &fault})
		if code != 0 || !strings.Contains(out.String(), "Usage: "+path) || fault.Len() > 0 {
			t.Errorf("%s --help: code %d, output %q, errors %q", path, code, out.String(), fault.String())
		}
		return next(nil)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestUsageNamesWhatACommandNeeds(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"":                     "batchd serve|run|sim|batches|files|keys|tenants|webhooks|status|check|repair|version",
		"keys":                 "batchd keys create|list|revoke|rotate",
		"keys create":          "batchd keys create [flags]",
		"run":                  "batchd run <in.jsonl> [flags]",
		"batches get":          "batchd batches get <batch-id> [flags]",
		"webhooks list --wron": "batchd webhooks list [flags]",
	} {
		var fault bytes.Buffer
		code := Main(Process{Args: strings.Fields(args), Stdout: io.Discard, Stderr: &fault})
		if code != 2 || !strings.Contains(fault.String(), "\nusage: "+want+"\n") {
			t.Errorf("batchd %s: code %d, got %q, want usage %q", args, code, fault.String(), want)
		}
	}
}

func TestARefusedKeyIsToldFromOneThatIsNotSet(t *testing.T) {
	t.Parallel()
	refused := &client.Error{Status: http.StatusUnauthorized, Message: "no"}
	for environ, want := range map[string]string{
		"OTHER=1":            "set the environment variable BATCHD_API_KEY to an API key; `batchd keys create`",
		"BATCHD_API_KEY=sk-": "the API key comes from the environment variable BATCHD_API_KEY; `batchd keys create`",
	} {
		s := &invocation{Process: Process{Environ: []string{environ}}}
		if got := s.explain(refused); !errors.Is(got, refused) || !strings.Contains(got.Error(), want) {
			t.Errorf("%s: got %q, want it to say %q", environ, got, want)
		}
	}
	if got := (&invocation{}).explain(errFailed); !errors.Is(got, errFailed) || got.Error() != "" {
		t.Errorf("another error: got %q", got)
	}
}

func TestResumingNamesTheSameCommandWithoutRestart(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := &invocation{Process: Process{Stderr: &out, Args: []string{"run", "my file.jsonl", "--restart", "--upstream", "sim"}}}
	s.sayResume(oneshot.Summary{Progress: oneshot.Progress{Total: 2000, Completed: 1199, Failed: 1}})
	const want = "interrupted; 1,200 of 2,000 lines are done and kept. Resume with:\n  batchd run 'my file.jsonl' --upstream sim\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestResumingRepeatsNoPassword(t *testing.T) {
	t.Parallel()
	if got := resumeCommand([]string{"run", "in.jsonl", "--upstream=http://me:s3cret@host/v1"}); got != "the same command" {
		t.Errorf("got %q", got)
	}
}
