// Package sdk drives a running batchd with OpenAI's official SDKs for Python, Node and Go, unchanged: the contract
// that users run. It knows the public API and nothing behind it.
package sdk_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"batchd/test/harness"
)

// steps is what every SDK must have done, in this order, to have driven the whole API.
var steps = []string{
	"upload", "retrieve", "list-files", "create", "poll", "list-batches", "content", "cancel", "delete", "errors",
}

// programWithin is how long one program may take, on a loaded machine.
const programWithin = 5 * time.Minute

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

func TestPythonSDK(t *testing.T) {
	t.Parallel()
	python := harness.Cached(t, "python", "venv/bin/python")
	drive(t, exec.CommandContext(limited(t), python, "-B", filepath.Join("python", "journey.py")))
}

func TestNodeSDK(t *testing.T) {
	t.Parallel()
	node, script := nodeScript(t, readFile(t, filepath.Join("node", "journey.mjs")))
	drive(t, exec.CommandContext(limited(t), node, script))
}

// drive runs a program against a fresh server and checks that it went through every step.
func drive(t *testing.T, program *exec.Cmd) {
	t.Helper()
	output := runAgainst(t, harness.Serve(t), program)
	var done []string
	for line := range strings.Lines(output) {
		if step, ok := strings.CutPrefix(strings.TrimSpace(line), "ok "); ok {
			done = append(done, step)
		}
	}
	if !slices.Equal(done, steps) {
		t.Errorf("%s went through %v, want %v", program.Path, done, steps)
	}
}

// limited is the context of a program that a test runs: it ends with the test, or after a time that no program needs.
func limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), programWithin)
	t.Cleanup(cancel)
	return ctx
}

// runAgainst runs a program with the environment variables that the SDKs read and returns what it printed.
func runAgainst(t *testing.T, server string, program *exec.Cmd) string {
	t.Helper()
	program.Env = append(os.Environ(), "OPENAI_BASE_URL="+server+"/v1", "OPENAI_API_KEY=unused")
	output, err := program.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(program.Args, " "), err, output)
	}
	return string(output)
}

// nodeScript puts a script where Node finds the SDK, which is beside its node_modules, and returns Node's own path and
// the script's.
func nodeScript(t *testing.T, source string) (node, script string) {
	t.Helper()
	node = harness.Cached(t, "node", "bin/node")
	modules := harness.Cached(t, "node", "npm/sdk/node_modules")
	dir, err := os.MkdirTemp(filepath.Dir(modules), "run-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	script = filepath.Join(dir, "program.mjs")
	writeFile(t, script, source)
	return node, script
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
