package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience is how long a script waits for something that must happen.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"batchd": main})
}

// TestScripts runs the real command line, in processes of its own. Beside testscript's own commands there are:
//
//	spawn NAME ARG...           start batchd in the background
//	await NAME PATTERN [VAR]    wait for a line of its output; VAR gets the first group
//	signal NAME int|term|kill   send a signal
//	ended NAME CODE             wait for its end; -1 stands for an end by a signal
//	said NAME PATTERN           check all its output
//	calls URL MIN MAX           wait until a simulated engine has answered MIN requests, and not more than MAX
//	code CODE ARG...            run batchd and check its exit code
//	lines N FILE                check how many lines a file has
//	same A B                    check that two files name the same custom_ids in the same order
//	find FILE PATTERN VAR       VAR gets the first group of a match in a file, or in stdout or stderr
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:   "testdata/script",
		Setup: setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"spawn": spawn, "await": await, "signal": sendSignal, "ended": ended, "said": said, "calls": calls,
			"code": exitCode, "lines": countLines, "same": sameOrder, "find": find,
		},
	})
}

// background are the processes of one script.
type background map[string]*child

// backgroundKey is where a script's environment keeps them.
type backgroundKey struct{}

func setup(env *testscript.Env) error {
	children := background{}
	env.Values[backgroundKey{}] = children
	env.Defer(func() {
		for _, c := range children {
			_ = c.command.Process.Kill() // it may have ended, which is as good
			<-c.exited
		}
	})
	return nil
}

// child is a process in the background. Its output may be read at any time.
type child struct {
	command *exec.Cmd
	exited  chan struct{} // closed by the goroutine that waits for the process

	// mu guards following field.
	mu     sync.Mutex
	output bytes.Buffer
}

// Write takes output of the process.
func (c *child) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.output.Write(p)
}

func (c *child) said() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.output.String()
}

func process(ts *testscript.TestScript, name string) *child {
	all, _ := ts.Value(backgroundKey{}).(background)
	c := all[name]
	if c == nil {
		ts.Fatalf("no process %q was spawned", name)
	}
	return c
}

// batchd prepares the command line under test in the script's directory and environment.
func batchd(ts *testscript.TestScript, args []string) *exec.Cmd {
	path, err := exec.LookPath("batchd")
	ts.Check(err)
	command := exec.Command(path, args...)
	command.Dir = ts.MkAbs(".")
	command.Env = os.Environ()
	for _, name := range []string{"HOME", "KEY", "BATCHD_SERVER", "BATCHD_API_KEY", "BATCHD_BOOTSTRAP_KEY", "BATCHD_DATA_DIR"} {
		if value := ts.Getenv(name); value != "" {
			command.Env = append(command.Env, name+"="+value)
		}
	}
	return command
}

func spawn(ts *testscript.TestScript, _ bool, args []string) {
	name, args := args[0], args[1:]
	c := &child{command: batchd(ts, args), exited: make(chan struct{})}
	c.command.Stdout, c.command.Stderr = c, c
	ts.Check(c.command.Start())
	go func() { // joined through exited
		_ = c.command.Wait() // ended looks at the state
		close(c.exited)
	}()
	all, _ := ts.Value(backgroundKey{}).(background)
	all[name] = c
}

// until asks again and again until ok, and gives up when patience ends or the process has.
func until(ts *testscript.TestScript, what string, exited <-chan struct{}, ok func() bool) {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !ok() {
		select {
		case <-again.C:
		case <-exited:
			if !ok() {
				ts.Fatalf("the process ended before %s", what)
			}
			return
		case <-deadline.C:
			ts.Fatalf("%s did not happen within %s", what, patience)
		}
	}
}

func await(ts *testscript.TestScript, _ bool, args []string) {
	c, pattern := process(ts, args[0]), regexp.MustCompile(args[1])
	defer func() {
		if pattern.FindString(c.said()) == "" {
			ts.Logf("%s said:\n%s", args[0], c.said())
		}
	}()
	until(ts, "it said "+args[1], c.exited, func() bool { return pattern.MatchString(c.said()) })
	if len(args) > 2 {
		ts.Setenv(args[2], pattern.FindStringSubmatch(c.said())[1])
	}
}

func sendSignal(ts *testscript.TestScript, _ bool, args []string) {
	signals := map[string]os.Signal{"int": os.Interrupt, "term": syscall.SIGTERM, "kill": os.Kill}
	ts.Check(process(ts, args[0]).command.Process.Signal(signals[args[1]]))
}

func ended(ts *testscript.TestScript, _ bool, args []string) {
	c := process(ts, args[0])
	over := func() bool { return c.command.ProcessState != nil }
	deadline, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	select {
	case <-c.exited:
	case <-deadline.Done():
	}
	if got := c.command.ProcessState.ExitCode(); !over() || fmt.Sprint(got) != args[1] {
		ts.Fatalf("%s: got exit code %d, want %s; it said:\n%s", args[0], got, args[1], c.said())
	}
}

func said(ts *testscript.TestScript, neg bool, args []string) {
	output := process(ts, args[0]).said()
	if regexp.MustCompile(args[1]).MatchString(output) == neg {
		ts.Fatalf("%s said:\n%s", args[0], output)
	}
}

func calls(ts *testscript.TestScript, _ bool, args []string) {
	least, err := strconv.Atoi(args[1])
	ts.Check(err)
	most, err := strconv.Atoi(args[2])
	ts.Check(err)
	var got int
	until(ts, "answering "+args[1]+" requests", nil, func() bool {
		got, err = answered(strings.TrimSuffix(args[0], "/v1"))
		ts.Check(err)
		return got >= least
	})
	if got > most {
		ts.Fatalf("the engine has answered %d requests, want at most %d", got, most)
	}
}

// answered reads from an engine's metrics how many requests it has answered.
func answered(base string) (int, error) {
	response, err := http.Get(base + "/metrics")
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	total := 0
	for _, m := range regexp.MustCompile(`(?m)^vllm:request_success_total\{.*\} (\d+)$`).FindAllSubmatch(text, -1) {
		n, _ := strconv.Atoi(string(m[1])) // only digits match
		total += n
	}
	return total, err
}

func exitCode(ts *testscript.TestScript, _ bool, args []string) {
	command := batchd(ts, args[1:])
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Fatalf("run batchd: %v", err)
	}
	ts.Check(os.WriteFile(ts.MkAbs("out"), stdout.Bytes(), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("err"), stderr.Bytes(), 0o600))
	ts.Logf("%s%s", stdout.String(), stderr.String())
	if got := command.ProcessState.ExitCode(); fmt.Sprint(got) != args[0] {
		ts.Fatalf("got exit code %d, want %s", got, args[0])
	}
}

func countLines(ts *testscript.TestScript, _ bool, args []string) {
	if got := strings.Count(ts.ReadFile(args[1]), "\n"); fmt.Sprint(got) != args[0] {
		ts.Fatalf("%s has %d lines, want %s", args[1], got, args[0])
	}
}

func sameOrder(ts *testscript.TestScript, _ bool, args []string) {
	ids := func(name string) string {
		return strings.Join(regexp.MustCompile(`"custom_id": ?"[^"]*"`).FindAllString(
			strings.ReplaceAll(ts.ReadFile(name), `"custom_id": `, `"custom_id":`), -1), "\n")
	}
	if a, b := ids(args[0]), ids(args[1]); a != b {
		ts.Fatalf("%s and %s differ in their custom_ids:\n%s\n\n%s", args[0], args[1], a, b)
	}
}

func find(ts *testscript.TestScript, _ bool, args []string) {
	match := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile(args[0]))
	if match == nil {
		ts.Fatalf("nothing in %s matches %s", args[0], args[1])
	}
	ts.Setenv(args[2], match[1])
}
