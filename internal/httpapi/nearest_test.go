package httpapi_test

import (
	"strings"
	"testing"
)

// A base URL without its version, or with slashes too many, leads to a 404 that names the path.
func TestF2_45UnknownPathIsToldWhatItLacks(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *options) { mountVendors(o, false) })
	const meant, version = " is meant.", " is meant: the base URL ends in /v1."
	for target, right := range map[string]string{
		"POST /files":                            "/v1/files" + version,
		"GET /files/file-1/content":              "/v1/files/file-1/content" + version,
		"POST //v1/batches":                      "/v1/batches" + meant,
		"POST /v1/files/":                        "/v1/files" + meant,
		"POST /files/":                           "/v1/files" + version,
		"PUT /v1/v1/batches":                     "/v1/batches" + meant,
		"GET /v3/openai/v1/batches/batch_1":      "/v3/openai/batches/batch_1" + meant,
		"POST /neosantara/batches":               "/neosantara/v1/batches" + version,
		"GET /v1/nothing":                        "",
		"GET /nothing":                           "",
		"GET /v1/../files":                       "",
		"GET /v1/files%2Ffile-1":                 "",
		"GET /":                                  "",
		"GET /v1":                                "",
		"GET /v1/":                               "",
		"GET /openai/uploads":                    "", // which Novita has not
		"GET /files/" + strings.Repeat("x", 300): "",
	} {
		method, path, _ := strings.Cut(target, " ")
		got := faultOf(t, f.do(method, path, ""))
		want := "Unknown path. No such route exists on this server."
		if right != "" {
			want += " Perhaps " + right
		}
		if got.Status != 404 || got.Message != want {
			t.Errorf("%s: %d %q, want %q", target, got.Status, got.Message, want)
		}
	}
}
