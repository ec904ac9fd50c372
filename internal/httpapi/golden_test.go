package httpapi_test

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite the golden files with what the server answers")

// TestGoldenExchanges plays the requests of each golden file against a fresh server, in order, and compares every
// byte of the answers, apart from the request ids. A file is a txtar archive of requests and responses in turn.
func TestGoldenExchanges(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/golden/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := replay(newFixture(t, nil), archive)
			if *update {
				if err := os.WriteFile(name, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(txtar.Format(archive)), string(got)); diff != "" {
				t.Errorf("exchange (-want +got):\n%s", diff)
			}
		})
	}
}

// replay returns the archive with every response as the server gives it now.
func replay(f *fixture, archive *txtar.Archive) []byte {
	out := &txtar.Archive{Comment: archive.Comment}
	for _, step := range archive.Files {
		if step.Name != "request" {
			continue
		}
		w := httptest.NewRecorder()
		f.handler.ServeHTTP(w, parseRequest(f.t, step.Data))
		out.Files = append(out.Files, step, txtar.File{Name: "response", Data: show(w)})
	}
	return txtar.Format(out)
}

// parseRequest reads a request in the form of HTTP, with plain line breaks and without a length. In forms, line
// breaks stand for the CRLF that forms need.
func parseRequest(t testing.TB, raw []byte) *http.Request {
	t.Helper()
	head, body, _ := bytes.Cut(raw, []byte("\n\n"))
	body = bytes.TrimSuffix(body, []byte("\n"))
	lines := bufio.NewScanner(bytes.NewReader(head))
	lines.Scan()
	method, target, ok := strings.Cut(lines.Text(), " ")
	if !ok {
		t.Fatalf("not a request line: %q", lines.Text())
	}
	header := make(http.Header)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		header.Add(name, value)
	}
	if strings.HasPrefix(header.Get("Content-Type"), "multipart/") {
		body = bytes.ReplaceAll(body, []byte("\n"), []byte("\r\n"))
	}
	r := httptest.NewRequest(method, target, bytes.NewReader(body))
	r.Header = header
	return r
}

// show writes a response: the status, the headers in order, the body.
func show(w *httptest.ResponseRecorder) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "%d %s\n", w.Code, http.StatusText(w.Code))
	var lines []string
	for name, values := range w.Header() {
		if name == "X-Request-Id" {
			values = []string{"<request id>"}
		}
		lines = append(lines, name+": "+strings.Join(values, ", "))
	}
	slices.Sort(lines)
	fmt.Fprintf(&out, "%s\n\n%s", strings.Join(lines, "\n"), w.Body)
	if !bytes.HasSuffix(out.Bytes(), []byte("\n")) {
		out.WriteByte('\n')
	}
	return out.Bytes()
}
