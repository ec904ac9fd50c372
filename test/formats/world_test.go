package formats_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"batchd/test/harness"
)

// packed is the data of one version.
type packed struct {
	t     *testing.T
	dir   string
	facts map[string]string
}

func newPacked(t *testing.T, version string) packed {
	t.Helper()
	p := packed{t: t, dir: filepath.Join(harness.Root(t), "testdata", "formats", version), facts: map[string]string{}}
	for line := range strings.Lines(string(p.read(filepath.Join(p.dir, "facts")))) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		p.facts[name] = value
	}
	return p
}

func (p packed) read(path string) []byte {
	p.t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		p.t.Fatal(err)
	}
	return raw
}

func (p packed) fact(name string) string {
	p.t.Helper()
	value, ok := p.facts[name]
	if !ok {
		p.t.Fatalf("%s says nothing of %s", filepath.Join(p.dir, "facts"), name)
	}
	return value
}

func (p packed) number(name string) int {
	p.t.Helper()
	n, err := strconv.Atoi(p.fact(name))
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

// same fails unless content is that of a file beside the packed data.
func (p packed) same(name string, content []byte) {
	p.t.Helper()
	if want := p.read(filepath.Join(p.dir, name)); !bytes.Equal(content, want) {
		p.t.Errorf("%s has become\n%s\nit was\n%s", name, content, want)
	}
}

// unpack unpacks an archive into a directory of the test's own, and returns the directory in it that has the archive's name.
func (p packed) unpack(name string) string {
	p.t.Helper()
	into := p.t.TempDir()
	zipped, err := gzip.NewReader(bytes.NewReader(p.read(filepath.Join(p.dir, name+".tar.gz"))))
	if err != nil {
		p.t.Fatal(err)
	}
	for files := tar.NewReader(zipped); ; {
		entry, err := files.Next()
		if errors.Is(err, io.EOF) {
			return filepath.Join(into, name)
		}
		if err == nil {
			err = unpackEntry(filepath.Join(into, filepath.FromSlash(entry.Name)), entry, files)
		}
		if err != nil {
			p.t.Fatalf("unpack %s: %v", name, err)
		}
	}
}

func unpackEntry(path string, entry *tar.Header, content io.Reader) error {
	if !filepath.IsLocal(entry.Name) {
		return fmt.Errorf("%s leads out of the directory", entry.Name)
	}
	if entry.FileInfo().IsDir() {
		return os.MkdirAll(path, 0o700)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}

// upstream answers every call at once, in words that no engine of the past used, and remembers what it was asked.
type upstream struct {
	*httptest.Server

	// mu guards following field.
	mu    sync.Mutex
	calls []string
}

// todaysWords stand in each of an upstream's answers.
const todaysWords = "an answer of today"

func newUpstream(t *testing.T) *upstream {
	t.Helper()
	u := &upstream{}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/v1/chat/completions" {
			http.NotFound(w, r)
			return
		}
		u.mu.Lock()
		u.calls = append(u.calls, string(body))
		u.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"id":"x","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":%q},"finish_reason":"stop"}]}`, todaysWords)
	}))
	t.Cleanup(u.Close)
	return u
}

// asked returns the bodies of the calls so far.
func (u *upstream) asked() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.calls)
}

// answeredBy counts the lines that an upstream of today answered.
func answeredBy(lines []resultLine) int {
	n := 0
	for _, line := range lines {
		if strings.Contains(line.text, todaysWords) {
			n++
		}
	}
	return n
}

// server is a batchd that serves data of the past.
type server struct {
	t    *testing.T
	base string
	key  string
}

type counts struct {
	Total     int `json:"total"`
	Completed int `json:"completed"`
	Failed    int `json:"failed"`
}

type batch struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	Output string `json:"output_file_id"`
	Errors string `json:"error_file_id"`
	Counts counts `json:"request_counts"`
}

// call makes an API call that must succeed.
func (s *server) call(method, path, body string) []byte {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.base+"/v1"+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+s.key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }() // it is only read
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		s.t.Fatalf("%s %s: %s %s %v", method, path, response.Status, answer, err)
	}
	return answer
}

func (s *server) content(file string) []byte {
	s.t.Helper()
	if file == "" {
		s.t.Fatal("a file that must be there is not")
	}
	return s.call(http.MethodGet, "/files/"+file+"/content", "")
}

func (s *server) decode(answer []byte) batch {
	s.t.Helper()
	var b batch
	if err := json.Unmarshal(answer, &b); err != nil {
		s.t.Fatalf("%s: %v", answer, err)
	}
	return b
}

func (s *server) batch(id string) batch {
	s.t.Helper()
	return s.decode(s.call(http.MethodGet, "/batches/"+id, ""))
}

// create makes a batch of a file and returns its id.
func (s *server) create(file string) string {
	s.t.Helper()
	return s.decode(s.call(http.MethodPost, "/batches",
		fmt.Sprintf(`{"input_file_id":%q,"endpoint":"/v1/chat/completions","completion_window":"24h"}`, file))).ID
}

// await polls a batch until it has a status.
func (s *server) await(id, status string) batch {
	s.t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		b := s.batch(id)
		if b.Status == status {
			return b
		}
		select {
		case <-again.C:
		case <-deadline.C:
			s.t.Fatalf("batch did not become %s within a minute: %+v", status, b)
		}
	}
}
