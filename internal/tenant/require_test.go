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
type answers struct {
	who tenant.Identity
	err error
}

// Authenticate implements tenant.Authenticator.
func (a answers) Authenticate(*http.Request) (tenant.Identity, error) {
	return a.who, a.err
}

func TestOnlyOperatorsAreServed(t *testing.T) {
	t.Parallel()
	operator := tenant.Identity{Operator: true}
	for _, c := range []struct {
		who  tenant.Identity
		err  error
		want int
	}{
		{operator, nil, http.StatusTeapot},
		{tenant.Identity{Tenant: "t-1"}, nil, http.StatusForbidden},
		{operator, &batch.Error{Class: batch.Unauthenticated}, http.StatusUnauthorized},
		{operator, &batch.Error{Class: batch.Forbidden}, http.StatusForbidden},
		{operator, &batch.Error{Class: batch.Misdirected}, http.StatusMisdirectedRequest},
		{operator, errors.New("the disk is gone"), http.StatusServiceUnavailable},
	} {
		w := httptest.NewRecorder()
		next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
		tenant.RequireOperator(answers{c.who, c.err}, next).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		if asks := w.Header().Get("WWW-Authenticate") != ""; w.Code != c.want || asks != (c.want == http.StatusUnauthorized) {
			t.Errorf("%v: got %d, asks for a key: %v", c.err, w.Code, asks)
		}
	}
}
