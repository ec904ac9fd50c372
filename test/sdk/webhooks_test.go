package sdk_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"batchd/test/harness"
)

// hanging makes the simulated engine leave a request without an answer.
const hanging = `{"rules": [{"match": {"contains": "Hang"}, "action": {"hang": true}}]}`

// webhookSettings let the server call this machine and give a batch a second.
const webhookSettings = `
webhooks:
  allow: [127.0.0.0/8]
windows: [1s, 24h]
cancel_grace: 1s
`

// delivery is a request that a receiver got, as the programs read it.
type delivery struct {
	Body    string            `json:"body"`
	Headers map[string]string `json:"headers"`
	Secret  string            `json:"secret"`
	path    string
	refused bool
}

// signatures is how many secrets signed it.
func (d delivery) signatures() int { return len(strings.Fields(d.Headers["webhook-signature"])) }

// receiver is told of batches. It has a bad start: the first call at /endpoint fails.
type receiver struct {
	url string

	mu   sync.Mutex // guards what follows
	got  []delivery
	fine bool
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return // the sender went away
	}
	d := delivery{Body: string(body), Headers: map[string]string{}, path: request.URL.Path}
	for name := range request.Header {
		d.Headers[strings.ToLower(name)] = request.Header.Get(name)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if d.path == "/endpoint" && !r.fine {
		d.refused, r.fine = true, true
		w.WriteHeader(http.StatusInternalServerError)
	}
	r.got = append(r.got, d)
}

// await waits until so many deliveries were taken, and returns them and those that were refused.
func (r *receiver) await(t *testing.T, n int) (taken, refused []delivery) {
	t.Helper()
	eventually(t, func() (string, bool) {
		taken, refused = nil, nil
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, d := range r.got {
			if d.refused {
				refused = append(refused, d)
			} else {
				taken = append(taken, d)
			}
		}
		return fmt.Sprintf("%d deliveries were taken, want %d", len(taken), n), len(taken) >= n
	})
	return taken, refused
}

// webhookJourney is what the owner of a receiver knows after each step.
type webhookJourney struct {
	user
	*receiver
	dir, settings string // the server's data folder and its settings
	endpoint      struct{ ID, Secret string }
	callback      string   // secret of what is sent to callback URLs
	want          []string // events that were announced, each with its batch
	taken         []delivery
}

func TestWebhooks(t *testing.T) {
	t.Parallel()
	j := &webhookJourney{receiver: newReceiver(t), dir: t.TempDir(), settings: filepath.Join(t.TempDir(), "settings.yaml")}
	writeFile(t, j.settings, webhookSettings)
	server := harness.ServeDir(t, j.dir, "--no-auth", "--config", j.settings, "--upstream", harness.Simulate(t, hanging))
	j.user = newUser(server + "/v1")
	walk(t, []string{"add", "events", "retry", "rotate", "test", "deliveries", "python", "node", "go"}, []func(*testing.T){
		j.add, j.events, j.retry, j.rotate, j.test, j.deliveries, j.python, j.node, j.unwrap,
	})
}

// command runs a webhooks command on the server's data folder and reads what it prints.
func (j *webhookJourney) command(t *testing.T, into any, arguments ...string) {
	t.Helper()
	output := harness.Run(t, append([]string{"webhooks", "--json", "--data-dir", j.dir, "--config", j.settings}, arguments...)...)
	if err := json.Unmarshal([]byte(output), into); err != nil {
		t.Fatalf("%v in %s", err, output)
	}
}

func (j *webhookJourney) add(t *testing.T) {
	j.command(t, &j.endpoint, "add", j.url+"/endpoint")
	var callback struct{ Secret string }
	j.command(t, &callback, "secret")
	j.callback = callback.Secret
	if j.endpoint.ID == "" || !strings.HasPrefix(j.endpoint.Secret, "whsec_") || !strings.HasPrefix(j.callback, "whsec_") {
		t.Fatalf("webhook %+v, callback's secret %q", j.endpoint, j.callback)
	}
}

// events lets a batch end in each of the four ways.
func (j *webhookJourney) events(t *testing.T) {
	completed := j.run(t, requests(2), openai.BatchStatusCompleted, option.WithJSONSet("callback_url", j.url+"/callback"))
	failed := j.run(t, []byte(`{"custom_id":"1"}`+"\n"), openai.BatchStatusFailed)
	hang := bytes.ReplaceAll(requests(2), []byte("Say"), []byte("Hang"))
	expired := j.run(t, hang, openai.BatchStatusExpired, option.WithJSONSet("completion_window", "1s"))
	cancelled := j.mustCreate(t, j.mustUpload(t, "input.jsonl", hang).ID, nil).ID
	if _, err := j.client.Batches.Cancel(t.Context(), cancelled); err != nil {
		t.Fatal(err)
	}
	j.want = []string{
		"/callback batch.completed " + completed, "/endpoint batch.completed " + completed,
		"/endpoint batch.failed " + failed, "/endpoint batch.expired " + expired, "/endpoint batch.cancelled " + cancelled,
	}
	j.taken, _ = j.await(t, len(j.want))
}

// run runs a batch to its end, which must be this one, and returns its id.
func (j *webhookJourney) run(t *testing.T, input []byte, end openai.BatchStatus, options ...option.RequestOption) string {
	t.Helper()
	id := j.mustCreate(t, j.mustUpload(t, "input.jsonl", input).ID, nil, options...).ID
	j.waitFor(t, id, end)
	return id
}

// retry checks that the delivery which was refused came again as the same one.
func (j *webhookJourney) retry(t *testing.T) {
	_, refused := j.await(t, len(j.want))
	if len(refused) != 1 {
		t.Fatalf("%d deliveries were refused, want the first", len(refused))
	}
	first := refused[0]
	i := slices.IndexFunc(j.taken, func(d delivery) bool { return d.Headers["webhook-id"] == first.Headers["webhook-id"] })
	if i < 0 || j.taken[i].Body != first.Body {
		t.Errorf("the delivery %v of %s did not come again as it was: %+v", first.Headers, first.Body, j.taken)
	}
	ids := map[string]bool{}
	for _, d := range j.taken {
		ids[d.Headers["webhook-id"]] = true
		if d.signatures() != 1 {
			t.Errorf("signatures %q, want one", d.Headers["webhook-signature"])
		}
	}
	if len(ids) != len(j.want) {
		t.Errorf("%d deliveries have %d ids", len(j.want), len(ids))
	}
}

// rotate replaces the secret: from then on deliveries fit the old and the new one.
func (j *webhookJourney) rotate(t *testing.T) {
	j.sign()
	old := j.endpoint.Secret
	j.command(t, &j.endpoint, "rotate", j.endpoint.ID, "--overlap", "1h")
	if j.endpoint.Secret == old {
		t.Fatal("the new secret is the old one")
	}
	id := j.run(t, requests(2), openai.BatchStatusCompleted)
	all, _ := j.await(t, len(j.want)+1)
	last := all[len(all)-1]
	if last.signatures() != 2 {
		t.Errorf("signatures %q, want two", last.Headers["webhook-signature"])
	}
	for _, secret := range []string{old, j.endpoint.Secret} {
		last.Secret = secret
		j.taken = append(j.taken, last)
		j.want = append(j.want, "/endpoint batch.completed "+id)
	}
}

// sign notes with which secret each delivery was signed.
func (j *webhookJourney) sign() {
	for i := range j.taken {
		j.taken[i].Secret = j.endpoint.Secret
		if j.taken[i].path == "/callback" {
			j.taken[i].Secret = j.callback
		}
	}
}

func (j *webhookJourney) test(t *testing.T) {
	var told struct {
		OK     bool
		Status int
	}
	j.command(t, &told, "test", j.endpoint.ID)
	if !told.OK || told.Status != http.StatusOK {
		t.Errorf("test: %+v", told)
	}
}

// deliveries checks what the operator sees of all that.
func (j *webhookJourney) deliveries(t *testing.T) {
	var list struct {
		Data []struct {
			Event, State string
			Webhook      *string
			Attempts     int
			LastStatus   int `json:"last_status"`
		}
	}
	// The answer of the last call is noted a moment after the receiver gave it.
	eventually(t, func() (string, bool) {
		j.command(t, &list, "deliveries")
		for _, d := range list.Data {
			if d.State != "delivered" {
				return fmt.Sprintf("%+v", list.Data), false
			}
		}
		return "", true
	})
	attempts, callbacks := 0, 0
	for _, d := range list.Data {
		attempts += d.Attempts
		if d.Webhook == nil {
			callbacks++
		}
	}
	if len(list.Data) != 6 || attempts != 7 || callbacks != 1 {
		t.Errorf("want 6 deliveries, 1 of them a callback, in 7 attempts: %+v", list.Data)
	}
}

func (j *webhookJourney) python(t *testing.T) {
	program := python(t, "webhooks.py", j.file(t))
	j.check(t, runAgainst(t, "http://unused", program))
}

func (j *webhookJourney) node(t *testing.T) {
	program := node(t, "webhooks.mjs", j.file(t))
	j.check(t, runAgainst(t, "http://unused", program))
}

// file writes what the programs read.
func (j *webhookJourney) file(t *testing.T) string {
	t.Helper()
	content, err := json.Marshal(j.taken)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "deliveries.json")
	writeFile(t, path, string(content))
	return path
}

// check compares what an SDK understood, one line for each delivery, with what was announced.
func (j *webhookJourney) check(t *testing.T, output string) {
	t.Helper()
	var got []string
	for line := range strings.Lines(output) {
		if len(got) == len(j.taken) {
			t.Fatalf("more lines than deliveries:\n%s", output)
		}
		got = append(got, j.taken[len(got)].path+" "+strings.TrimSpace(line))
	}
	want := slices.Sorted(slices.Values(j.want))
	if diff := cmp.Diff(want, slices.Sorted(slices.Values(got))); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func (j *webhookJourney) unwrap(t *testing.T) {
	var output strings.Builder
	for _, d := range j.taken {
		headers := http.Header{}
		for name, value := range d.Headers {
			headers.Set(name, value)
		}
		secret := option.WithWebhookSecret(d.Secret)
		event, err := j.client.Webhooks.Unwrap([]byte(d.Body), headers, secret)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&output, event.Type, event.Data.ID)
		forged := strings.Replace(d.Body, "batch.", "batch_", 1)
		if _, err := j.client.Webhooks.Unwrap([]byte(forged), headers, secret); err == nil {
			t.Errorf("a forged body passed: %s", forged)
		}
	}
	j.check(t, output.String())
}
