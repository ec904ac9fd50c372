package tenant_test

import (
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/tenant"
)

func TestOpenIgnoresEveryCredential(t *testing.T) {
	t.Parallel()
	want := tenant.Identity{Operator: true, Tenant: "2f1c", TenantName: "default", KeyID: "key_00000000000000000000000000000000"}
	for name, header := range map[string][2]string{
		"no credential":     {"X-Other", "x"},
		"bearer":            {"Authorization", "Bearer sk-123"},
		"basic":             {"Authorization", "Basic !!!"},
		"key of its own":    {"X-Api-Key", "nsk_1"},
		"Azure's header":    {"Api-Key", "abc"},
		"empty credential":  {"Authorization", ""},
		"garbage in header": {"Authorization", "\xff\x00"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest("GET", "/v1/files", nil)
			r.Header.Set(header[0], header[1])
			got, err := tenant.Open{Tenant: "2f1c"}.Authenticate(r)
			if err != nil {
				t.Fatalf("Authenticate: %v", err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
		})
	}
}
