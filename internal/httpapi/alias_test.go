package httpapi_test

import (
	"strings"
	"testing"
)

// Each route of a vendor's prefix is under its aliases, with the same answers.
func TestAliasesAnswerLikeTheirPrefix(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *options) { mountVendors(o, false) })
	file := f.mustUpload(goodLine)
	made := object(t, f.want(f.do("POST", "/openai/batches", createBody(file)), 200))
	id, _ := made["id"].(string)
	if !strings.HasPrefix(id, "batch_") || made["status"] != "VALIDATING" {
		t.Fatalf("created %v", made)
	}
	for _, target := range []string{
		"GET /files", "GET /files/" + file, "GET /files/" + file + "/content", "GET /batches", "GET /batches/" + id,
		"PATCH /batches/" + id, "POST /batches/" + id + "/retry", "PUT /batches", "POST /uploads", "GET /models/none/at/all",
		"GET /openapi.json", "GET /files/none",
	} {
		method, path, _ := strings.Cut(target, " ")
		want := f.do(method, "/openai/v1"+path, "")
		for _, alias := range []string{"/openai", "/v3/openai"} {
			if got := f.do(method, alias+path, ""); got.Code != want.Code || got.Body.String() != want.Body.String() {
				t.Errorf("%s %s%s: %d %s\nwant %d %s", method, alias, path, got.Code, got.Body, want.Code, want.Body)
			}
		}
	}
}
