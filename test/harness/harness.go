// Package harness gives the outer tests, which see batchd only from outside, what they share: the binary under
// test, built once per test run, a server started from it on a free port, and one rule for missing prerequisites
// (skip and say why, unless the run demands everything). It knows the command line and the HTTP surface, and nothing
// of the packages behind them.
package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

const (
	// binaryVariable names the binary under test. Main sets it to a fresh build, unless the caller has set it
	// already, to test a binary built some other way.
	binaryVariable = "BATCHD_BINARY"
	// requireVariable, set to 1, makes a missing prerequisite a failure. CI sets it, so that nothing is skipped there
	// without anyone noticing.
	requireVariable = "BATCHD_REQUIRE_ALL"
)

// Main builds cmd/batchd, runs the tests of m against it, removes the build and returns the exit code. A package of
// outer tests calls it from TestMain, so that the binary is built once and not once per test.
func Main(m *testing.M) int {
	if os.Getenv(binaryVariable) != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "batchd-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "make a directory for the binary under test:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }() // a leftover in the temporary directory harms nobody
	binary := filepath.Join(dir, "batchd")
	build := exec.Command("go", "build", "-o", binary, "batchd/cmd/batchd")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the binary under test: %v\n%s", err, output)
		return 1
	}
	if err := os.Setenv(binaryVariable, binary); err != nil {
		fmt.Fprintln(os.Stderr, "name the binary under test:", err)
		return 1
	}
	return m.Run()
}

// Binary returns the path of the batchd executable under test.
func Binary(t testing.TB) string {
	t.Helper()
	path := os.Getenv(binaryVariable)
	if path == "" {
		t.Fatalf("%s is not set: the package's TestMain must call harness.Main", binaryVariable)
	}
	return path
}

// Root returns the repository's directory: the nearest one above the test's own that holds go.mod.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the test's directory")
		}
		dir = parent
	}
}

// Cached returns the path of something that scripts/setup fetches into .cache, for example "venv/bin/python". If it
// is not there the test is skipped with the command that fetches it, or fails where the run demands everything.
func Cached(t testing.TB, part, path string) string {
	t.Helper()
	full := filepath.Join(Root(t), ".cache", filepath.FromSlash(path))
	if _, err := os.Stat(full); err != nil {
		absent(t, fmt.Sprintf("%s is not there: run scripts/setup %s", filepath.Join(".cache", path), part))
	}
	return full
}

// Installed returns the path of a program of the system, for example "curl". If it is not there the test is skipped with
// the command that installs it, or fails where the run demands everything.
func Installed(t testing.TB, part, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		absent(t, fmt.Sprintf("%s is not installed: run scripts/setup %s", program, part))
	}
	return path
}

// Platform skips the test unless it runs on one of the wanted platforms, each written GOOS/GOARCH. No prerequisite
// could be fetched for the others, so this is a skip even where the run demands everything.
func Platform(t testing.TB, wanted ...string) {
	t.Helper()
	have := runtime.GOOS + "/" + runtime.GOARCH
	for _, platform := range wanted {
		if platform == have {
			return
		}
	}
	t.Skipf("runs on %s, not on %s", strings.Join(wanted, ", "), have)
}

func absent(t testing.TB, what string) {
	t.Helper()
	if os.Getenv(requireVariable) == "1" {
		t.Fatalf("%s (%s=1 forbids skipping)", what, requireVariable)
	}
	t.Skip(what)
}
