//go:build !failpoint

package promise

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"batchd/test/harness"
)

// checked is what `batchd check --json` prints.
type checked struct {
	Object   string `json:"object"`
	Findings []struct {
		State   string `json:"state"`
		Kind    string `json:"kind"`
		File    string `json:"file"`
		BatchID string `json:"batch_id"`
		FileID  string `json:"file_id"`
		Problem string `json:"problem"`
		Remedy  string `json:"remedy"`
	} `json:"findings"`
	Summary struct {
		Server       bool  `json:"server_running"`
		Files        int64 `json:"files"`
		Batches      int64 `json:"batches"`
		Lost         int64 `json:"lost"`
		Unreferenced int64 `json:"unreferenced"`
	} `json:"summary"`
}

// runCommand runs a batchd command to its end.
func runCommand(t testing.TB, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, problems bytes.Buffer
	c := exec.CommandContext(t.Context(), harness.Binary(t), args...)
	c.Stdout, c.Stderr = &out, &problems
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("batchd %v: %v", args, err)
	}
	return c.ProcessState.ExitCode(), out.String(), problems.String()
}

// check runs `batchd check` on a directory.
func check(t testing.TB, dir string) (code int, c checked) {
	t.Helper()
	code, out, problems := runCommand(t, "check", dir, "--json")
	if err := json.Unmarshal([]byte(out), &c); err != nil || problems != "" {
		t.Fatalf("batchd check %s ends with %d: %v\n%s\n%s", dir, code, err, out, problems)
	}
	return code, c
}

// sound checks that nothing is lost in the node's directory, and that the look changes nothing if no server runs.
func (n *node) sound(when string) {
	n.t.Helper()
	before := stamps(n.t, n.dir)
	code, c := check(n.t, n.dir)
	if code != 0 || c.Summary.Lost != 0 {
		n.t.Errorf("%s: code %d, %+v", when, code, c.Findings)
	}
	if c.Summary.Server != (n.running() != nil) {
		n.t.Errorf("%s: it is told that a server runs: %t", when, c.Summary.Server)
	}
	if n.running() == nil {
		compareStamps(n.t, when, before, stamps(n.t, n.dir))
	}
}

// stamps are the bytes and times of all that is in a directory.
func stamps(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		text := info.ModTime().Format(time.RFC3339Nano)
		if e.Type().IsRegular() {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += string(content)
		}
		found[path] = text
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return found
}

func compareStamps(t testing.TB, when string, before, after map[string]string) {
	t.Helper()
	for path := range after {
		if before[path] != after[path] {
			t.Errorf("%s: %s has changed", when, path)
		}
	}
	for path := range before {
		if _, ok := after[path]; !ok {
			t.Errorf("%s: %s is gone", when, path)
		}
	}
}

// TestCheckOfASoundDirectory looks at a directory in every state, beside the server and without it.
func TestCheckOfASoundDirectory(t *testing.T) {
	t.Parallel()
	in := input{lines: 2500, bad: func(n int) bool { return n%50 == 0 }}
	n := newNode(t, newEngine(t, steady(10*time.Millisecond)), 32)
	n.start()
	n.sound("empty, running")
	n.stop()
	n.sound("empty, stopped")
	n.start()
	s := n.watch(n.run(in, "24h"))
	for results := range 5 {
		s.awaitResults(t, 200+400*results)
		n.sound("while a batch runs")
	}
	n.kill()
	n.sound("after kill -9")
	n.start()
	n.sound("after the start")
	s.await(t, endWithin)
	_ = s.finish()
	n.sound("after its end")
	n.cancelled(in)
	n.sound("after a cancelled one")
	j := s.last()
	for _, id := range []string{j.InputFileID, *j.OutputFileID} {
		if _, err := n.do(http.MethodDelete, "/v1/files/"+id, "", nil); err != nil {
			t.Error(err)
		}
	}
	n.sound("after files were deleted")
	n.kill()
	n.sound("after another kill")
	n.start()
	n.stop()
	n.sound("stopped")
}

// cancelled runs a batch and cancels it.
func (n *node) cancelled(in input) {
	n.t.Helper()
	s := n.watch(n.run(in, "24h"))
	s.awaitResults(n.t, 100)
	if _, err := n.cancel(s.id); err != nil {
		n.t.Error(err)
	}
	s.await(n.t, endWithin)
	_ = s.finish()
}

// TestCheckFindsWhatIsLost damages one thing after the other in copies of a directory.
func TestCheckFindsWhatIsLost(t *testing.T) {
	t.Parallel()
	in := input{lines: 1500, bad: func(n int) bool { return n == 7 }}
	n := newNode(t, newEngine(t, steady(10*time.Millisecond)), 32, "BATCHD_ALLOW_MIXED_MODELS=true")
	n.start()
	done, err := n.finished(n.run(in, "24h"), in)
	if err != nil {
		t.Fatal(err)
	}
	// A unit has one model, so that there are many, of which some are sealed early.
	long := input{lines: 3000, model: func(n int) string { return fmt.Sprintf("m%d", n/100) }}
	s := n.watch(n.run(long, "24h"))
	until(t, endWithin, "units are sealed, and others have journals", func() bool {
		return len(n.files("blobs/objects/segments/*/"+s.id+"-*")) > 3 && len(n.files("journals/*.journal")) > 0
	})
	n.kill()
	_ = s.finish()
	type want struct {
		state, kind string
		batch       bool
		code        int
	}
	for name, c := range map[string]struct {
		damage func(t *testing.T, n *node)
		want   want
	}{
		"a segment of an ended batch": {func(_ *testing.T, n *node) { n.flipOne("blobs/objects/segments/*/" + done.job.ID + "-0-*") }, want{"lost", "segment", true, 1}},
		"a segment of an ended batch that is gone": {func(_ *testing.T, n *node) {
			n.remove("blobs/objects/segments/*/" + done.job.ID + "-1-*")
		}, want{"lost", "segment", true, 1}},
		"a segment of a running batch":   {func(_ *testing.T, n *node) { n.flipAll("blobs/objects/segments/*/" + s.id + "-*") }, want{"lost", "segment", true, 1}},
		"an input":                       {func(_ *testing.T, n *node) { n.flip("blobs/objects/files", 0.5) }, want{"lost", "upload", false, 1}},
		"the plan of a running batch":    {func(_ *testing.T, n *node) { n.flipOne("blobs/objects/plans/*/" + s.id + "-*") }, want{"noted", "plan", true, 0}},
		"a journal":                      {func(_ *testing.T, n *node) { n.flip("journals", 0.5) }, want{"lost", "journal", true, 1}},
		"a journal's header":             {func(_ *testing.T, n *node) { n.flip("journals", 0) }, want{"lost", "journal", false, 1}},
		"a page of the database":         {func(_ *testing.T, n *node) { n.flipPage() }, want{"lost", "database", false, 1}},
		"a bit of the database":          {func(_ *testing.T, n *node) { n.flipFile("batchd.db", 0.999) }, want{"lost", "database", false, 1}},
		"the database":                   {func(_ *testing.T, n *node) { n.remove("batchd.db"); n.remove("batchd.db-wal") }, want{"lost", "database", false, 1}},
		"the write-ahead log":            {func(_ *testing.T, n *node) { n.loseLog() }, want{"lost", "sequence", false, 1}},
		"the sequence file":              {func(_ *testing.T, n *node) { n.remove("batchd.seq") }, want{"noted", "sequence", false, 0}},
		"a bit of the sequence file":     {func(_ *testing.T, n *node) { n.flipFile("batchd.seq", 0.5) }, want{"noted", "sequence", false, 0}},
		"an object that nobody knows of": {func(t *testing.T, n *node) { n.place("blobs/objects/files/0123456789abcdef0123456789abcdef@") }, want{"unreferenced", "upload", false, 0}},
		"a plan of a batch without a row": {func(t *testing.T, n *node) {
			n.place("blobs/objects/plans/2/batch_x-0123456789abcdef0123456789abcdef@") // 2 is where one of that id lies
		}, want{"lost", "plan", true, 1}},
		"what was set aside": {func(_ *testing.T, n *node) { n.place("lost/x") }, want{"noted", "lost", false, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			damaged := &node{t: t, dir: t.TempDir()}
			if err := os.CopyFS(damaged.dir, os.DirFS(n.dir)); err != nil {
				t.Fatal(err)
			}
			c.damage(t, damaged)
			before := stamps(t, damaged.dir)
			code, got := check(t, damaged.dir)
			compareStamps(t, "checked", before, stamps(t, damaged.dir))
			matches := 0
			for _, f := range got.Findings {
				if f.State == c.want.state && f.Kind == c.want.kind && (f.BatchID != "") == c.want.batch && f.Problem != "" && f.Remedy != "" {
					matches++
				}
			}
			if code != c.want.code || matches == 0 {
				t.Errorf("code %d, want %d and one of %+v: %+v", code, c.want.code, c.want, got.Findings)
			}
		})
	}
}

// flipOne changes one bit in the middle of the first file that matches a pattern.
func (n *node) flipOne(pattern string) {
	n.t.Helper()
	found := n.files(pattern)
	if len(found) == 0 {
		n.t.Fatalf("nothing matches %s", pattern)
	}
	name, err := filepath.Rel(n.dir, found[0])
	if err != nil {
		n.t.Fatal(err)
	}
	n.flipFile(name, 0.5)
}

// flipAll changes one bit in the middle of each file that matches a pattern.
func (n *node) flipAll(pattern string) {
	n.t.Helper()
	for _, path := range n.files(pattern) {
		name, err := filepath.Rel(n.dir, path)
		if err != nil {
			n.t.Fatal(err)
		}
		n.flipFile(name, 0.5)
	}
}

// remove removes the first file that matches a pattern.
func (n *node) remove(pattern string) {
	n.t.Helper()
	found := n.files(pattern)
	if len(found) == 0 {
		n.t.Fatalf("nothing matches %s", pattern)
	}
	if err := os.Remove(found[0]); err != nil {
		n.t.Fatal(err)
	}
}

// place makes a file.
func (n *node) place(name string) {
	n.t.Helper()
	path := filepath.Join(n.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("x"), 0o600)); err != nil {
		n.t.Fatal(err)
	}
}

// flipPage damages the second page of the database and takes its log away, which might hold it too.
func (n *node) flipPage() {
	n.t.Helper()
	n.loseLog()
	path := filepath.Join(n.dir, "batchd.db")
	content, err := os.ReadFile(path)
	if err == nil {
		copy(content[4096:], bytes.Repeat([]byte{0xff}, 64))
		err = os.WriteFile(path, content, 0o600)
	}
	if err != nil {
		n.t.Fatal(err)
	}
}

// TestCheckFindsAChangedRow changes a bit that SQLite does not notice.
func TestCheckFindsAChangedRow(t *testing.T) {
	t.Parallel()
	n := newNode(t, newEngine(t, steady(0)), 1)
	n.start()
	if _, err := n.upload("input.jsonl", input{lines: 3}.write); err != nil {
		t.Fatal(err)
	}
	n.stop()
	n.flipRow()
	if err := n.tryStart(); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("the start says %v", err)
	}
	before := stamps(t, n.dir)
	code, c := check(t, n.dir)
	compareStamps(t, "checked", before, stamps(t, n.dir))
	if code != 1 || c.Summary.Lost != 1 || c.Findings[0].Kind != "database" || !strings.Contains(c.Findings[0].Problem, "checksum") {
		t.Errorf("check ends with %d: %+v", code, c.Findings)
	}
}

// flipRow changes a bit of the name that a row gives a file: to SQLite it is another name.
func (n *node) flipRow() {
	n.t.Helper()
	path := filepath.Join(n.dir, "batchd.db")
	content, err := os.ReadFile(path)
	at := bytes.Index(content, []byte("input.jsonl"))
	if err != nil || at < 0 {
		n.t.Fatalf("the database holds no name: %v", err)
	}
	content[at] ^= 1
	if err := os.WriteFile(path, content, 0o600); err != nil {
		n.t.Fatal(err)
	}
}

// TestCheckSaysWhatIsWrongWithItsArguments tries directories that are none.
func TestCheckSaysWhatIsWrongWithItsArguments(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"check"}, {"check", filepath.Join(t.TempDir(), "absent")}, {"check", t.TempDir()}} {
		code, out, problems := runCommand(t, args...)
		if code != 2 || out != "" || !strings.Contains(problems, "usage: batchd check <dir>") {
			t.Errorf("%v: code %d, %q, %q", args, code, out, problems)
		}
	}
	if entries, err := os.ReadDir(t.TempDir()); err != nil || len(entries) > 0 {
		t.Error(fmt.Errorf("left behind %v: %w", entries, err))
	}
}
