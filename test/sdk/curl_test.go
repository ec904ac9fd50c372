package sdk_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"batchd/test/harness"
)

// moody makes the simulated engine refuse what asks for it, and take its time over what allows that.
const moody = `{"rules": [
	{"match": {"contains": "Refuse me"}, "action": {"status": 400}},
	{"match": {"contains": "Slowly say"}, "action": {"delay": "200ms"}}
]}`

// slowly makes a batch of an input file last long enough for a shell to cancel it.
func slowly(input []byte) []byte {
	return bytes.ReplaceAll(input, []byte(`"Say `), []byte(`"Slowly say `))
}

// shell is somebody with curl who follows a vendor's pages.
type shell struct {
	base    string
	headers []string // of every call, as the pages have them
	dir     string   // where files are
}

// serveKeys starts a server that asks for keys, with the moody engine behind it, and returns its base URL and
// a key.
func serveKeys(t *testing.T) (base, key string) {
	t.Helper()
	dir := t.TempDir()
	key = harness.Run(t, "keys", "create", "--tenant", "acme", "--data-dir", dir)
	return harness.ServeDir(t, dir, "--upstream", harness.Simulate(t, moody)), key
}

// answer is what curl got.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// call runs curl with further arguments of the page.
func (s *shell) call(t *testing.T, method, path string, arguments ...string) answer {
	t.Helper()
	headers := filepath.Join(s.dir, "headers")
	command := []string{
		"--silent", "--show-error", "--max-time", "60", "--dump-header", headers, "--request", method, "--url", s.base + path,
	}
	for _, h := range s.headers {
		command = append(command, "--header", h)
	}
	curl := exec.CommandContext(limited(t), harness.Installed(t, "curl", "curl"), append(command, arguments...)...)
	var complaint bytes.Buffer
	curl.Stderr = &complaint
	body, err := curl.Output()
	if err != nil {
		t.Fatalf("curl %s %s: %v\n%s", method, path, err, complaint.Bytes())
	}
	a := answer{body: body, header: http.Header{}}
	for line := range strings.Lines(readFile(t, headers)) {
		// A call whose body waits for "100 Continue" has two blocks of headers, of which the last counts.
		if _, err := fmt.Sscanf(line, "HTTP/1.1 %d", &a.status); err == nil {
			a.header = http.Header{}
		} else if name, value, ok := strings.Cut(line, ":"); ok {
			a.header.Add(name, strings.TrimSpace(value))
		}
	}
	return a
}

// must is call for a success, whose answer is read into into, if that is not nil.
func (s *shell) must(t *testing.T, into any, method, path string, arguments ...string) answer {
	t.Helper()
	a := s.call(t, method, path, arguments...)
	if a.status != http.StatusOK {
		t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
	}
	if into != nil {
		if err := json.Unmarshal(a.body, into); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, a.body)
		}
	}
	return a
}

// file writes a file and returns curl's form argument for it.
func (s *shell) file(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(s.dir, name)
	writeFile(t, path, string(content))
	return "file=@" + path
}

// await polls a batch until it has ended, which must be with this status.
func (s *shell) await(t *testing.T, id, status string, into any) answer {
	t.Helper()
	var a answer
	eventually(t, func() (string, bool) {
		var b struct{ Status string }
		a = s.must(t, &b, http.MethodGet, "/batches/"+id)
		if b.Status != status && slices.Contains([]string{"completed", "failed", "expired", "cancelled"}, strings.ToLower(b.Status)) {
			t.Fatalf("%s became %s, want %s: %s", id, b.Status, status, a.body)
		}
		return fmt.Sprintf("%s is %s, want %s", id, b.Status, status), b.Status == status
	})
	if err := json.Unmarshal(a.body, into); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	return a
}

// wantMembers checks which members a JSON object has, and in which order.
func wantMembers(t *testing.T, object []byte, want ...string) {
	t.Helper()
	if got := members(t, object); !slices.Equal(got, want) {
		t.Errorf("got members %q\nwant %q", got, want)
	}
}

// members are the names of a JSON object's members in their order.
func members(t *testing.T, object []byte) []string {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(object))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		t.Fatalf("%s is no object", object)
	}
	var names []string
	for d.More() {
		name, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, fmt.Sprint(name))
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			t.Fatal(err)
		}
	}
	return names
}
