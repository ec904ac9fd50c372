package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"batchd/internal/client"

	"github.com/google/go-cmp/cmp"
)

// serve answers every call by handler and returns a client of it.
func serve(t *testing.T, handler http.HandlerFunc) *client.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	c, err := client.New(client.Options{Server: server.URL + "/v1/", APIKey: "k1", UserAgent: "batchd/test"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestACallNamesTheTenantThatItIsFor(t *testing.T) {
	t.Parallel()
	for _, tenant := range []string{"", "acme"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if got, sent := r.Header["X-Batchd-Tenant"]; sent != (tenant != "") || sent && got[0] != tenant {
				t.Errorf("for %q: the header is %q", tenant, got)
			}
			fmt.Fprint(w, `{"id":"batch_1"}`)
		}))
		t.Cleanup(server.Close)
		c, err := client.New(client.Options{Server: server.URL, Tenant: tenant})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Batch(t.Context(), "batch_1"); err != nil {
			t.Error(err)
		}
	}
}

func TestAnUploadIsStreamedWithItsLength(t *testing.T) {
	t.Parallel()
	content := strings.Repeat(`{"custom_id": "ü"}`+"\n", 10_000)
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/batchd/v1/files" || r.Header.Get("Authorization") != "Bearer k1" {
			t.Errorf("got %s %s with %q", r.Method, r.URL.Path, r.Header.Get("Authorization"))
		}
		if r.ContentLength <= int64(len(content)) {
			t.Errorf("declared length is %d", r.ContentLength)
		}
		f, head, err := r.FormFile("file")
		if err != nil {
			t.Error(err)
			return
		}
		got, err := io.ReadAll(f)
		if err != nil || string(got) != content || head.Filename != `a "b".jsonl` || r.FormValue("purpose") != "batch" {
			t.Errorf("got %d bytes of %q for %q, %v", len(got), head.Filename, r.FormValue("purpose"), err)
		}
		fmt.Fprint(w, `{"id":"file-1","bytes":7,"filename":"a.jsonl","purpose":"batch","created_at":5,"expires_at":null}`)
	})
	got, err := c.UploadFile(t.Context(), client.Upload{
		Filename: `a "b".jsonl`, Purpose: "batch", Content: strings.NewReader(content), Size: int64(len(content)),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := client.File{ID: "file-1", Bytes: 7, Filename: "a.jsonl", Purpose: "batch", CreatedAt: 5, Raw: got.Raw}
	if diff := cmp.Diff(want, got); diff != "" || len(got.Raw) == 0 {
		t.Errorf("file (-want +got):\n%s", diff)
	}
}

func TestAFileThatShrinksWhileItIsSentIsAnError(t *testing.T) {
	t.Parallel()
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	_, err := c.UploadFile(t.Context(), client.Upload{Filename: "a", Content: strings.NewReader("short"), Size: 1000})
	if err == nil {
		t.Error("accepted")
	}
}

func TestCallsAreWhatTheAPISays(t *testing.T) {
	t.Parallel()
	type request struct{ Method, URI, Body string }
	var got request
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = request{r.Method, r.RequestURI, string(body)}
		fmt.Fprint(w, `{"id":"x","status":"completed","request_counts":{"total":3,"completed":2,"failed":1},`+
			`"usage":{"output_tokens":9},"errors":null,"output_file_id":null,"data":[{"id":"y"}],"has_more":true,"last_id":"y","deleted":true}`)
	})
	ctx := t.Context()
	for name, test := range map[string]struct {
		call func() (id string, raw []byte, err error)
		want request
	}{
		"create": {func() (string, []byte, error) {
			b, err := c.CreateBatch(ctx, client.NewBatch{InputFileID: "f", Endpoint: "/v1/e", CompletionWindow: "1h", Metadata: map[string]string{"k": "v"}})
			return b.ID, b.Raw, err
		}, request{"POST", "/batchd/v1/batches", `{"input_file_id":"f","endpoint":"/v1/e","completion_window":"1h","metadata":{"k":"v"}}`}},
		"get": {func() (string, []byte, error) {
			b, err := c.Batch(ctx, "a/b")
			if b.Counts != (client.Counts{Total: 3, Completed: 2, Failed: 1}) || b.Usage.OutputTokens != 9 || !b.Ended() {
				t.Errorf("got batch %+v", b)
			}
			return b.ID, b.Raw, err
		}, request{"GET", "/batchd/v1/batches/a%2Fb", ""}},
		"cancel": {func() (string, []byte, error) {
			b, err := c.CancelBatch(ctx, "b1")
			return b.ID, b.Raw, err
		}, request{"POST", "/batchd/v1/batches/b1/cancel", ""}},
		"list": {func() (string, []byte, error) {
			p, err := c.Batches(ctx, client.BatchQuery{Limit: 5, After: "b0"})
			if !p.HasMore || p.LastID != "y" || len(p.Data) != 1 {
				t.Errorf("got page %+v", p)
			}
			return "x", p.Raw, err
		}, request{"GET", "/batchd/v1/batches?after=b0&limit=5", ""}},
		"retry": {func() (string, []byte, error) {
			b, err := c.RetryBatch(ctx, "b1", "1h")
			return b.ID, b.Raw, err
		}, request{"POST", "/batchd/v1/batches/b1/retry", `{"completion_window":"1h"}`}},
		"filtered list": {func() (string, []byte, error) {
			p, err := c.Batches(ctx, client.BatchQuery{Status: "failed", CreatedAfter: "1", CreatedBefore: "2"})
			return "x", p.Raw, err
		}, request{"GET", "/batchd/v1/batches?created_after=1&created_before=2&status=failed", ""}},
		"files": {func() (string, []byte, error) {
			p, err := c.Files(ctx, "batch", 0, "")
			return "x", p.Raw, err
		}, request{"GET", "/batchd/v1/files?purpose=batch", ""}},
		"file": {func() (string, []byte, error) {
			f, err := c.File(ctx, "f1")
			return f.ID, f.Raw, err
		}, request{"GET", "/batchd/v1/files/f1", ""}},
		"delete": {func() (string, []byte, error) {
			d, err := c.DeleteFile(ctx, "f1")
			return d.ID, d.Raw, err
		}, request{"DELETE", "/batchd/v1/files/f1", ""}},
	} {
		id, raw, err := test.call()
		if err != nil || id != "x" || !json.Valid(raw) {
			t.Errorf("%s: got id %q, raw %q, %v", name, id, raw, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: request (-want +got):\n%s", name, diff)
		}
	}
}

func TestErrorsShowWhatTheServerSaid(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status     int
		body, want string
	}{
		"whole": {
			400, `{"error":{"message":"No such window.","param":"completion_window","code":"invalid_value"}}`,
			"No such window. (parameter completion_window, request req_1)",
		},
		"nulls":        {404, `{"error":{"message":"Gone.","param":null,"code":null}}`, "Gone. (request req_1)"},
		"not an error": {502, "<html>Bad gateway</html>", "the server answered with status 502 (request req_1)"},
		"redirect":     {304, "", "the server answered with status 304 (request req_1)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Request-Id", "req_1")
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.body)
			})
			_, err := api.Batch(t.Context(), "b")
			var fault *client.Error
			if !errors.As(err, &fault) || fault.Error() != c.want || fault.Status != c.status {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestAnAnswerThatIsNotOursIsAnError(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>Welcome</html>") })
	if _, err := c.Batch(t.Context(), "b"); err == nil || !strings.Contains(err.Error(), "not what batchd answers") {
		t.Errorf("got %v", err)
	}
}

func TestAServerThatIsNotThereIsNamedWithoutItsPassword(t *testing.T) {
	t.Parallel()
	// Refused by the dialer: on any port of the machine somebody may listen.
	refuse := func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("connection refused") }
	c, err := client.New(client.Options{
		Server: "http://me:s3cret@127.0.0.1:8080", HTTP: &http.Client{Transport: &http.Transport{DialContext: refuse}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Batch(t.Context(), "b")
	var unreachable *client.UnreachableError
	if !errors.As(err, &unreachable) || !strings.Contains(err.Error(), "is `batchd serve` running?") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v", err)
	}
	for _, address := range []string{"localhost:8080", "ftp://x", "http://", "::"} {
		if _, err := client.New(client.Options{Server: address}); err == nil {
			t.Errorf("%s was taken for an address", address)
		}
	}
}

func TestTheEndOfTheContextIsToldFromAnUnreachableServer(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		stop()
		<-r.Context().Done()
	})
	if _, err := c.Batch(ctx, "b"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestContentThatEndsEarlyIsNotTakenForTheWhole(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/batchd/v1/files/cut/content" {
			w.Header().Set("Content-Length", "100")
		}
		fmt.Fprint(w, "some lines\n")
	})
	for id, want := range map[string]error{"whole": nil, "cut": io.ErrUnexpectedEOF} {
		content, err := c.OpenFile(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(content)
		content.Close()
		if !errors.Is(err, want) || string(got) != "some lines\n" {
			t.Errorf("%s: got %q, %v, want %v", id, got, err, want)
		}
	}
}
