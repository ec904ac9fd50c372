// Package formats opens data that earlier versions of batchd wrote, as scripts/old-formats packed it into
// testdata/formats, with the binary of today: what was finished must read byte for byte as it did, and what was under
// way must go on where it was, without sending again what had its result. It also holds the metrics against their page.
// It sees batchd from outside only.
package formats_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // moves the ends of windows in the data of the past

	"batchd/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// unreleased is the directory of data in the database's first form, which was never released.
const unreleased = "unreleased"

// versions lists what is packed: a directory for each version that wrote data in a form of its own.
func versions(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(harness.Root(t), "testdata", "formats"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		if entry.IsDir() && entry.Name() != unreleased {
			names = append(names, entry.Name())
		}
	}
	if len(names) == 0 {
		t.Fatal("there is no data of any earlier version")
	}
	return names
}

// each runs a test for the data of each version, at the same time.
func each(t *testing.T, test func(t *testing.T, p packed)) {
	t.Parallel()
	for _, version := range versions(t) {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			test(t, newPacked(t, version))
		})
	}
}

func TestServerGoesOnWithDataOfEarlierVersions(t *testing.T) {
	each(t, func(t *testing.T, p packed) {
		data := p.unpack("server")
		moveEnd(t, data, p.fact("open"), time.Now().Add(time.Hour))
		up := newUpstream(t)
		s := &server{t: t, key: p.fact("key"), base: harness.ServeDir(t, data, "--upstream", up.URL+"/v1")}

		for _, name := range []string{"kept", "parts"} {
			p.same(name+".jsonl", s.content(p.fact(name)))
		}
		done := s.batch(p.fact("done"))
		if done.Status != "completed" || done.Counts != (counts{Total: 13, Completed: 12, Failed: 1}) {
			t.Errorf("the finished batch has become %+v", done)
		}
		p.same("done.output.jsonl", s.content(done.Output))
		p.same("done.error.jsonl", s.content(done.Errors))

		open := s.await(p.fact("open"), "completed")
		total, completed := p.number("open_total"), p.number("open_completed")
		if open.Counts != (counts{Total: total, Completed: total}) || open.Errors != "" {
			t.Errorf("the batch that was under way has become %+v", open)
		}
		lines := resultLines(t, s.content(open.Output))
		checkOrder(t, lines, "open", total)
		if fresh := answeredBy(lines); fresh != total-completed {
			t.Errorf("%d lines have answers of today, want the %d that had none", fresh, total-completed)
		}
		if calls := up.asked(); len(calls) != total-completed || strings.Count(strings.Join(calls, "\n"), "held") != len(calls) {
			t.Errorf("sent %q, want only what was in flight at the end of the old process", calls)
		}

		// What is made today stands beside it.
		again := s.await(s.create(p.fact("kept")), "completed")
		checkOrder(t, resultLines(t, s.content(again.Output)), "kept", 5)
	})
}

func TestWebhooksOfEarlierVersionsAreKept(t *testing.T) {
	each(t, func(t *testing.T, p packed) {
		data := p.unpack("server")
		if hooks := harness.Run(t, "webhooks", "list", "--data-dir", data, "--json"); !strings.Contains(hooks, p.fact("webhook")) {
			t.Errorf("webhook %s is not listed:\n%s", p.fact("webhook"), hooks)
		}
		if due := harness.Run(t, "webhooks", "deliveries", "--data-dir", data, "--json"); !strings.Contains(due, p.fact("done")) {
			t.Errorf("no delivery tells of batch %s:\n%s", p.fact("done"), due)
		}
	})
}

func TestABatchOfAnEarlierVersionWhoseWindowIsOverExpires(t *testing.T) {
	each(t, func(t *testing.T, p packed) {
		data := p.unpack("server")
		moveEnd(t, data, p.fact("open"), time.Now().Add(-time.Hour))
		up := newUpstream(t)
		s := &server{t: t, key: p.fact("key"), base: harness.ServeDir(t, data, "--upstream", up.URL+"/v1")}

		expired := s.await(p.fact("open"), "expired")
		total, completed := p.number("open_total"), p.number("open_completed")
		kept, rest := resultLines(t, s.content(expired.Output)), resultLines(t, s.content(expired.Errors))
		if len(kept) != completed || len(rest) != total-completed {
			t.Errorf("got %d results and %d errors, want %d and %d", len(kept), len(rest), completed, total-completed)
		}
		for _, line := range rest {
			if !strings.Contains(line.text, `"batch_expired"`) {
				t.Errorf("a line without a result ends as %s", line.text)
			}
		}
		if calls := up.asked(); len(calls) > 0 {
			t.Errorf("sent %q after the end of the window", calls)
		}
	})
}

func TestFinishedRunOfAnEarlierVersionIsDone(t *testing.T) {
	each(t, func(t *testing.T, p packed) {
		dir := p.unpack("finished")
		before := p.read(filepath.Join(dir, "in.output.jsonl"))
		up := newUpstream(t)
		harness.Run(t, "run", filepath.Join(dir, "in.jsonl"), "--upstream", up.URL+"/v1")
		if after := p.read(filepath.Join(dir, "in.output.jsonl")); !bytes.Equal(before, after) {
			t.Errorf("the results have changed:\n%s\nto\n%s", before, after)
		}
		if calls := up.asked(); len(calls) > 0 {
			t.Errorf("sent %q, though all was done", calls)
		}
	})
}

func TestBrokenRunOfAnEarlierVersionGoesOn(t *testing.T) {
	each(t, func(t *testing.T, p packed) {
		dir := p.unpack("broken")
		up := newUpstream(t)
		harness.Run(t, "run", filepath.Join(dir, "in.jsonl"), "--upstream", up.URL+"/v1")
		total, completed := p.number("broken_total"), p.number("broken_completed")
		lines := resultLines(t, p.read(filepath.Join(dir, "in.output.jsonl")))
		checkOrder(t, lines, "run", total)
		if calls := up.asked(); len(calls) != total-completed || answeredBy(lines) != total-completed {
			t.Errorf("sent %q, want the %d lines without a result", calls, total-completed)
		}
	})
}

func TestDataFromBeforeTheFirstReleaseIsRefusedInWords(t *testing.T) {
	t.Parallel()
	p := packed{t: t, dir: filepath.Join(harness.Root(t), "testdata", "formats", unreleased)}
	for name, arguments := range map[string][]string{
		"serve": {"serve", "--listen", "127.0.0.1:0", "--upstream", "sim"},
		"keys":  {"keys", "list"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := p.unpack("server")
			refused := exec.CommandContext(t.Context(), harness.Binary(t), append(arguments, "--data-dir", data)...)
			output, err := refused.CombinedOutput()
			if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
				t.Errorf("ended with %v, want exit code 1", err)
			}
			for _, words := range []string{"batchd.db was written before batchd 0.1.0", "start with another data directory"} {
				if !strings.Contains(string(output), words) {
					t.Errorf("said %q, want something with %q", output, words)
				}
			}
		})
	}
}

// moveEnd gives a batch another end of its window: the data was made on some day, and the test runs on another.
func moveEnd(t *testing.T, data, batch string, end time.Time) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(data, "batchd.db"))
	if err != nil {
		t.Fatal(err)
	}
	changed, err := db.Exec(`UPDATE batches SET expires_at = ? WHERE id = ?`, end.UnixNano(), batch)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := changed.RowsAffected(); n != 1 || err != nil {
		t.Fatalf("moved the end of %d batches, %v", n, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// resultLine is one line of a result file.
type resultLine struct{ id, text string }

func resultLines(t *testing.T, file []byte) []resultLine {
	t.Helper()
	var lines []resultLine
	for text := range strings.Lines(string(file)) {
		var parsed struct {
			CustomID string `json:"custom_id"`
		}
		if err := json.Unmarshal([]byte(text), &parsed); err != nil {
			t.Fatalf("a result line is %q: %v", text, err)
		}
		lines = append(lines, resultLine{parsed.CustomID, text})
	}
	return lines
}

// checkOrder fails unless the lines are prefix-1, prefix-2 and so on to total.
func checkOrder(t *testing.T, lines []resultLine, prefix string, total int) {
	t.Helper()
	if len(lines) != total {
		t.Errorf("got %d lines, want %d", len(lines), total)
	}
	for i, line := range lines {
		if want := fmt.Sprintf("%s-%d", prefix, i+1); line.id != want {
			t.Errorf("line %d is of %s, want %s", i+1, line.id, want)
		}
	}
}
