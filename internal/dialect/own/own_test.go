package own_test

import (
	"strings"
	"testing"
	"time"

	"batchd/internal/batch"
	"batchd/internal/dialect/dialecttest"
	"batchd/internal/dialect/openai"
	"batchd/internal/dialect/own"
)

func TestDescriptionIsOpenAIsWithWhatOperatorsCall(t *testing.T) {
	t.Parallel()
	d := own.New(nil)
	dialecttest.Description(t, d.Description(),
		"DELETE /admin/webhooks/{id}",
		"DELETE /files/{id}",
		"GET /admin/batches", "GET /admin/deliveries", "GET /admin/keys", "GET /admin/tenants",
		"GET /admin/tenants/{name}/callback_secret", "GET /admin/upstreams", "GET /admin/webhooks",
		"GET /batches", "GET /batches/{id}", "GET /disk", "GET /files", "GET /files/{id}", "GET /files/{id}/content",
		"GET /models", "GET /models/{id}", "GET /openapi.json", "GET /upstreams",
		"PATCH /admin/tenants/{name}",
		"POST /admin/deliveries/{id}/redeliver", "POST /admin/keys", "POST /admin/keys/{id}/revoke",
		"POST /admin/keys/{id}/rotate", "POST /admin/tenants/{name}/callback_secret/rotate", "POST /admin/webhooks",
		"POST /admin/webhooks/{id}/enable", "POST /admin/webhooks/{id}/rotate", "POST /admin/webhooks/{id}/test",
		"POST /batches", "POST /batches/{id}/cancel", "POST /batches/{id}/retry", "POST /files", "POST /uploads",
		"POST /uploads/{id}/cancel", "POST /uploads/{id}/complete", "POST /uploads/{id}/parts",
	)
	if !strings.Contains(string(d.Description()), "batchd's own API") || d.Name() != openai.Name || !d.Extensions() {
		t.Error("it is not batchd's own, or its objects are not OpenAI's")
	}
}

func TestATenantSeesOfUpstreamsOnlyWhatIsItsOwn(t *testing.T) {
	t.Parallel()
	at := time.Unix(1790000000, 0)
	all := []batch.Upstream{
		{
			Name: "upstream-1", Host: "gpu:8000/v1", Models: []string{"m"}, InFlight: 1, Limit: 64,
			Gates: []batch.Gate{
				{
					Model: "m", InFlight: 1, Limit: 4, LimitedBy: "room", Step: "held", Waiting: 7, WaitingOf: map[string]int64{"us": 2, "them": 5},
					Reason: batch.Reason{Kind: "account", Since: at, Status: 429, Code: "q", Message: "no money", NextTry: at.Add(time.Second)},
				},
				{Model: "secret", Closed: true, Waiting: 1, WaitingOf: map[string]int64{"them": 1}},
			},
		},
		{Name: "upstream-2", Host: "gpu:8001/v1", Models: []string{}, Limit: 8, Reason: batch.Reason{Kind: "unreachable", Detail: "dns", Since: at}},
	}
	d := own.New(nil)
	want := `{"object":"list","data":[{"object":"upstream","name":"upstream-1","models":["m"],"reason":null,"waiting":2,"gates":[` +
		`{"model":"m","reason":{"kind":"account","since":1790000000,"next_try":1790000001},"waiting":2}]},` +
		`{"object":"upstream","name":"upstream-2","models":[],"reason":{"kind":"unreachable","since":1790000000,"next_try":null},"waiting":0,"gates":[]}]}`
	if got := string(d.TenantUpstreams(all, "us")); got != want {
		t.Errorf("a tenant sees\n%s\nwant\n%s", got, want)
	}
	want = `{"object":"list","data":[{"object":"upstream","name":"upstream-1","host":"gpu:8000/v1","models":["m"],"in_flight":1,"limit":64,"reason":null,"waiting":8,"gates":[` +
		`{"model":"m","in_flight":1,"limit":4,"limited_by":"room","step":"held","closed":false,"reason":{"kind":"account","detail":null,"since":1790000000,"status":429,"code":"q","message":"no money","next_try":1790000001},"waiting":7},` +
		`{"model":"secret","in_flight":0,"limit":0,"closed":true,"reason":null,"waiting":1}]},` +
		`{"object":"upstream","name":"upstream-2","host":"gpu:8001/v1","models":[],"in_flight":0,"limit":8,"reason":{"kind":"unreachable","detail":"dns","since":1790000000,"status":null,"code":null,"message":null,"next_try":null},"waiting":0,"gates":[]}]}`
	if got := string(d.Upstreams(all)); got != want {
		t.Errorf("the operator sees\n%s\nwant\n%s", got, want)
	}
}
