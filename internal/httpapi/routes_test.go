package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"batchd/internal/batch"
	"batchd/internal/dialect/openai"
	"batchd/internal/httpapi"
)

// TestAMountMayServeAProtocolOfAnotherShape mounts a made-up API that has nothing of OpenAI's: requests come inside the
// create call, and results as one stream.
func TestAMountMayServeAProtocolOfAnotherShape(t *testing.T) {
	t.Parallel()
	create := func(c *httpapi.Call) error {
		body, err := c.Body()
		if err != nil {
			return err
		}
		if c.Who.Tenant != ours || !strings.HasPrefix(string(body), `{"requests":`) {
			return batch.Invalidf("requests", "", "No requests.")
		}
		return c.JSON([]byte(`{"id":"msgbatch_1"}`))
	}
	results := func(c *httpapi.Call) error {
		id, err := c.ID("batch")
		if err != nil {
			return err
		}
		c.Header().Set("Content-Type", "application/x-jsonl")
		_, err = c.Response().Write([]byte(`{"custom_id":"` + id + `"}` + "\n"))
		return err
	}
	o := options{Options: httpapi.Options{Auth: byKey{}, Mounts: []httpapi.Mount{{
		Prefix: "/other/v1", Profile: server().Profile(openai.New(openai.Options{})),
		Routes: []httpapi.Route{
			{Path: "/messages/batches", Methods: map[string]httpapi.Handler{"POST": create}},
			{Path: "/messages/batches/{id}/results", Methods: map[string]httpapi.Handler{"GET": results}},
		},
	}}}}
	o.Node = node{o}
	f := &fixture{t: t, handler: httpapi.New(o.Options)}
	if got := f.want(f.do("POST", "/other/v1/messages/batches", `{"requests":[]}`), 200); got != `{"id":"msgbatch_1"}` {
		t.Errorf("create: %s", got)
	}
	if got := f.want(f.do("GET", "/other/v1/messages/batches/b1/results", ""), 200); got != `{"custom_id":"b1"}`+"\n" {
		t.Errorf("results: %s", got)
	}
	for _, refused := range []struct {
		w      *httptest.ResponseRecorder
		status int
	}{
		{f.do("POST", "/other/v1/messages/batches", `{}`), http.StatusBadRequest},
		{f.do("POST", "/other/v1/messages/batches", `{"requests":[]}`, "Authorization", "Bearer wrong"), http.StatusUnauthorized},
		{f.do("DELETE", "/other/v1/messages/batches", ""), http.StatusMethodNotAllowed},
		{f.do("GET", "/other/v1/messages/batches/b~1/results", ""), http.StatusNotFound},
		{f.do("GET", "/other/v1/batches", ""), http.StatusNotFound},
	} {
		if got := faultOf(t, refused.w); got.Status != refused.status || refused.w.Header().Get("X-Request-Id") == "" {
			t.Errorf("fault %+v, want status %d and a request id", got, refused.status)
		}
	}
}
