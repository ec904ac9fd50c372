package httpapi_test

// A golden file is one case: a txtar archive under testdata/golden, in any directory there. Its comment says in a sentence
// what it shows. Its sections are, in any number and order:
//
//	-- server --    settings of the server, first of all, one to a line:
//	                strict             every dialect takes and shows what its vendor documents and nothing more
//	                keys               a key is demanded: "ours", "theirs", "revoked", "expired", or for a key of ours that
//	                                   chooses its dialect under /v1 "openai", "novita", "neosantara", or for operators "admin", "content"
//	                missing-file-fails create calls on unknown files make failed batches
//	                callbacks          callback_url may be any https address that does not hold "private"
//	                full               the disk is nearly full
//	                rows-full          the disk has no room for rows
//	                closed             no uploads are taken for now
//	                waits              running batches and upstreams stand as waits and stands say
//	                limits lines=N bytes=N       bounds on every mount's files
//	                rate limit=N remaining=N reset=D wait=D    where every tenant stands with its requests
//	-- seed --      objects to put into the store, one to a line, as seeder.seed reads them:
//	                file lines=3 name=in.jsonl purpose=batch created=-1h expires=1h lost=yes, whose bytes are gone
//	                batch completed total=3 completed=2 failed=1 metadata='{"a": 1}'
//	                batch failed errors=2, or batch failed faults=duplicate,tokens   see history.fault
//	                upload id=upload_1 bytes=97   a pending one
//	                webhook id=we_1 url=https://example.com/
//	                attempt batch=batch_1 status=200   an answer to the only delivery of a batch, which it ends
//	                limits files=1 bytes=1 open=1 lines=1 hourly=1   what our tenant may have
//	                The word after batch is its state. Both take id, tenant (theirs) and dialect; a batch also input, output
//	                and error, which are file ids, window, endpoint, remark, key and continued, and the times created,
//	                started, cancelling, finalizing and ended. One in_progress with stop=expire is past its window, one
//	                with completed has results already. Without an id, one is minted: the n-th id has the byte n
//	                everywhere; a batch takes one for its input file, then its own, then those of its files. What a setting
//	                leaves open is made up, with times before the server's.
//	-- clock --     a duration by which the server's clock goes on, like 25h. It starts at 1790000000.
//	-- request --   method and target, headers, an empty line, the body. The target's prefix chooses the dialect: /v1 is
//	                OpenAI's, /openai/v1 Novita's, /neosantara/v1 Neosantara's. In a form, line breaks stand for CRLF.
//	                <<x*1000>> stands for a thousand times x; a Content-Length is what the client says, true or not.
//	                Without "keys", "Authorization: Bearer theirs" is the other tenant and any other credential ours.
//	-- response --  the answer to the request before, unpacked, without its request id, and with a word in the place of each
//	                key, secret and id that is minted for operators. "Authorization: Bearer broken"
//	                makes the server fail where no keys are demanded. go test -update writes these.

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"batchd/internal/batch"
	"batchd/internal/tenant"
)

var update = flag.Bool("update", false, "rewrite the golden files with what the server answers")

// TestGoldenExchanges plays the requests of each golden file against a fresh server, in order, and compares every
// byte of the answers, apart from the request ids.
func TestGoldenExchanges(t *testing.T) {
	t.Parallel()
	const root = "testdata/golden"
	var files []string
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".txtar") {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(strings.TrimPrefix(name, root+"/"), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := newPlay(t, archive).replay(archive)
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

// play is a case under way.
type play struct {
	*seeder
	clock time.Time
}

// newPlay starts the server that the archive asks for.
func newPlay(t *testing.T, archive *txtar.Archive) *play {
	t.Helper()
	settings := ""
	if len(archive.Files) > 0 && archive.Files[0].Name == "server" {
		settings = string(archive.Files[0].Data)
	}
	p := &play{clock: now, seeder: &seeder{}}
	p.fixture = newFixture(t, func(o *options) {
		o.Now = func() time.Time { return p.clock }
		p.blobs = o.Blobs
		p.dialects = mountVendors(o, strings.Contains(settings, "strict\n"))
		o.Retry = retrier(o, func(ctx context.Context, b batch.Batch) (batch.Blob, int64, error) {
			lines := b.Counts.Total - b.Counts.Completed
			rest, err := o.Blobs.Put(ctx, "files/rest-of-"+b.ID, strings.NewReader(strings.Repeat(goodLine, int(lines))))
			return rest, lines, err
		})
		for line := range strings.Lines(settings) {
			configure(t, o, strings.TrimSpace(line))
		}
	})
	if strings.Contains(settings, "keys\n") {
		p.addKeys()
	}
	return p
}

// configure applies one setting of a case's server.
func configure(t *testing.T, o *options, line string) {
	t.Helper()
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "strict": // when the dialects were made
	case "keys":
		demandKeys(o)
	case "missing-file-fails":
		for i := range o.Mounts {
			o.Mounts[i].MissingFileFails = true
		}
	case "callbacks":
		o.CheckCallback = func(url string) error {
			if strings.HasPrefix(url, "https://") && !strings.Contains(url, "private") {
				return nil
			}
			return batch.Invalidf("callback_url", "invalid_value", "Invalid 'callback_url': it may not be called.")
		}
	case "full":
		o.StorageFull = func() error { return fmt.Errorf("1 GiB left of 500 GiB") }
	case "rows-full":
		o.Store = fullRows{o.Store}
	case "closed":
		o.StorageFull = func() error {
			return &batch.Error{Class: batch.Unavailable, Message: "No uploads are taken for now. Try again later."}
		}
	case "waits":
		o.WaitingFor, o.Upstreams = waits, stands
	case "limits":
		w := parseSettings(t, rest, "lines", "bytes")
		for i := range o.Mounts {
			limits := batch.DefaultLimits()
			limits.MaxLines, limits.MaxFileBytes = w.number("lines", 0), w.number("bytes", limits.MaxFileBytes)
			o.Mounts[i].Limits = limits
		}
	case "rate":
		w := parseSettings(t, rest, "limit", "remaining", "reset", "wait")
		rate := tenant.Rate{
			Limit: w.number("limit", 60), Remaining: w.number("remaining", 0), Reset: w.time("reset", now).Sub(now), Wait: w.time("wait", now).Sub(now),
		}
		o.Rate = func(tenant.Identity) tenant.Rate { return rate }
	default:
		t.Fatalf("no server setting %q", line)
	}
}

// replay returns the archive with every response as the server gives it now.
func (p *play) replay(archive *txtar.Archive) []byte {
	p.t.Helper()
	out := &txtar.Archive{Comment: archive.Comment}
	for i, step := range archive.Files {
		if step.Name == "response" {
			continue
		}
		out.Files = append(out.Files, step)
		switch {
		case step.Name == "server" && i == 0:
		case step.Name == "seed":
			p.seed(string(step.Data))
		case step.Name == "clock":
			d, err := time.ParseDuration(strings.TrimSpace(string(step.Data)))
			if err != nil {
				p.t.Fatal(err)
			}
			p.clock = p.clock.Add(d)
		case step.Name == "request":
			w, r := httptest.NewRecorder(), parseRequest(p.t, step.Data)
			p.handler.ServeHTTP(w, r)
			if r.Method == http.MethodHead {
				w.Body.Reset() // as the network does
			}
			unpacked(p.t, w)
			out.Files = append(out.Files, txtar.File{Name: "response", Data: show(w)})
		default:
			p.t.Fatalf("section %d is %q", i, step.Name)
		}
	}
	return txtar.Format(out)
}

// repeated is a run of a character, written short.
var repeated = regexp.MustCompile(`<<(.)\*(\d+)>>`)

// parseRequest reads a request in the form of HTTP, with plain line breaks, and with a length only where that is not the
// body's. In forms, line
// breaks stand for the CRLF that forms need.
func parseRequest(t testing.TB, raw []byte) *http.Request {
	t.Helper()
	raw = repeated.ReplaceAllFunc(raw, func(short []byte) []byte {
		m := repeated.FindSubmatch(short)
		n, _ := strconv.Atoi(string(m[2]))
		return bytes.Repeat(m[1], n)
	})
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
	if length, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64); err == nil {
		r.ContentLength = length
	}
	if host := header.Get("Host"); host != "" {
		r.Host = host
	}
	return r
}

// unpacked replaces a body in gzip by what it holds, and takes away its length, which is the compressor's to choose.
func unpacked(t testing.TB, w *httptest.ResponseRecorder) {
	t.Helper()
	if w.Header().Get("Content-Encoding") != "gzip" || w.Body.Len() == 0 {
		return
	}
	z, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatalf("unpack: %v", err)
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		t.Fatalf("unpack: %v", err)
	}
	w.Body = bytes.NewBuffer(plain)
	w.Header().Del("Content-Length")
}

// minted is what the calls of operators show and nobody can foretell: keys with their ids, secrets and ids of webhooks, ids of
// new tenants, and when the store was made.
var minted = []struct {
	form *regexp.Regexp
	word string
}{
	{regexp.MustCompile(`"key":"sk-batchd-[0-9a-f]{32}-[\w-]{43}","id":"key_[0-9a-f]{32}"`), `"key":"<key>","id":"<key id>"`},
	{regexp.MustCompile(`"whsec_[\w+/=]+"`), `"<secret>"`},
	{regexp.MustCompile(`"we_[0-9a-f]{32}"`), `"<webhook id>"`},
	{regexp.MustCompile(`("tenant":"(?:acme|new)","tenant_id"|"id"):"[0-9a-f]{8}-[0-9a-f-]{27}"(,"name":"acme"|,"role")`), `$1:"<uuid>"$2`},
	{regexp.MustCompile(`("name":"default","created_at":)\d+`), `${1}0`},
}

// show writes a response: the status, the headers in order, the body.
func show(w *httptest.ResponseRecorder) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "%d %s\n", w.Code, http.StatusText(w.Code))
	var lines []string
	for name, values := range w.Header() {
		lines = append(lines, name+": "+strings.Join(values, ", "))
	}
	slices.Sort(lines)
	answer := fmt.Sprintf("%s\n\n%s", strings.Join(lines, "\n"), w.Body)
	answer = strings.ReplaceAll(answer, w.Header().Get("X-Request-Id"), "<request id>")
	for _, m := range minted {
		answer = m.form.ReplaceAllString(answer, m.word)
	}
	out.WriteString(answer)
	if !bytes.HasSuffix(out.Bytes(), []byte("\n")) {
		out.WriteByte('\n')
	}
	return out.Bytes()
}
