package cli

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// dataDir makes a data directory with the tenants default and acme, and settings that allow receivers on this machine.
func dataDir(t *testing.T) (flags []string) {
	t.Helper()
	dir, settings := t.TempDir(), filepath.Join(t.TempDir(), "batchd.yaml")
	if err := os.WriteFile(settings, []byte("webhooks: {allow: [127.0.0.0/8]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	flags = []string{"--data-dir", dir, "--config", settings}
	call(t, 0, append([]string{"keys", "create", "--tenant", "acme"}, flags...)...)
	return flags
}

// call runs a command line, checks its exit code, and returns what it wrote.
func call(t *testing.T, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, fault bytes.Buffer
	if got := Main(Process{Args: args, Stdout: &out, Stderr: &fault, Version: "test"}); got != code {
		t.Fatalf("%s: code %d, want %d: %s%s", strings.Join(args, " "), got, code, out.String(), fault.String())
	}
	return out.String(), fault.String()
}

// object runs a command line with --json and reads what it wrote.
func object(t *testing.T, code int, args ...string) map[string]any {
	t.Helper()
	out, _ := call(t, code, append(args, "--json")...)
	var o map[string]any
	if err := json.Unmarshal([]byte(out), &o); err != nil {
		t.Fatalf("%v: %v in %s", args, err, out)
	}
	return o
}

func text(t *testing.T, o map[string]any, name string) string {
	t.Helper()
	s, ok := o[name].(string)
	if !ok {
		t.Fatalf("%s is %v, want a text", name, o[name])
	}
	return s
}

// fixture is a data directory with a webhook of the tenant acme, whose receiver checks what it is told.
type fixture struct {
	t        *testing.T
	flags    []string
	id       string
	receiver *httptest.Server
	// secrets are those that the next event must be signed with; status is what it is answered.
	secrets []string
	status  int
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t, flags: dataDir(t), status: http.StatusOK}
	f.receiver = httptest.NewServer(f)
	t.Cleanup(f.receiver.Close)
	added := f.object(0, "webhooks", "add", f.receiver.URL, "--tenant", "acme", "--event", "batch.failed", "--event", "batch.expired")
	f.id, f.secrets = text(t, added, "id"), []string{text(t, added, "secret")}
	return f
}

// call and object run a command line on the fixture's directory.
func (f *fixture) call(code int, args ...string) (stdout, stderr string) {
	f.t.Helper()
	return call(f.t, code, append(args, f.flags...)...)
}

func (f *fixture) object(code int, args ...string) map[string]any {
	f.t.Helper()
	return object(f.t, code, append(args, f.flags...)...)
}

// ServeHTTP checks an event.
func (f *fixture) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		f.t.Errorf("read event: %v", err)
	}
	for _, secret := range f.secrets {
		if v, err := standardwebhooks.NewWebhook(secret); err != nil || v.Verify(body, r.Header) != nil {
			f.t.Errorf("secret %s does not verify the event", secret)
		}
	}
	const form = `^\{"id":"evt_\w{32}","object":"event","type":"webhook.test","created_at":\d+,"data":\{"id":"we_\w{32}"\}\}$`
	if !regexp.MustCompile(form).Match(body) || r.UserAgent() != "batchd/test" {
		f.t.Errorf("got %s from %s", body, r.UserAgent())
	}
	w.WriteHeader(f.status)
}

func TestATestShowsWhatTheReceiverAnswers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	if out, _ := f.call(0, "webhooks", "test", f.id); !strings.Contains(out, "accepted the event: HTTP 200 after ") {
		t.Errorf("taken: %s", out)
	}
	f.status = http.StatusTeapot
	if out, _ := f.call(1, "webhooks", "test", f.id); !strings.Contains(out, "rejected the event: HTTP 418 after ") {
		t.Errorf("refused: %s", out)
	}
	if o := f.object(1, "webhooks", "test", f.id); o["ok"] != false || o["status"] != 418.0 || o["error"] != nil || o["webhook"] != f.id {
		t.Errorf("refused: %v", o)
	}
	f.receiver.Close()
	if o := f.object(1, "webhooks", "test", f.id); o["status"] != nil || !strings.Contains(text(t, o, "error"), "refused") {
		t.Errorf("without a receiver: %v", o)
	}
}

func TestARotatedSecretSignsBesideTheOldOneForAWhile(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	out, note := f.call(0, "webhooks", "rotate", f.id)
	second := strings.TrimSpace(out)
	if second == f.secrets[0] || !strings.HasPrefix(second, "whsec_") || !strings.Contains(note, "the old one also signs until 2") {
		t.Errorf("got %q, %q", out, note)
	}
	f.secrets = append(f.secrets, second)
	f.call(0, "webhooks", "test", f.id)
	if list := f.object(0, "webhooks", "rotate", f.id, "--overlap", "7d"); list["previous_secret_until"] == nil {
		t.Errorf("got %v", list)
	}
	out, note = f.call(0, "webhooks", "rotate", f.id, "--overlap", "0")
	if !strings.Contains(note, "the old one no longer signs") {
		t.Errorf("got %q", note)
	}
	f.secrets = []string{strings.TrimSpace(out)}
	f.call(0, "webhooks", "test", f.id)
}

func TestAWebhookIsListedUntilItIsRemoved(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	out, _ := f.call(0, "webhooks", "list", "--tenant", "acme")
	want := regexp.MustCompile(`(?m)^ID +TENANT +STATE +EVENTS +CREATED +URL\n` + f.id + ` +acme +enabled +batch.failed, batch.expired +\S+ \S+ +` + f.receiver.URL + `$`)
	if !want.MatchString(out) || strings.Contains(out, "whsec") {
		t.Errorf("list: %s", out)
	}
	if out, _ := f.call(0, "webhooks", "list", "--tenant", "default"); strings.Contains(out, f.id) {
		t.Errorf("list of another tenant: %s", out)
	}
	if o := f.object(0, "webhooks", "remove", f.id); o["id"] != f.id || o["deleted"] != true {
		t.Errorf("remove: %v", o)
	}
	if out, _ := f.call(0, "webhooks", "list", "--json"); !strings.Contains(out, `"data": []`) {
		t.Errorf("list after removal: %s", out)
	}
}

func TestWebhookCommandsNameTheRemedy(t *testing.T) {
	t.Parallel()
	flags := dataDir(t)
	dir := flags[:2]
	for name, c := range map[string]struct {
		code int
		args []string
		want string
	}{
		"private address": {2, append([]string{"webhooks", "add", "http://127.0.0.1:9"}, dir...), "under webhooks.allow"},
		"another range":   {2, append([]string{"webhooks", "add", "http://10.0.0.1"}, flags...), "under webhooks.allow"},
		"no URL":          {2, append([]string{"webhooks", "add", "example.com"}, flags...), "begins with http:// or https://"},
		"unknown event":   {2, append([]string{"webhooks", "add", "https://example.com", "--event", "batch.done"}, flags...), "want batch.completed, batch.failed, batch.expired, batch.cancelled"},
		"unknown tenant":  {1, append([]string{"webhooks", "add", "https://example.com", "--tenant", "x"}, flags...), "batchd tenants list"},
		"unknown id":      {1, append([]string{"webhooks", "test", "we_1"}, flags...), "batchd webhooks list"},
		"remove unknown":  {1, append([]string{"webhooks", "remove", "we_1"}, flags...), "batchd webhooks list"},
		"rotate unknown":  {1, append([]string{"webhooks", "rotate", "we_1"}, flags...), "batchd webhooks list"},
		"of unknown":      {1, append([]string{"webhooks", "deliveries", "--webhook", "we_1"}, flags...), "batchd webhooks list"},
		"enable unknown":  {1, append([]string{"webhooks", "enable", "we_1"}, flags...), "batchd webhooks list"},
		"no delivery":     {1, append([]string{"webhooks", "redeliver", "wh_1"}, flags...), "no delivery has the id wh_1: `batchd webhooks deliveries`"},
		"callbacks of":    {1, append([]string{"tenants", "rotate-callback-secret", "x"}, flags...), "batchd tenants list"},
		"their overlap":   {2, append([]string{"tenants", "rotate-callback-secret", "acme", "--overlap", "x"}, flags...), "--overlap: want a length of time"},
		"overlap":         {2, append([]string{"webhooks", "rotate", "we_1", "--overlap", "soon"}, flags...), "--overlap: want a length of time"},
		"limit":           {2, append([]string{"webhooks", "deliveries", "--limit", "0"}, flags...), "--limit: want a number from 1"},
		"wrong directory": {2, []string{"webhooks", "list", "--data-dir", filepath.Join(t.TempDir(), "none")}, "--data-dir"},
		"list of unknown": {1, append([]string{"webhooks", "list", "--tenant", "x"}, flags...), "batchd tenants list"},
	} {
		if _, fault := call(t, c.code, c.args...); !strings.Contains(fault, c.want) {
			t.Errorf("%s: got %q, want %q", name, fault, c.want)
		}
	}
}

func TestTheSecretOfCallbacksIsShown(t *testing.T) {
	t.Parallel()
	flags := dataDir(t)
	ours, _ := call(t, 0, append([]string{"webhooks", "secret"}, flags...)...)
	theirs := object(t, 0, append([]string{"webhooks", "secret", "--tenant", "acme"}, flags...)...)
	if !strings.HasPrefix(ours, "whsec_") || text(t, theirs, "tenant") != "acme" || text(t, theirs, "secret")+"\n" == ours {
		t.Errorf("got %q and %v", ours, theirs)
	}
	if _, err := standardwebhooks.NewWebhook(strings.TrimSpace(ours)); err != nil {
		t.Errorf("the secret cannot sign: %v", err)
	}
}

func TestTheSecretOfCallbacksIsReplaced(t *testing.T) {
	t.Parallel()
	flags := dataDir(t)
	secret := func() string {
		out, _ := call(t, 0, append([]string{"webhooks", "secret", "--tenant", "acme"}, flags...)...)
		return out
	}
	old := secret()
	made, note := call(t, 0, append([]string{"tenants", "rotate-callback-secret", "acme"}, flags...)...)
	if made == old || made != secret() || !strings.Contains(note, "replaced the secret of the callbacks of acme; the old one also signs until ") {
		t.Errorf("got %q and %q", made, note)
	}
	shown := object(t, 0, append([]string{"webhooks", "secret", "--tenant", "acme"}, flags...)...)
	if _, ok := shown["previous_secret_until"].(float64); !ok || text(t, shown, "secret")+"\n" != made {
		t.Errorf("got %v", shown)
	}
	o := object(t, 0, append([]string{"tenants", "rotate-callback-secret", "acme", "--overlap", "0"}, flags...)...)
	if text(t, o, "tenant") != "acme" || text(t, o, "secret")+"\n" != secret() || o["previous_secret_until"] != nil {
		t.Errorf("got %v", o)
	}
}

func TestDeliveriesOfANewFolderAreNone(t *testing.T) {
	t.Parallel()
	flags := dataDir(t)
	if out, _ := call(t, 0, append([]string{"webhooks", "deliveries"}, flags...)...); !strings.HasPrefix(out, "ID") || strings.Count(out, "\n") != 1 {
		t.Errorf("got %q", out)
	}
}
