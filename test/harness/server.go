package harness

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// address is how a server names itself once it listens, whatever the format of its log.
var address = regexp.MustCompile(`http://127\.0\.0\.1:[1-9][0-9]*`)

// Serve starts `batchd serve` on a free port with an empty data directory and the built-in simulator behind it, waits
// until it is ready and returns its base URL, without a path. Further arguments are appended to the command line.
// The server is stopped when the test ends, and must then exit with code 0.
func Serve(t testing.TB, arguments ...string) string {
	t.Helper()
	return ServeDir(t, t.TempDir(), append([]string{"--no-auth", "--upstream", "sim"}, arguments...)...)
}

// ServeDir is Serve for a data directory of the test's own: nothing is said on the command line but the directory, the
// address and the arguments, which name at least an upstream.
func ServeDir(t testing.TB, dataDir string, arguments ...string) string {
	t.Helper()
	arguments = append([]string{"serve", "--listen", "127.0.0.1:0", "--data-dir", dataDir}, arguments...)
	process := Start(t, exec.Command(Binary(t), arguments...))
	base := process.Await(t, address)
	waitReady(t, base)
	return base
}

// Simulate starts `batchd sim` with a fault script on a free port and returns the URL that --upstream takes. It is
// stopped when the test ends.
func Simulate(t testing.TB, faults string) string {
	t.Helper()
	script := filepath.Join(t.TempDir(), "faults.json")
	if err := os.WriteFile(script, []byte(faults), 0o600); err != nil {
		t.Fatal(err)
	}
	return Start(t, exec.Command(Binary(t), "sim", "--listen", "127.0.0.1:0", "--faults", script)).Await(t, address) + "/v1"
}

// Run runs a batchd command to its end, which must be a good one, and returns what it printed on standard output,
// without the last line break.
func Run(t testing.TB, arguments ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), Binary(t), arguments...)
	output, err := command.Output()
	if err != nil {
		var told []byte
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			told = exit.Stderr
		}
		t.Fatalf("batchd %s: %v\n%s", strings.Join(arguments, " "), err, told)
	}
	return strings.TrimSuffix(string(output), "\n")
}

// waitReady polls /readyz. The server may name its address a moment before it accepts, or before the journals of an
// earlier run are loaded.
func waitReady(t testing.TB, base string) {
	t.Helper()
	client := &http.Client{Timeout: time.Second}
	deadline := time.NewTimer(startWithin)
	defer deadline.Stop()
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		if response, err := client.Get(base + "/readyz"); err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-retry.C:
		case <-deadline.C:
			t.Fatalf("%s/readyz did not answer 200 within %s", base, startWithin)
		}
	}
}
