package batch_test

import (
	"testing"

	"batchd/internal/batch"
)

func TestAnEndpointMayLackTheVersion(t *testing.T) {
	t.Parallel()
	for endpoint, want := range map[string]string{
		"/v1/chat/completions": "/v1/chat/completions",
		"/chat/completions":    "/v1/chat/completions",
		"/v10/a":               "/v1/v10/a",
		"/v1":                  "/v1/v1",
		"chat/completions":     "chat/completions",
		"http://x/v1/a":        "http://x/v1/a",
		"":                     "",
	} {
		if got := batch.EndpointPath(endpoint); got != want {
			t.Errorf("%q: %q, want %q", endpoint, got, want)
		}
	}
}
