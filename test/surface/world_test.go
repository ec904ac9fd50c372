package surface

import (
	"bufio"
	"database/sql"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	_ "modernc.org/sqlite" // the driver that the schema is read with
)

// prefixes are where the API is served; each may speak another dialect.
var prefixes = []string{"/v1", "/openai/v1", "/neosantara/v1", "/batchd/v1"}

// aliases are further paths to what is under one of the prefixes.
var aliases = []string{"/openai", "/v3/openai"}

// node is a node that was given some of everything to do, and what was seen of it.
type node struct {
	t                      *testing.T
	dir, config            string
	base, engine, receiver string

	metrics, engineMetrics list
	logKeys                list
	routes, engineRoutes   list
	described              list
	printed                list
	members                list
	disk, schema           list

	// mu guards told, the bodies that the receiver of webhooks got.
	mu   sync.Mutex
	told [][]byte
}

// faults make the engine refuse a model, and cut the first call of some lines off.
const faults = `{"rules": [
  {"match": {"model": "refused"}, "action": {"status": 401, "error": "invalid_api_key"}},
  {"match": {"contains": "cut me off", "attempts": 1}, "action": {"reset": "mid_body"}},
  {"match": {"contains": "come later"}, "action": {"status": 429, "headers": {"Retry-After": "3600"}}}
]}`

// settingsOfNode has an upstream that works in part, and one where nothing listens.
const settingsOfNode = `data_dir: %s
listen: 127.0.0.1:0
auth: {mode: none}
log: {level: debug, format: json}
webhooks: {allow: [127.0.0.0/8]}
upstreams:
  - {url: %s/v1, models: [good, refused]}
  - {url: "http://127.0.0.1:1/v1", models: [gone]}
`

// work starts a node, has it do some of everything, and stops it.
func work(t *testing.T) *node {
	t.Helper()
	n := &node{
		t: t, dir: filepath.Join(t.TempDir(), "data"),
		metrics: list{}, engineMetrics: list{}, logKeys: list{}, described: list{}, printed: list{}, members: list{},
		disk: list{}, schema: list{},
	}
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // what is cut off is no JSON
		n.mu.Lock()
		defer n.mu.Unlock()
		n.told = append(n.told, body)
	}))
	t.Cleanup(receiver.Close)
	n.receiver = receiver.URL
	engine := start(t, nil, "sim", "--listen", "127.0.0.1:0", "--faults", n.file("faults.json", faults))
	n.engine = engine.address(t)
	n.config = n.file("batchd.yaml", fmt.Sprintf(settingsOfNode, n.dir, n.engine))

	server := start(t, nil, "serve", "--config", n.config)
	n.base = server.address(t)
	n.runBatches()
	until(t, "the log says twice that lines wait", func() bool { return strings.Count(server.output(), `"reason":`) >= 2 })
	n.administer()
	n.look()
	server.stop(t)
	for line := range strings.Lines(server.output()) {
		attributes, _ := document([]byte(line)).(map[string]any)
		for key := range attributes {
			n.logKeys.add(key)
		}
	}
	n.walk("data directory", n.dir)
	n.readSchema(filepath.Join(n.dir, "batchd.db"))
	n.loseJournals()
	n.runOnce()
	return n
}

// file writes a file beside the data directory and returns its path.
func (n *node) file(name, text string) string {
	n.t.Helper()
	path := filepath.Join(filepath.Dir(n.dir), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
	return path
}

// input writes an input file with one line for each text.
func (n *node) input(name, model string, texts ...string) string {
	n.t.Helper()
	var lines strings.Builder
	for i, text := range texts {
		fmt.Fprintf(&lines, `{"custom_id": "%d", "method": "POST", "url": "/v1/chat/completions", "body": {"model": %q, "messages": [{"role": "user", "content": %q}]}}`+"\n",
			i, model, text)
	}
	return n.file(name, lines.String())
}

// ask runs a command with --json and returns what it printed.
func (n *node) ask(args ...string) map[string]any {
	n.t.Helper()
	code, text, problems := run(nil, append(args, "--json")...)
	answer, ok := document([]byte(text)).(map[string]any)
	if code != 0 || !ok {
		n.t.Fatalf("batchd %v ends with %d:\n%s\n%s", args, code, text, problems)
	}
	n.printed.members("batchd "+strings.Join(args[:2], " "), "answer", answer)
	return answer
}

// remote is ask for what a server answers.
func (n *node) remote(args ...string) map[string]any {
	n.t.Helper()
	return n.ask(append(args, "--server", n.base)...)
}

// local is ask for what is done on the data directory.
func (n *node) local(args ...string) map[string]any {
	n.t.Helper()
	return n.ask(append(args, "--config", n.config)...)
}

// runBatches runs a batch to its end, with its first call lost; has one begin, so that it has a journal; and two wait: one
// for an upstream that refuses its key, and one where there is none.
func (n *node) runBatches() {
	n.t.Helper()
	n.local("webhooks", "add", n.receiver)
	done := n.remote("batches", "create", n.input("good.jsonl", "good", "cut me off"), "--watch", "--callback", n.receiver, "--metadata", "a=b")
	failed := n.remote("batches", "create", n.input("bad.jsonl", "good", "MODE:ctx500"), "--watch")
	for _, b := range []map[string]any{done, failed} {
		for _, which := range []string{"output_file_id", "error_file_id"} {
			if id, ok := b[which].(string); ok {
				_, text, _ := run(nil, "files", "content", id, "--server", n.base)
				n.members.members("result line", "line", document([]byte(text)))
			}
		}
	}
	begun, _ := n.remote("batches", "create", n.input("begun.jsonl", "good", "hello", "come later"))["id"].(string)
	until(n.t, "one of two lines is done", func() bool {
		counts, _ := n.remote("batches", "get", begun)["request_counts"].(map[string]any)
		return counts["completed"] == 1.0
	})
	n.remote("batches", "create", n.input("refused.jsonl", "refused", "hello"))
	n.remote("batches", "create", n.input("gone.jsonl", "gone", "hello"))
	// The model good comes to have one too, for the line that is to come later, and may well have it first.
	until(n.t, "both upstreams have a reason", func() bool {
		metrics := string(n.get(n.base + "/metrics"))
		return strings.Contains(metrics, `batchd_upstream_reason{model="refused",`) &&
			strings.Contains(metrics, `batchd_upstream_reason{model="gone",`)
	})
	until(n.t, "webhook and callback are told", func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return len(n.told) >= 3
	})
}

// administer has every command that prints JSON print some.
func (n *node) administer() {
	n.t.Helper()
	n.remote("batches", "list")
	n.remote("files", "list")
	id, _ := n.local("keys", "create", "--tenant", "someone", "--expires", "90d")["id"].(string)
	n.local("keys", "rotate", id)
	n.local("keys", "revoke", id)
	n.local("keys", "list")
	n.local("tenants", "set", "someone", "--weight", "2")
	n.local("tenants", "list")
	hook, _ := n.local("webhooks", "add", n.receiver+"/other")["id"].(string)
	n.local("webhooks", "test", hook)
	n.local("webhooks", "rotate", hook)
	n.local("webhooks", "list")
	n.local("webhooks", "deliveries")
	n.local("webhooks", "secret")
	n.local("webhooks", "enable", hook)
	n.local("tenants", "rotate-callback-secret", "default")
	n.local("webhooks", "remove", hook)
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, body := range n.told {
		n.members.members("webhook", "event", document(body))
	}
}

// look asks the node and its engine for all that can be asked for.
func (n *node) look() {
	n.t.Helper()
	n.scrape(n.base, n.metrics)
	n.scrape(n.engine, n.engineMetrics)
	n.routes = routesAt(n.t, n.base, slices.Concat(prefixes, aliases))
	n.engineRoutes = routesAt(n.t, n.engine, []string{"/v1"})
	for _, prefix := range prefixes {
		n.described.described(prefix, document(n.get(n.base+prefix+"/openapi.json")))
	}
	n.members.members("/healthz", "answer", document(n.get(n.base+"/healthz")))
	n.members.members("/readyz", "answer", document(n.get(n.base+"/readyz")))
	for _, path := range []string{"/batchd/v1/upstreams", "/batchd/v1/disk"} {
		n.members.members(path, "answer", document(n.get(n.base+path)))
	}
	n.remote("status", "--disk")
}

func (n *node) get(url string) []byte {
	n.t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		n.t.Fatalf("GET %s: %s %v", url, answer.Status, err)
	}
	return body
}

// scrape adds the families that an address shows, with kind and labels. Those of the Go runtime and of the process are not
// ours to keep.
func (n *node) scrape(base string, found list) {
	n.t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(string(n.get(base + "/metrics"))))
	if err != nil {
		n.t.Fatal(err)
	}
	for name, family := range families {
		if strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_") {
			continue
		}
		labels := list{}
		for _, series := range family.GetMetric() {
			for _, label := range series.GetLabel() {
				labels.add(label.GetName())
			}
		}
		found.add(familyLine(name, strings.ToLower(family.GetType().String()), labels))
	}
}

// familyLine is a family as its list has it.
func familyLine(name, kind string, labels list) string {
	return fmt.Sprintf("%s %s {%s}", name, kind, strings.Join(slices.Sorted(maps.Keys(labels)), ", "))
}

// What in a name is made up for the occasion.
var (
	madeUpShard = regexp.MustCompile(`/[0-9a-f](/|$)`)
	madeUpIDs   = regexp.MustCompile(`(batch|file|upload|unit|lease)[_-][0-9A-Za-z]{8,}|[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{12,}`)
	madeUpCount = regexp.MustCompile(`[0-9]+`)
)

// walk adds the names below a directory, without what is made up for the occasion, and reads what is JSON.
func (n *node) walk(name, dir string) {
	n.t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		shown := madeUpShard.ReplaceAllString(filepath.ToSlash(relative), "/X$1")
		shown = madeUpCount.ReplaceAllString(madeUpIDs.ReplaceAllString(shown, "ID"), "N")
		if entry.IsDir() {
			n.disk.add(name + ": " + shown + "/")
			return nil
		}
		n.disk.add(name + ": " + shown)
		if filepath.Ext(path) == ".json" {
			text, err := os.ReadFile(path)
			n.members.members(entry.Name(), "record", document(text))
			return err
		}
		return nil
	})
	if err != nil {
		n.t.Fatal(err)
	}
}

// readSchema adds the statements that a database was made by, one line for each line of them.
func (n *node) readSchema(path string) {
	n.t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = db.Close() }() // it is only read
	for _, pragma := range []string{"user_version", "application_id", "page_size", "auto_vacuum", "encoding", "journal_mode"} {
		var value string
		if err := db.QueryRowContext(n.t.Context(), "PRAGMA "+pragma).Scan(&value); err != nil {
			n.t.Fatal(err)
		}
		n.schema.add("pragma " + pragma + ": " + value)
	}
	rows, err := db.QueryContext(n.t.Context(), "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var kind, name, statement string
		if err := rows.Scan(&kind, &name, &statement); err != nil {
			n.t.Fatal(err)
		}
		lines := bufio.NewScanner(strings.NewReader(statement))
		for at := 0; lines.Scan(); at++ {
			if text := strings.TrimSpace(lines.Text()); text != "" {
				n.schema.add(fmt.Sprintf("%s %s %02d: %s", kind, name, at, text))
			}
		}
	}
	if err := rows.Err(); err != nil {
		n.t.Fatal(err)
	}
}

// loseJournals gives the journals of the node to another one, whose database knows nothing of them: it does not start until
// they are set aside.
func (n *node) loseJournals() {
	n.t.Helper()
	other := n.dir + "-other"
	run(nil, "keys", "create", "--tenant", "someone", "--data-dir", other)
	if err := os.CopyFS(filepath.Join(other, "journals"), os.DirFS(filepath.Join(n.dir, "journals"))); err != nil {
		n.t.Fatal(err)
	}
	code, text, problems := run(nil, "check", other, "--json")
	if code != 1 {
		n.t.Fatalf("batchd check ends with %d:\n%s\n%s", code, text, problems)
	}
	n.printed.members("batchd check", "answer", document([]byte(text)))
	serve := []string{"serve", "--data-dir", other, "--upstream", "sim", "--listen", "127.0.0.1:0"}
	if code, _, problems := run(nil, serve...); code != 1 || !strings.Contains(problems, "batchd repair") {
		n.t.Fatalf("batchd serve ends with %d:\n%s", code, problems)
	}
	if code, text, problems := run(nil, "repair", other, "--yes"); code != 0 {
		n.t.Fatalf("batchd repair ends with %d:\n%s\n%s", code, text, problems)
	}
	server := start(n.t, nil, serve...)
	server.address(n.t)
	server.stop(n.t)
	n.walk("data directory", other)
}

// runOnce runs an input file without a server.
func (n *node) runOnce() {
	n.t.Helper()
	dir := filepath.Join(filepath.Dir(n.dir), "once")
	if err := os.Mkdir(dir, 0o700); err != nil {
		n.t.Fatal(err)
	}
	input := n.input(filepath.Join("once", "in.jsonl"), "good", "hello")
	if code, _, problems := run(nil, "run", input, "--upstream", n.engine+"/v1"); code != 0 {
		n.t.Fatalf("batchd run ends with %d:\n%s", code, problems)
	}
	n.walk("one-shot run", dir)
}
