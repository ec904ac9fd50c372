// Package setup checks that scripts/setup, which fetches what tests need, installs no system package unasked. It runs the
// script with a PATH of its own, on which a program is missing and apt-get only notes how it was called.
package setup_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"batchd/test/harness"
)

// tools is what the script itself uses, curl left out: that is what is missing.
var tools = []string{"bash", "env", "go", "awk", "cat", "grep", "dirname", "mkdir", "uname", "sha256sum", "tr"}

// machine is a PATH without curl, on which the user is root and apt-get notes its arguments.
func machine(t *testing.T) (path, notes string) {
	t.Helper()
	harness.Platform(t, "linux/amd64", "linux/arm64")
	path = t.TempDir()
	for _, tool := range tools {
		if err := os.Symlink(harness.Installed(t, "", tool), filepath.Join(path, tool)); err != nil {
			t.Fatal(err)
		}
	}
	notes = filepath.Join(t.TempDir(), "notes")
	for name, script := range map[string]string{
		"id":      "#!/bin/sh\necho 0\n",
		"apt-get": "#!/bin/sh\necho \"$*\" >>'" + notes + "'\n",
	} {
		if err := os.WriteFile(filepath.Join(path, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return path, notes
}

// fetchCurl runs scripts/setup curl as root without a terminal. It returns what the script said, how it was
// ended, and what apt-get was asked for.
func fetchCurl(t *testing.T, environ ...string) (said string, code int, asked string) {
	t.Helper()
	path, notes := machine(t)
	command := exec.CommandContext(t.Context(), filepath.Join(path, "bash"), filepath.Join(harness.Root(t), "scripts", "setup"), "curl")
	command.Env = append([]string{"PATH=" + path, "HOME=" + t.TempDir()}, environ...)
	output, err := command.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(notes)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(output), code, string(raw)
}

func TestNothingIsInstalledWhereNobodyCanBeAsked(t *testing.T) {
	t.Parallel()
	said, code, asked := fetchCurl(t)
	if code != 1 || asked != "" {
		t.Errorf("exit code %d, apt-get was asked for %q", code, asked)
	}
	for _, words := range []string{"missing: curl", "apt-get install -y --no-install-recommends curl", "CI=true"} {
		if !strings.Contains(said, words) {
			t.Errorf("said %q, want something with %q", said, words)
		}
	}
}

func TestCIHasAgreed(t *testing.T) {
	t.Parallel()
	said, code, asked := fetchCurl(t, "CI=true")
	if code != 0 || !strings.HasSuffix(asked, "--no-install-recommends curl\n") {
		t.Errorf("exit code %d, apt-get was asked for %q:\n%s", code, asked, said)
	}
}
