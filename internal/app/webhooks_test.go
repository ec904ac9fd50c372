package app_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"batchd/internal/admin"
	"batchd/internal/config"
	"batchd/internal/store"
	"batchd/internal/webhook"

	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/webhooks"
)

// told is what a receiver was sent.
type told struct {
	path   string
	header http.Header
	body   []byte
}

// listener starts a receiver that refuses the first calls and takes all others.
func listener(t *testing.T, refused int64) (string, <-chan told) {
	t.Helper()
	calls := make(chan told, 100)
	var seen atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read event: %v", err)
		}
		if seen.Add(1) <= refused {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		calls <- told{r.URL.Path, r.Header, body}
	}))
	t.Cleanup(s.Close)
	return s.URL, calls
}

// next waits for the next call of a receiver.
func next(t *testing.T, calls <-chan told) told {
	t.Helper()
	select {
	case c := <-calls:
		return c
	case <-time.After(30 * time.Second):
		t.Fatal("no event came")
		return told{}
	}
}

// unwrap verifies an event with a secret as OpenAI's SDK does, and returns the id of its batch.
func unwrap(t *testing.T, c told, secret string) string {
	t.Helper()
	sdk := webhooks.NewWebhookService(option.WithWebhookSecret(secret))
	event, err := sdk.Unwrap(c.body, c.header)
	if err != nil || event.Type != "batch.completed" {
		t.Fatalf("%s is not verified: %v", c.body, err)
	}
	return event.AsBatchCompleted().Data.ID
}

// newBatch uploads a line and creates a batch of it; fields are added to the create call.
func newBatch(t *testing.T, files, fields string) (status int, id string) {
	t.Helper()
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	part, err := w.CreateFormFile("file", "in.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	const line = `{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"m","messages":[{"role":"user","content":"hi"}]}}`
	if _, err := io.WriteString(part, line); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.WriteField("purpose", "batch"), w.Close()); err != nil {
		t.Fatal(err)
	}
	status, file := send(t, files, w.FormDataContentType(), form.String())
	if status != http.StatusOK {
		t.Fatalf("upload: %d", status)
	}
	return send(t, strings.TrimSuffix(files, "/files")+"/batches", "application/json", fmt.Sprintf(
		`{"input_file_id":%q,"endpoint":"/v1/chat/completions","completion_window":"24h"%s}`, file, fields))
}

// send posts something, and returns the id in the answer.
func send(t *testing.T, url, contentType, body string) (status int, id string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var object struct{ ID string }
	if err := json.NewDecoder(response.Body).Decode(&object); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, object.ID
}

func TestTheEndOfABatchIsToldToWebhooksAndItsCallback(t *testing.T) {
	t.Parallel()
	cfg := guarded(t, "127.0.0.1")
	cfg.Webhooks.Allow = []string{"127.0.0.0/8"}
	files, _ := serving(t, cfg)
	url, calls := listener(t, 0)
	w := addWebhook(t, cfg, url+"/webhook")
	addWebhook(t, cfg, url+"/webhook", "batch.failed")
	var secret admin.CallbackSecret
	administer(t, cfg, func(a *admin.Service) (err error) {
		secret, err = a.CallbackSecret(t.Context(), "default")
		return err
	})
	status, id := newBatch(t, files, fmt.Sprintf(`,"callback_url":%q`, url+"/callback"))
	if status != http.StatusOK {
		t.Fatalf("create: %d", status)
	}
	secrets := map[string]string{"/webhook": w.Secret, "/callback": secret.Secret}
	var ids []string
	for range 2 {
		c := next(t, calls)
		if got := unwrap(t, c, secrets[c.path]); got != id {
			t.Errorf("%s was told of %s, want %s", c.path, got, id)
		}
		ids = append(ids, regexp.MustCompile(`evt_\w{32}`).FindString(string(c.body)))
		delete(secrets, c.path)
	}
	if len(secrets) != 0 || ids[0] != ids[1] {
		t.Errorf("not told: %v; events %v, want one", secrets, ids)
	}
	settled(t, cfg, store.DeliveryQuery{Batch: id, Limit: 10}, "delivered delivered")
	ofWebhook := settled(t, cfg, store.DeliveryQuery{Webhook: w.ID, Limit: 10}, "delivered")
	if d := ofWebhook[0]; d.Batch != id || d.Attempts != 1 || d.LastStatus != http.StatusOK || d.TenantName != "default" || d.EventID != ids[0] {
		t.Errorf("got %+v", d)
	}
	if len(calls) > 0 {
		t.Errorf("told more: %s", (<-calls).body)
	}
}

// settled waits until deliveries have the given states, newest first.
func settled(t *testing.T, cfg config.Config, q store.DeliveryQuery, want string) []admin.Delivery {
	t.Helper()
	return deliveries(t, cfg, q, func(all []admin.Delivery) bool {
		var states []string
		for _, d := range all {
			states = append(states, string(d.State))
		}
		return strings.Join(states, " ") == want
	})
}

// deliveries waits until they are as they should be.
func deliveries(t *testing.T, cfg config.Config, q store.DeliveryQuery, ok func([]admin.Delivery) bool) []admin.Delivery {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		var all []admin.Delivery
		administer(t, cfg, func(a *admin.Service) (err error) {
			all, err = a.Deliveries(t.Context(), q)
			return err
		})
		if ok(all) {
			return all
		}
		select {
		case <-again.C:
		case <-deadline.C:
			t.Fatalf("deliveries are still %+v", all)
		}
	}
}

func TestAnEventIsSentAgainWithTheSameIDUntilItIsTaken(t *testing.T) {
	t.Parallel()
	cfg := guarded(t, "127.0.0.1")
	cfg.Webhooks.Allow = []string{"127.0.0.0/8"}
	files, _ := serving(t, cfg)
	url, calls := listener(t, 1)
	w := addWebhook(t, cfg, url)
	newBatch(t, files, "")
	first, second := next(t, calls), next(t, calls)
	if first.header.Get("Webhook-Id") != second.header.Get("Webhook-Id") || !bytes.Equal(first.body, second.body) {
		t.Errorf("first %v %s, then %v %s", first.header, first.body, second.header, second.body)
	}
	unwrap(t, second, w.Secret)
	if d := settled(t, cfg, store.DeliveryQuery{Limit: 10}, "delivered"); d[0].Attempts != 2 {
		t.Errorf("got %+v", d[0])
	}
}

func TestACallbackThatMayNotBeCalledIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	files, _ := serving(t, guarded(t, "127.0.0.1"))
	for _, url := range []string{"http://127.0.0.1/", "http://169.254.169.254/", "http://[::ffff:10.0.0.1]/", "ftp://example.com/"} {
		if status, _ := newBatch(t, files, fmt.Sprintf(`,"callback_url":%q`, url)); status != http.StatusBadRequest {
			t.Errorf("%s: got %d, want 400", url, status)
		}
	}
}

// A range that is taken off the list is not called any more, whatever was stored while it was there.
func TestI17AStoredAddressInsideIsRefusedAtConnect(t *testing.T) {
	t.Parallel()
	cfg := guarded(t, "127.0.0.1")
	files, _ := serving(t, cfg)
	url, calls := listener(t, 0)
	allowing := cfg
	allowing.Webhooks.Allow = []string{"127.0.0.0/8"}
	w := addWebhook(t, allowing, url)
	newBatch(t, files, "")
	deliveries(t, cfg, store.DeliveryQuery{Webhook: w.ID, Limit: 1}, func(all []admin.Delivery) bool {
		return len(all) == 1 && all[0].State == "pending" && all[0].LastStatus == 0 &&
			strings.Contains(all[0].LastError, webhook.ErrRefused.Error())
	})
	administer(t, cfg, func(a *admin.Service) error {
		test, err := a.TestWebhook(t.Context(), w.ID)
		if test.OK || !test.Private || !strings.Contains(test.Problem, webhook.ErrRefused.Error()) {
			t.Errorf("test: %+v", test)
		}
		return err
	})
	if len(calls) > 0 {
		t.Error("it was called")
	}
}
