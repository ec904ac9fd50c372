package harness

import (
	"net/http"
	"os/exec"
	"regexp"
	"testing"
	"time"
)

// address is how a server names itself once it listens, whatever the format of its log.
var address = regexp.MustCompile(`http://127\.0\.0\.1:[1-9][0-9]*`)

// Serve starts `batchd serve` on a free port with an empty data folder and the built-in simulator behind it, waits
// until it is ready and returns its base URL, without a path. Further arguments are appended to the command line.
// The server is stopped when the test ends, and must then exit with code 0.
func Serve(t testing.TB, arguments ...string) string {
	t.Helper()
	arguments = append([]string{
		"serve", "--listen", "127.0.0.1:0", "--no-auth", "--data-dir", t.TempDir(), "--upstream", "sim",
	}, arguments...)
	process := Start(t, exec.Command(Binary(t), arguments...))
	base := process.Await(t, address)
	waitReady(t, base)
	return base
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
		if ready(client, base) {
			return
		}
		select {
		case <-retry.C:
		case <-deadline.C:
			t.Fatalf("%s/readyz did not answer 200 within %s", base, startWithin)
		}
	}
}

func ready(client *http.Client, base string) bool {
	response, err := client.Get(base + "/readyz")
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}
