//go:build !failpoint

package promise

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"batchd/internal/vfs"
	"batchd/test/harness"
)

// tellWithin is how long it may take until what is wrong is told; refuseWithin until a run that cannot work has ended.
const (
	tellWithin   = 15 * time.Second
	refuseWithin = 30 * time.Second
)

// waiting is an entry of waiting_for.
type waiting struct {
	Reason, Detail, Code, Upstream, Model, Message string
	Status                                         int
	Lines                                          int
	Since                                          int64
	NextTry                                        int64 `json:"next_try"`
}

// waitsFor returns what a batch waits for and how far it is.
func (n *node) waitsFor(id string) ([]waiting, job) {
	n.t.Helper()
	raw, err := n.do(http.MethodGet, "/v1/batches/"+id, "", nil)
	if err != nil {
		n.t.Fatal(err)
	}
	var b struct {
		job
		WaitingFor []waiting `json:"waiting_for"`
	}
	if err := json.Unmarshal(raw, &b); err != nil {
		n.t.Fatal(err)
	}
	return b.WaitingFor, b.job
}

// get returns the body of a call that must succeed.
func (n *node) get(path string) string {
	n.t.Helper()
	raw, err := n.do(http.MethodGet, path, "", nil)
	if err != nil {
		n.t.Fatalf("GET %s: %v", path, err)
	}
	return string(raw)
}

// tells waits until every place where an operator looks has all the words.
func (n *node) tells(words ...string) {
	n.t.Helper()
	for name, text := range map[string]func() string{
		"readyz": func() string { return n.get("/readyz") }, "upstreams": func() string { return n.get("/batchd/v1/upstreams") },
		"log": n.running().text,
	} {
		until(n.t, tellWithin, fmt.Sprintf("%s tells %q", name, words), func() bool { return hasAll(text(), words...) })
	}
}

func hasAll(text string, words ...string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// command starts another command of the binary, which is killed when the test ends.
func command(t *testing.T, args ...string) *process {
	t.Helper()
	p, err := launch(harness.Binary(t), args, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.exited
	})
	return p
}

// code waits for the end of a command and returns its exit code.
func (p *process) code(t *testing.T, within time.Duration) int {
	t.Helper()
	select {
	case <-p.exited:
	case <-time.After(within):
		t.Fatalf("it was still running after %s:\n%s", within, p.text())
	}
	var exit *exec.ExitError
	if errors.As(p.end(), &exit) {
		return exit.ExitCode()
	}
	return 0
}

// writeInput writes an input file for runs and returns its path.
func writeInput(t *testing.T, in input) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "in.jsonl")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(in.write(f), f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// moody answers every line as it is told, until it is told to serve.
func moody(t *testing.T, status int, body string) (*engine, *atomic.Bool) {
	t.Helper()
	good := new(atomic.Bool)
	return newEngine(t, func(string, int) reply {
		if good.Load() {
			return reply{}
		}
		return reply{status: status, body: body, contentType: "application/json"}
	}), good
}

// TestF2_11: every call gets 429 insufficient_quota. Whoever looks is told so within seconds, and nobody says that the
// upstream does not answer.
func TestF2_11(t *testing.T) {
	t.Parallel()
	const body = `{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}`
	e, good := moody(t, 429, body)
	in := input{lines: 2000}
	n := newNode(t, e, 8)
	n.start()
	id := n.run(in, "24h")
	n.tells("429", "insufficient_quota", "account", "You exceeded your current quota")
	until(t, tellWithin, "the batch tells what it waits for", func() bool {
		waits, b := n.waitsFor(id)
		if len(waits) != 1 {
			return false
		}
		w := waits[0]
		told := w.Reason == "account" && w.Status == 429 && w.Code == "insufficient_quota" && w.Upstream == "upstream-1" && w.Model == "m" &&
			w.Message == "You exceeded your current quota" && w.Since > 0 && w.Lines == in.lines
		if b.RequestCounts != (counts{Total: in.lines}) {
			t.Errorf("counts %+v", b.RequestCounts)
		}
		return told
	})
	metrics := n.get("/metrics")
	if !hasAll(metrics, `batchd_upstream_reason{model="m",reason="account"`, `batchd_upstream_waiting_lines{model="m"`) {
		t.Errorf("metrics:\n%s", metrics)
	}
	const words = "answers 429 insufficient_quota (account)"
	watching := command(t, "batches", "watch", id, "--server", n.running().base)
	running := command(t, "run", writeInput(t, in), "--upstream", e.url(0))
	for name, p := range map[string]*process{"watch": watching, "run": running} {
		until(t, tellWithin, name+" tells it", func() bool { return hasAll(p.text(), words, "2,000 lines", "next try in") })
		if strings.Contains(p.text(), "does not answer") {
			t.Errorf("%s says of a server that answered:\n%s", name, p.text())
		}
	}
	good.Store(true)
	if a, err := n.finished(id, in); err != nil || len(a.errors) > 0 {
		t.Errorf("after the quota was raised: %v, error file %q", err, a.errors)
	}
	for name, p := range map[string]*process{"watch": watching, "run": running} {
		if code := p.code(t, endWithin); code != 0 {
			t.Errorf("%s ended with %d:\n%s", name, code, p.text())
		}
	}
	if got := n.get("/readyz"); got != `{"status":"ok"}` {
		t.Errorf("readyz afterwards: %s", got)
	}
}

// TestF2_13: every call gets 402. No line is burnt; a run ends within half a minute, says why and goes on when told to.
func TestF2_13(t *testing.T) {
	t.Parallel()
	e, good := moody(t, 402, `{"error":{"message":"Insufficient balance","type":"unknown_error","code":"invalid_request_error"}}`)
	in := input{lines: 2000}
	n := newNode(t, e, 8)
	n.start()
	id := n.run(in, "24h")
	n.tells("402", "account", "Insufficient balance")
	path := writeInput(t, in)
	waits := command(t, "run", path, "--upstream", e.url(0), "--concurrency", "8", "--wait", "--state", filepath.Join(t.TempDir(), "state"), "--output", filepath.Join(t.TempDir(), "out"))
	run := command(t, "run", path, "--upstream", e.url(0), "--concurrency", "8")
	if code := run.code(t, refuseWithin); code != 1 {
		t.Errorf("a run that cannot work ended with %d", code)
	}
	if text := run.text(); !hasAll(text, "answers 402", `"Insufficient balance"`, "balance or quota", "Nothing was recorded", "batchd run") {
		t.Errorf("it said\n%s", text)
	}
	if _, err := os.Stat(strings.TrimSuffix(path, ".jsonl") + ".errors.jsonl"); err == nil {
		t.Error("it recorded error lines")
	}
	if _, b := n.waitsFor(id); b.RequestCounts != (counts{Total: in.lines}) {
		t.Errorf("the server's batch: %+v", b.RequestCounts)
	}
	if calls := e.count(); calls > 150 {
		t.Errorf("%d calls in vain", calls)
	}
	good.Store(true)
	again := command(t, "run", path, "--upstream", e.url(0))
	for name, p := range map[string]*process{"the same command": again, "--wait": waits} {
		if code := p.code(t, endWithin); code != 0 || !strings.Contains(p.text(), "2,000 completed, 0 failed") {
			t.Errorf("%s ended with %d:\n%s", name, code, p.text())
		}
	}
	if a, err := n.finished(id, in); err != nil || len(a.errors) > 0 {
		t.Errorf("the server's batch: %v, error file %q", err, a.errors)
	}
}

// TestF2_15: the upstream's URL lacks /v1. The server says so at its start, and no line is burnt.
func TestF2_15(t *testing.T) {
	t.Parallel()
	e := newEngine(t, steady(0))
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/v1/") {
			http.NotFound(w, r)
			return
		}
		r.URL.Path = "/0" + r.URL.Path
		e.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	in := input{lines: 200}
	n := newNode(t, nil, 8)
	n.upstream = front.URL
	n.start()
	until(t, tellWithin, "it tells at its start", func() bool {
		return hasAll(n.get("/readyz"), `"ok"`, "misconfigured", "lacks /v1") && hasAll(n.get("/batchd/v1/upstreams"), "misconfigured", "lacks /v1") &&
			strings.Contains(n.running().text(), "add /v1 to its url")
	})
	id := n.run(in, "24h")
	until(t, tellWithin, "the batch tells what it waits for", func() bool {
		waits, b := n.waitsFor(id)
		return len(waits) == 1 && waits[0].Reason == "misconfigured" && waits[0].Status == 404 && b.RequestCounts == (counts{Total: in.lines})
	})
	path := writeInput(t, in)
	run := command(t, "run", path, "--upstream", front.URL)
	if code := run.code(t, refuseWithin); code != 1 || !hasAll(run.text(), "answers 404 (misconfigured)", "ends in /v1", "Nothing was recorded") {
		t.Errorf("a run ended with %d:\n%s", code, run.text())
	}
	if calls := e.count(); calls != 0 {
		t.Errorf("%d calls came through", calls)
	}
	again := command(t, "run", path, "--upstream", front.URL+"/v1")
	if code := again.code(t, endWithin); code != 0 {
		t.Errorf("with the right URL the run ended with %d:\n%s", code, again.text())
	}
}

// TestB08: nobody listens, the name is not known, or the port does not speak TLS: each is told where one looks for it.
func TestB08(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + silent.Addr().String() + "/v1"
	_ = silent.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	for detail, c := range map[string]struct{ url, words, remedy string }{
		"refused": {nobody, "connection refused", "Check that it is running"},
		"dns":     {"http://no-such-host.invalid/v1", "its name is not known", "Check the host name"},
		"tls":     {strings.Replace(plain.URL, "http:", "https:", 1) + "/v1", "TLS failed", "https://"},
	} {
		t.Run(detail, func(t *testing.T) {
			t.Parallel()
			in := input{lines: 20}
			n := newNode(t, nil, 8)
			n.upstream = c.url
			n.start()
			n.tells("unreachable", detail)
			id := n.run(in, "24h")
			until(t, tellWithin, "the batch tells what it waits for", func() bool {
				waits, b := n.waitsFor(id)
				return len(waits) == 1 && waits[0].Reason == "unreachable" && waits[0].Detail == detail && waits[0].Lines == in.lines &&
					b.RequestCounts == (counts{Total: in.lines})
			})
			metrics := n.get("/metrics")
			if !hasAll(metrics, `batchd_upstream_reason{model="m",reason="unreachable"`, `batchd_upstream_calls_total{result="no_room",upstream="`+strings.SplitN(c.url, "//", 2)[1]+`"} 0`) ||
				strings.Contains(metrics, `result="unreachable",upstream="`+strings.SplitN(c.url, "//", 2)[1]+`"} 0`) {
				t.Errorf("metrics:\n%s", metrics)
			}
			run := command(t, "run", writeInput(t, in), "--upstream", c.url)
			if code := run.code(t, refuseWithin); code != 1 || !hasAll(run.text(), c.words, c.remedy, "Nothing was recorded") {
				t.Errorf("a run ended with %d:\n%s", code, run.text())
			}
		})
	}
}

// TestB05: the disk is nearly full for some seconds while a batch runs. That is told, the server is ready all the same,
// and the batch goes on by itself within five seconds of there being room.
func TestB05(t *testing.T) {
	t.Parallel()
	in := input{lines: 8000}
	n, disk := smallDisk(t, steady(5*time.Millisecond), "100m")
	n.start()
	id := n.run(in, "24h")
	until(t, startWithin, "it is under way", func() bool { _, b := n.waitsFor(id); return b.RequestCounts.Completed > 0 })
	// Where there is little room in all, a twentieth of it is the line.
	filler := filepath.Join(disk, "filler")
	fill(t, disk, filler, 3<<20)
	until(t, endWithin, "the batch waits for the disk", func() bool {
		waits, b := n.waitsFor(id)
		if b.terminal() {
			t.Fatal("it ended before the disk was noticed")
		}
		return len(waits) > 0 && waits[0].Reason == "disk" && waits[0].Lines > 0 // the lines kept back are another wait
	})
	if got := n.get("/readyz"); !hasAll(got, `"ok"`, "disk nearly full") {
		t.Errorf("readyz while results still land: %s", got)
	}
	fill(t, disk, filler+"2", 0)
	until(t, tellWithin, "the server is not ready", func() bool {
		var refused *refusal
		_, err := n.do(http.MethodGet, "/readyz", "", nil)
		return errors.As(err, &refused) && refused.status == http.StatusServiceUnavailable && strings.Contains(refused.body, "the disk takes nothing")
	})
	_, before := n.waitsFor(id)
	if err := errors.Join(os.Remove(filler), os.Remove(filler+"2")); err != nil {
		t.Fatal(err)
	}
	until(t, 5*time.Second, "it goes on", func() bool {
		_, b := n.waitsFor(id)
		return b.RequestCounts.Completed > before.RequestCounts.Completed
	})
	if a, err := n.finished(id, in); err != nil || len(a.errors) > 0 {
		t.Errorf("%v, error file %q", err, a.errors)
	}
	if got := n.get("/readyz"); got != `{"status":"ok"}` {
		t.Errorf("readyz afterwards: %s", got)
	}
}

// smallDisk returns a node whose data directory is on a disk of its own of this size, and where that is mounted. It skips the
// test where none can be mounted.
func smallDisk(t *testing.T, script func(line string, try int) reply, size string) (*node, string) {
	t.Helper()
	disk := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", disk).CombinedOutput(); err != nil {
		t.Skipf("a small disk cannot be mounted: %v: %s", err, out)
	}
	n := newNode(t, newEngine(t, script), 8)
	t.Cleanup(func() { // before the node's own, which would find its directory in use
		if p := n.running(); p != nil {
			_ = p.cmd.Process.Kill()
			<-p.exited
		}
		if out, err := exec.Command("umount", disk).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	n.dir = filepath.Join(disk, "data")
	return n, disk
}

// fill takes the room of a disk but for so many bytes.
func fill(t *testing.T, disk, path string, leave int64) {
	t.Helper()
	free, _, err := vfs.Free(disk)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // its content does not matter
	zeros := make([]byte, 64<<10)
	for left := int64(free) - leave; left > 0; left -= int64(len(zeros)) {
		if _, err := f.Write(zeros[:min(left, int64(len(zeros)))]); err != nil {
			if leave == 0 {
				return // it is full
			}
			t.Fatal(err)
		}
	}
}
