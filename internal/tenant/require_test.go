package tenant_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"batchd/internal/batch"
	"batchd/internal/tenant"
)

// answers is an authenticator that always says the same.
type answers struct{ err error }

// Authenticate implements tenant.Authenticator.
func (a answers) Authenticate(*http.Request) (tenant.Identity, error) {
	return tenant.Identity{}, a.err
}

func TestOnlyWhoIsLetInIsServed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, http.StatusTeapot},
		{&batch.Error{Class: batch.Unauthenticated}, http.StatusUnauthorized},
		{&batch.Error{Class: batch.Forbidden}, http.StatusForbidden},
		{&batch.Error{Class: batch.Misdirected}, http.StatusMisdirectedRequest},
		{errors.New("the disk is gone"), http.StatusServiceUnavailable},
	} {
		w := httptest.NewRecorder()
		next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
		tenant.Require(answers{c.err}, next).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		if asks := w.Header().Get("WWW-Authenticate") != ""; w.Code != c.want || asks != (c.want == http.StatusUnauthorized) {
			t.Errorf("%v: got %d, asks for a key: %v", c.err, w.Code, asks)
		}
	}
}
