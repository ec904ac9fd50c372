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
	"upload", "retrieve", "list-files", "create", "idempotency", "poll", "list-batches", "content", "expiry", "failed",
	"cancel", "delete", "errors",
}

// programWithin is how long one program may take, on a loaded machine.
const programWithin = 5 * time.Minute

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

func TestPythonSDK(t *testing.T) {
	t.Parallel()
	drive(t, harness.Serve(t)+"/v1", python(t, "journey.py"), steps)
}

func TestNodeSDK(t *testing.T) {
	t.Parallel()
	drive(t, harness.Serve(t)+"/v1", node(t, "journey.mjs"), steps)
}

// python is the command of a program in the folder python.
func python(t *testing.T, program string, arguments ...string) *exec.Cmd {
	t.Helper()
	arguments = append([]string{"-B", filepath.Join("python", program)}, arguments...)
	return exec.CommandContext(limited(t), harness.Cached(t, "python", "venv/bin/python"), arguments...)
}

// node is the command of a program in the folder node.
func node(t *testing.T, program string, arguments ...string) *exec.Cmd {
	t.Helper()
	shared := filepath.Join("node", "driving.mjs")
	dir := nodeFolder(t)
	for _, source := range []string{shared, filepath.Join("node", program)} {
		writeFile(t, filepath.Join(dir, filepath.Base(source)), readFile(t, source))
	}
	return nodeCommand(t, filepath.Join(dir, program), arguments...)
}

// drive runs a program against the API at a base URL and checks that it went through every step.
func drive(t *testing.T, base string, program *exec.Cmd, steps []string) {
	t.Helper()
	var done []string
	for line := range strings.Lines(runAgainst(t, base, program)) {
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
func runAgainst(t *testing.T, base string, program *exec.Cmd) string {
	t.Helper()
	program.Env = append(os.Environ(), "OPENAI_BASE_URL="+base, "OPENAI_API_KEY=unused")
	output, err := program.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(program.Args, " "), err, output)
	}
	return string(output)
}

// nodeFolder makes a folder where Node finds the SDK, which is beside its node_modules. It goes when the test ends.
func nodeFolder(t *testing.T) string {
	t.Helper()
	modules := harness.Cached(t, "node", "npm/sdk/node_modules")
	dir, err := os.MkdirTemp(filepath.Dir(modules), "run-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func nodeCommand(t *testing.T, script string, arguments ...string) *exec.Cmd {
	t.Helper()
	return exec.CommandContext(limited(t), harness.Cached(t, "node", "bin/node"), append([]string{script}, arguments...)...)
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
