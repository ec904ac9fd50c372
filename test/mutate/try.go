package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// patience is how long the tests of one mutation may take: a mistake that shows only when a test hangs is not noticed.
const patience = "60s"

// result is how a mutation went.
type result struct {
	mutation
	// caughtBy is the test that failed, "" if none did; why says then what happened instead.
	caughtBy, why string
	took          time.Duration
}

// String is a line for people.
func (r result) String() string {
	if r.caughtBy == "" {
		return fmt.Sprintf("SURVIVED %-60s %s (%s)", r.name, r.why, r.took.Round(100*time.Millisecond))
	}
	return fmt.Sprintf("caught   %-60s %s (%s)", r.name, r.caughtBy, r.took.Round(100*time.Millisecond))
}

// try runs the tests of a mutation with the broken file in place of the true one.
func try(ctx context.Context, root string, p placed) (result, error) {
	dir, err := os.MkdirTemp("", "batchd-mutate-")
	if err != nil {
		return result{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a leftover in the temporary directory harms nobody
	broken := filepath.Join(dir, "broken.go")
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(root, p.path): broken}})
	if err != nil {
		return result{}, err
	}
	list := filepath.Join(dir, "overlay.json")
	if err := errors.Join(os.WriteFile(broken, p.broken, 0o600), os.WriteFile(list, overlay, 0o600)); err != nil {
		return result{}, err
	}
	begin := time.Now()
	seen, err := goTest(ctx, root, p.mutation, "-count=1", "-overlay="+list)
	r := result{mutation: p.mutation, took: time.Since(begin)}
	switch {
	case err != nil:
		return r, fmt.Errorf("%q: %w", p.name, err)
	case seen.failed != "":
		r.caughtBy = seen.failed
	case seen.hung:
		r.why = "a test hangs instead of failing"
	case seen.unbuilt, seen.broken:
		return r, fmt.Errorf("%q: go test fails without a test that does:\n%s", p.name, seen.text.String())
	case seen.passed == 0:
		return r, fmt.Errorf("%q: no test of %s matches %q", p.name, p.tests(), p.run)
	default:
		r.why = fmt.Sprintf("%d tests pass", seen.passed)
	}
	return r, nil
}

// goTest runs the tests of a mutation until the first one fails.
func goTest(ctx context.Context, root string, m mutation, flags ...string) (*seen, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	arguments := append([]string{"test", "-json", "-vet=off", "-timeout=" + patience, "-run=" + m.run, "-skip=" + m.skip}, flags...)
	command := exec.CommandContext(ctx, "go", append(arguments, "./"+m.tests())...)
	command.Dir = root
	command.Env = append(os.Environ(), "RAPID_NOFAILFILE=true") // a property that fails leaves nothing in the tree
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}   // the tests are processes of the go command's
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	output, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	command.Stderr = command.Stdout
	if err := command.Start(); err != nil {
		return nil, err
	}
	s := &seen{}
	lines := bufio.NewReader(output)
	for err == nil && s.failed == "" {
		var line []byte
		line, err = lines.ReadBytes('\n')
		s.read(line)
	}
	stop()
	if s.failed != "" {
		_ = command.Wait() // it was ended on purpose
		return s, nil
	}
	if ended := (*exec.ExitError)(nil); errors.As(command.Wait(), &ended) {
		s.broken = true
	}
	if !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read what go test prints: %w", err)
	}
	return s, nil
}

// seen is what a run of go test has shown.
type seen struct {
	// failed is the first test that failed; passed is how many passed before.
	failed string
	passed int
	// unbuilt is set if nothing could be run, hung if the time was over, broken if the go command ended badly.
	unbuilt, hung, broken bool
	text                  strings.Builder
}

// read takes a line of what go test -json prints.
func (s *seen) read(line []byte) {
	var event struct{ Action, Test, Output string }
	if err := json.Unmarshal(line, &event); err != nil {
		s.text.Write(line) // the go command's own words
		return
	}
	s.text.WriteString(event.Output)
	switch {
	case event.Action == "build-fail":
		s.unbuilt = true
	case event.Action == "fail" && event.Test != "" && s.failed == "":
		s.failed = event.Test
	case event.Action == "pass" && event.Test != "":
		s.passed++
	case strings.HasPrefix(event.Output, "panic: test timed out"):
		s.hung = true
	}
}
