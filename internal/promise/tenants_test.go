//go:build !failpoint

package promise

import (
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"batchd/test/harness"
)

// mintKey makes a key of a tenant with the command line, beside the running server or without one.
func (n *node) mintKey(tenant string) string {
	n.t.Helper()
	cmd := exec.CommandContext(n.t.Context(), harness.Binary(n.t), "keys", "create", "--tenant", tenant, "--data-dir", n.dir)
	key, err := cmd.Output()
	if err != nil {
		n.t.Fatalf("%s: %v", cmd, err)
	}
	return strings.TrimSpace(string(key))
}

// answer is what a caller can see of a call: status and body, without what differs between any two calls.
func (n *node) answer(method, path, body string) string {
	n.t.Helper()
	contentType := ""
	if body != "" {
		contentType = "application/json"
	}
	raw, err := n.do(method, path, contentType, strings.NewReader(body))
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		return fmt.Sprintf("%d %s", refused.status, requestIDs.ReplaceAllString(refused.body, "<request>"))
	case err != nil:
		n.t.Fatalf("%s %s: %v", method, path, err)
	}
	return "200 " + string(raw)
}

var requestIDs = regexp.MustCompile(`req_[0-9a-f]+`)

// TestD9: a second tenant tries every id of the first one, in every dialect and at every place that takes an id. What
// it gets is what an id gets that nobody has.
func TestD9(t *testing.T) {
	t.Parallel()
	n := newNode(t, newEngine(t, steady(0)), 16)
	n.keys = true
	ours, theirs := n.mintKey("ours"), n.mintKey("theirs")
	n.start()

	n.key = ours
	in := input{lines: 20, bad: func(i int) bool { return i == 7 }}
	done := mustEnd(t, n, in)
	ids := map[string]string{
		"file": done.InputFileID, "output": *done.OutputFileID, "errors": *done.ErrorFileID, "batch": done.ID,
	}

	n.key = theirs
	for _, prefix := range []string{"/v1", "/openai/v1", "/neosantara/v1", "/batchd/v1"} {
		for what, id := range ids {
			absent := strings.Repeat("0", len(id))
			for _, c := range places(prefix) {
				got := strings.ReplaceAll(n.answer(c.method, c.at(id), c.body(id)), id, "<id>")
				want := strings.ReplaceAll(n.answer(c.method, c.at(absent), c.body(absent)), absent, "<id>")
				if got != want {
					t.Errorf("%s %s with the %s of another tenant:\n%s\nwant, as with an id that nobody has:\n%s", c.method, c.path, what, got, want)
				}
			}
		}
		for _, list := range []string{"/files", "/batches"} {
			if got := n.answer(http.MethodGet, prefix+list, ""); strings.Contains(got, `"id"`) {
				t.Errorf("GET %s%s shows another tenant's: %s", prefix, list, got)
			}
		}
	}

	n.key = ours
	if again, err := n.batch(done.ID); err != nil || again.Status != "completed" {
		t.Errorf("the batch of the first tenant afterwards: %+v, %v", again, err)
	}
	if _, err := n.content(done.InputFileID); err != nil {
		t.Errorf("the input file of the first tenant afterwards: %v", err)
	}
	for name, key := range map[string]string{"none": "", "wrong": ours[:len(ours)-1] + "_"} {
		n.key = key
		var refused *refusal
		if _, err := n.batch(done.ID); !errors.As(err, &refused) || refused.status != http.StatusUnauthorized {
			t.Errorf("key %s: %v, want 401", name, err)
		}
	}
}

// place is somewhere in the API that takes an id, as "ID" in the path or the body.
type place struct{ method, path, json string }

func (p place) at(id string) string   { return strings.ReplaceAll(p.path, "ID", id) }
func (p place) body(id string) string { return strings.ReplaceAll(p.json, "ID", id) }

func places(prefix string) []place {
	return []place{
		{"GET", prefix + "/files/ID", ""},
		{"GET", prefix + "/files/ID/content", ""},
		{"DELETE", prefix + "/files/ID", ""},
		{"GET", prefix + "/files?after=ID", ""},
		{"GET", prefix + "/batches/ID", ""},
		{"PATCH", prefix + "/batches/ID", `{"remark":"mine"}`},
		{"POST", prefix + "/batches/ID/cancel", ""},
		{"POST", prefix + "/batches/ID/retry", ""},
		{"GET", prefix + "/batches?after=ID", ""},
		{"POST", prefix + "/batches", `{"input_file_id":"ID","endpoint":"/v1/chat/completions","completion_window":"24h"}`},
		{"POST", prefix + "/uploads/ID/complete", `{"part_ids":["ID"]}`},
		{"POST", prefix + "/uploads/ID/cancel", ""},
	}
}

// mustEnd runs an input to its end.
func mustEnd(t *testing.T, n *node, in input) job {
	t.Helper()
	f, err := n.upload("in.jsonl", in.write)
	if err != nil {
		t.Fatal(err)
	}
	b, err := n.create(f.ID, "24h")
	if err != nil {
		t.Fatal(err)
	}
	until(t, endWithin, "ended", func() bool {
		if b, err = n.batch(b.ID); err != nil {
			t.Fatal(err)
		}
		return b.terminal()
	})
	return b
}
