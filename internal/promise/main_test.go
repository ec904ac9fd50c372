package promise

import (
	"os"
	"strings"
	"testing"

	"batchd/internal/failpoint"
	"batchd/test/harness"
)

func TestMain(m *testing.M) {
	if failpoint.Enabled {
		// The binary under test is built by the go command, which must use the tag that these tests were built with.
		_ = os.Setenv("GOFLAGS", strings.TrimSpace(os.Getenv("GOFLAGS")+" -tags=failpoint")) // TestFailpoints would tell
	}
	os.Exit(harness.Main(m))
}
