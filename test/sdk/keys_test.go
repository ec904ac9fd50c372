package sdk_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"batchd/test/harness"
)

// allPrefixes are the paths under which the API is served.
var allPrefixes = []string{"/v1", "/openai/v1", "/openai", "/v3/openai", "/neosantara/v1"}

// keyring is a server that asks for keys, and its data folder.
type keyring struct{ base, dir string }

func newKeyring(t *testing.T) keyring {
	t.Helper()
	k := keyring{dir: t.TempDir()}
	k.create(t, "somebody") // without a key at its start the server would be open
	k.base = harness.ServeDir(t, k.dir, "--upstream", "sim")
	return k
}

// create makes a key of a tenant, while the server runs or not.
func (k keyring) create(t *testing.T, tenant string, more ...string) string {
	t.Helper()
	return harness.Run(t, append([]string{"keys", "create", "--data-dir", k.dir, "--tenant", tenant}, more...)...)
}

func (k keyring) user(prefix, key string) user {
	return newUser(k.base+prefix, option.WithAPIKey(key))
}

// call makes a call with these headers and returns its status and what it answered.
func (k keyring) call(t *testing.T, path string, headers map[string]string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, k.base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestKeys(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	t.Run("each header opens every prefix", func(t *testing.T) {
		t.Parallel()
		key := k.create(t, "acme")
		for _, prefix := range allPrefixes {
			for name, value := range map[string]string{"Authorization": "Bearer " + key, "x-api-key": key, "api-key": key} {
				if status, body := k.call(t, prefix+"/batches", map[string]string{name: value}); status != http.StatusOK {
					t.Errorf("%s with %s: %d %s", prefix, name, status, body)
				}
			}
		}
	})
	t.Run("a key speaks its vendor's dialect under /v1", func(t *testing.T) { t.Parallel(); k.dialects(t) })
	t.Run("a key that opens nothing is refused in the dialect of the path", func(t *testing.T) { t.Parallel(); k.refusals(t) })
	t.Run("tenants do not see each other", func(t *testing.T) { t.Parallel(); k.strangers(t) })
	t.Run("a revoked key is refused soon and a rotated one works on", func(t *testing.T) { t.Parallel(); k.endings(t) })
}

// dialects makes a batch with a key of each dialect, and reads it with the others of the tenant.
func (k keyring) dialects(t *testing.T) {
	words := map[string]openai.BatchStatus{"openai": "completed", "novita": "COMPLETED", "neosantara": "completed"}
	users := map[string]user{}
	for dialect := range words {
		users[dialect] = k.user("/v1", k.create(t, "polyglot", "--dialect", dialect))
	}
	for dialect, u := range users {
		input := requests(lineCount)
		if dialect == "novita" {
			input = bareRequests(lineCount)
		}
		file := u.mustUpload(t, "input.jsonl", input)
		marks := map[string]string{"openai": `"processed"`, "novita": `"total_requests"`, "neosantara": `"uploaded"`}
		if !strings.Contains(file.RawJSON(), marks[dialect]) {
			t.Errorf("%s: unexpected file: %s", dialect, file.RawJSON())
		}
		batch := u.mustCreate(t, file.ID, nil)
		for reader, word := range words {
			got := users[reader].waitFor(t, batch.ID, word)
			if novita := strings.Contains(got.RawJSON(), `"created_by_key_id"`); novita != (reader == "novita") {
				t.Errorf("%s reads the batch of %s: %s", reader, dialect, got.RawJSON())
			}
			checkAnswers(t, resultsIn(t, users[reader].mustRead(t, got.OutputFileID)), lineCount)
		}
	}
	// The key wins over the path.
	u := k.user("/neosantara/v1", k.create(t, "polyglot", "--dialect", "novita"))
	if got := u.mustUpload(t, "input.jsonl", requests(1)); !strings.Contains(got.RawJSON(), `"total_requests"`) {
		t.Errorf("unexpected file: %s", got.RawJSON())
	}
}

func (k keyring) refusals(t *testing.T) {
	type refusal struct {
		status int
		code   string
	}
	for prefix, want := range map[string]struct{ none, wrong refusal }{
		"/v1":            {refusal{401, ""}, refusal{401, "invalid_api_key"}},
		"/openai/v1":     {refusal{401, "FAILED_TO_AUTH"}, refusal{403, "INVALID_API_KEY"}},
		"/neosantara/v1": {refusal{401, "missing_api_key"}, refusal{401, "invalid_api_key"}},
	} {
		for name, tc := range map[string]struct {
			headers map[string]string
			want    refusal
		}{
			"no key":              {nil, want.none},
			"wrong key":           {map[string]string{"Authorization": "Bearer nonsense"}, want.wrong},
			"wrong key, x-header": {map[string]string{"x-api-key": "nonsense"}, want.wrong},
		} {
			status, body := k.call(t, prefix+"/files", tc.headers)
			var told struct {
				Reason string
				Error  struct {
					Code    *string
					Message string
				}
			}
			if err := json.Unmarshal([]byte(body), &told); err != nil {
				t.Fatalf("%s, %s: %v in %s", prefix, name, err, body)
			}
			code := told.Reason
			if code == "" && told.Error.Code != nil {
				code = *told.Error.Code
			}
			if got := (refusal{status, code}); got != tc.want || told.Error.Message == "" {
				t.Errorf("%s, %s: %d %s; want %+v", prefix, name, status, body, tc.want)
			}
		}
	}
	// What an SDK's user reads.
	for prefix, status := range map[string]int{"/v1": 401, "/openai/v1": 403, "/neosantara/v1": 401} {
		u := k.user(prefix, "nonsense")
		_, err := u.client.Files.List(t.Context(), openai.FileListParams{})
		wantError(t, err, fault{status: status, code: "invalid_api_key"})
	}
}

func (k keyring) strangers(t *testing.T) {
	ours, theirs := k.create(t, "ours"), k.create(t, "theirs")
	for _, prefix := range allPrefixes {
		owner, stranger := k.user(prefix, ours), k.user(prefix, theirs)
		file := owner.mustUpload(t, "secret.jsonl", requests(1)).ID
		batch := owner.mustCreate(t, file, nil).ID
		if got := append(stranger.fileIDs(t, openai.FileListParams{}), stranger.batchIDs(t, 20)...); len(got) > 0 {
			t.Errorf("%s: a stranger lists %q", prefix, got)
		}
		for name, call := range map[string]func(u user, file, batch string) error{
			"file": func(u user, file, _ string) error { _, err := u.client.Files.Get(t.Context(), file); return err },
			"content": func(u user, file, _ string) error {
				response, err := u.client.Files.Content(t.Context(), file)
				if err == nil {
					_ = response.Body.Close()
				}
				return err
			},
			"delete": func(u user, file, _ string) error { _, err := u.client.Files.Delete(t.Context(), file); return err },
			"batch":  func(u user, _, batch string) error { _, err := u.client.Batches.Get(t.Context(), batch); return err },
			"cancel": func(u user, _, batch string) error {
				_, err := u.client.Batches.Cancel(t.Context(), batch)
				return err
			},
			"retry": func(u user, _, batch string) error {
				return u.client.Post(t.Context(), "batches/"+batch+"/retry", nil, nil)
			},
			"use of the file": func(u user, file, _ string) error {
				_, err := u.client.Batches.New(t.Context(), batchOf(file, nil))
				return err
			},
		} {
			// The answers are those for what is not there, but for the id that the stranger wrote.
			got := strings.NewReplacer(file, "ID", batch, "ID").Replace(told(t, call(stranger, file, batch)))
			if want := strings.ReplaceAll(told(t, call(stranger, "absent", "absent")), "absent", "ID"); got != want {
				t.Errorf("%s, %s: a stranger is told\n%s\nand of what is not there\n%s", prefix, name, got, want)
			}
		}
		if _, err := owner.client.Files.Get(t.Context(), file); err != nil {
			t.Errorf("%s: the owner's file after all that: %v", prefix, err)
		}
	}
}

// told is the whole error answer that a call met.
func told(t *testing.T, err error) string {
	t.Helper()
	refusal, ok := errors.AsType[*openai.Error](err)
	if !ok {
		t.Fatalf("got %v, want an API error", err)
	}
	return fmt.Sprintf("%d %s", refusal.StatusCode, refusal.RawJSON())
}

// endings revokes a key and rotates another while the server runs.
func (k keyring) endings(t *testing.T) {
	revoked, rotated := k.create(t, "leaver"), k.create(t, "changer")
	ids := map[string]string{}
	var list struct {
		Data []struct{ ID, Tenant string }
	}
	if err := json.Unmarshal([]byte(harness.Run(t, "keys", "list", "--json", "--data-dir", k.dir)), &list); err != nil {
		t.Fatal(err)
	}
	for _, key := range list.Data {
		ids[key.Tenant] = key.ID
	}
	status := func(key string) int {
		code, _ := k.call(t, "/v1/files", map[string]string{"x-api-key": key})
		return code
	}
	if a, b := status(revoked), status(rotated); a != http.StatusOK || b != http.StatusOK {
		t.Fatalf("new keys: %d, %d", a, b)
	}
	harness.Run(t, "keys", "revoke", ids["leaver"], "--data-dir", k.dir)
	next := harness.Run(t, "keys", "rotate", ids["changer"], "--overlap", "1h", "--data-dir", k.dir)
	eventually(t, func() (string, bool) {
		got := status(revoked)
		return fmt.Sprintf("a revoked key: %d", got), got == http.StatusUnauthorized
	})
	if a, b := status(rotated), status(next); a != http.StatusOK || b != http.StatusOK {
		t.Errorf("a rotated key and the next: %d, %d", a, b)
	}
}
