package promise

import (
	"os"
	"testing"

	"batchd/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
