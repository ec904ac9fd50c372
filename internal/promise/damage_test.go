//go:build !failpoint

package promise

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"batchd/test/harness"
)

// TestD12 changes one byte of what the server has stored, while it is down, and watches what it makes of it.
func TestD12(t *testing.T) {
	t.Parallel()
	// Blocks are 1 MiB: the input has several, so that damage in one leaves lines in others.
	wide := input{lines: 3000, padding: strings.Repeat("x", 1000)}

	t.Run("an upload, before its batch", func(t *testing.T) {
		t.Parallel()
		n := newNode(t, newEngine(t, steady(0)), 8)
		n.start()
		uploaded, err := n.upload("input.jsonl", wide.write)
		if err != nil {
			t.Fatal(err)
		}
		n.stop()
		n.flip("blobs/objects/files", 0.5)
		n.start()
		n.refusesContent(uploaded.ID, []byte(wide.text()))
		created, err := n.create(uploaded.ID, "24h")
		if err != nil {
			t.Fatal(err)
		}
		j := n.watch(created.ID).await(t, endWithin)
		if j.Status != "failed" || j.Errors == nil || len(j.Errors.Data) != 1 || j.Errors.Data[0].Code != "input_unreadable" {
			t.Errorf("got %s with %+v", j.Status, j.Errors)
		}
		if calls := n.engine.count(); calls != 0 {
			t.Errorf("%d calls were made from a damaged file", calls)
		}
	})
	t.Run("an upload, while its batch runs", func(t *testing.T) {
		t.Parallel()
		a := halfDamaged(t, wide, "blobs/objects/files", 0.95)
		if a.codes["input_unreadable"] == 0 || a.codes["input_unreadable"] == wide.lines {
			t.Errorf("got %v, want input_unreadable for the lines of one block", a.codes)
		}
	})
	t.Run("F07 a journal", damagedJournal)
	for name, share := range map[string]float64{"F08 a segment, at its start": 0.001, "F08 a segment, further on": 0.9} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := input{lines: 1000, bad: func(n int) bool { return n == 7 }}
			n := newNode(t, newEngine(t, steady(0)), 8)
			n.start()
			a, err := n.finished(n.run(in, "24h"), in)
			if err != nil {
				t.Fatal(err)
			}
			n.stop()
			n.flip("blobs/objects/segments", share)
			n.start()
			n.refusesContent(*a.job.OutputFileID, a.output)
			j, err := n.batch(a.job.ID)
			if err != nil || j.Status != "completed" {
				t.Errorf("got %s, %v", j.Status, err)
			}
		})
	}
	t.Run("a manifest", damagedManifest)
	t.Run("a plan", damagedPlan)
}

// halfDamaged runs a batch half-way, stops the server, changes a byte of a stored file, and lets the batch end.
func halfDamaged(t *testing.T, in input, dir string, share float64) audited {
	t.Helper()
	n := newNode(t, newEngine(t, steady(20*time.Millisecond)), 32)
	n.start()
	s := n.watch(n.run(in, "24h"))
	s.awaitResults(t, 200)
	n.stop()
	n.flip(dir, share)
	n.start()
	s.await(t, endWithin)
	if err := s.finish(); err != nil {
		t.Error(err)
	}
	a, err := n.audit(s.id, in)
	if err != nil {
		t.Error(err)
	}
	return a
}

// flip changes one bit at that share of the length of the only file below a directory; of the largest, if there are more.
func (n *node) flip(dir string, share float64) {
	n.t.Helper()
	var largest string
	var size int64
	err := filepath.Walk(filepath.Join(n.dir, dir), func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() && info.Size() >= size {
			largest, size = path, info.Size()
		}
		return err
	})
	if err != nil || size == 0 {
		n.t.Fatalf("nothing to damage in %s: %v", dir, err)
	}
	content, err := os.ReadFile(largest)
	if err != nil {
		n.t.Fatal(err)
	}
	content[int(float64(len(content)-1)*share)] ^= 0x04
	if err := os.WriteFile(largest, content, 0o600); err != nil {
		n.t.Fatal(err)
	}
}

// refusesContent checks that a damaged file is an error or an answer cut short, and that what is sent is right.
func (n *node) refusesContent(id string, want []byte) {
	n.t.Helper()
	got, err := n.content(id)
	if err == nil {
		n.t.Errorf("a damaged file came with a complete 200, %d bytes", len(got))
	}
	if status := statusOf(err); status != 0 {
		if status != http.StatusInternalServerError {
			n.t.Errorf("got status %d, want 500", status)
		}
		return
	}
	if len(got) == len(want) || !bytes.HasPrefix(want, got) {
		n.t.Errorf("sent %d bytes that are not the start of the file, then %v", len(got), err)
	}
}

// TestDataDirectory opens data directories that must not be opened.
func TestDataDirectory(t *testing.T) {
	t.Parallel()
	const name = "batchd.db"
	for what, damage := range map[string]func(t *testing.T, path string, content []byte) error{
		"F14 cut in half":    func(t *testing.T, path string, c []byte) error { return os.WriteFile(path, c[:len(c)/2], 0o600) },
		"F14 cut to nothing": func(t *testing.T, path string, c []byte) error { return os.WriteFile(path, nil, 0o600) },
		"F14 garbage": func(t *testing.T, path string, c []byte) error {
			return os.WriteFile(path, bytes.Repeat([]byte("x"), len(c)), 0o600)
		},
		"F14 gone":               func(t *testing.T, path string, c []byte) error { return os.Remove(path) },
		"F14 one byte, header":   func(t *testing.T, path string, c []byte) error { c[3] ^= 4; return os.WriteFile(path, c, 0o600) },
		"F14 one byte, a page":   func(t *testing.T, path string, c []byte) error { c[4096] ^= 4; return os.WriteFile(path, c, 0o600) },
		"F14 of another program": func(t *testing.T, path string, c []byte) error { c[70] ^= 4; return os.WriteFile(path, c, 0o600) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			in := input{lines: 3}
			n := newNode(t, newEngine(t, steady(0)), 1)
			n.start()
			if _, err := n.finished(n.run(in, "24h"), in); err != nil {
				t.Fatal(err)
			}
			n.stop()
			path := filepath.Join(n.dir, name)
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := damage(t, path, content); err != nil {
				t.Fatal(err)
			}
			damaged, _ := os.ReadFile(path) // absent in one case
			err = n.tryStart()
			if err == nil {
				t.Fatal("the server started")
			}
			if !strings.Contains(err.Error(), "store file "+path) {
				t.Errorf("the refusal does not name the file: %v", err)
			}
			if now, _ := os.ReadFile(path); !bytes.Equal(now, damaged) {
				t.Error("the file was changed")
			}
		})
	}
	t.Run("F15 used by two processes", func(t *testing.T) {
		t.Parallel()
		n := newNode(t, newEngine(t, steady(0)), 1)
		n.start()
		began := time.Now()
		p, err := launch(harness.Binary(t), []string{"serve", "--listen", "127.0.0.1:0", "--no-auth", "--data-dir", n.dir, "--upstream", "sim"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-p.exited:
		case <-time.After(endWithin):
			_ = p.cmd.Process.Kill()
			t.Fatal("the second process runs")
		}
		said := p.text()
		if p.end() == nil || !strings.Contains(said, fmt.Sprintf("pid %d", n.running().cmd.Process.Pid)) || !strings.Contains(said, n.dir) {
			t.Errorf("it ended with %v and said %q, want who holds which directory", p.end(), said)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("it took %s to refuse", took)
		}
		if _, err := n.batches(); err != nil {
			t.Errorf("the first process: %v", err)
		}
	})
}

// damagedJournal loses one outcome of a journal, which is run again.
func damagedJournal(t *testing.T) {
	t.Parallel()
	in := input{lines: 900}
	n := newNode(t, newEngine(t, steady(20*time.Millisecond)), 8)
	n.start()
	s := n.watch(n.run(in, "24h"))
	s.awaitResults(t, 200)
	n.kill()
	n.flip("journals", 0.5)
	n.start()
	s.await(t, endWithin)
	_ = s.finish() // a count may go back by what the damage took
	if _, err := n.audit(s.id, in); err != nil {
		t.Error(err)
	}
	if again := n.engine.count() - in.lines; again < 1 || again > 8+2 {
		t.Errorf("%d lines were called again, want those in flight and the damaged one", again)
	}
	if !strings.Contains(n.proc.text(), "damaged") || len(n.files("journals/*")) == 0 {
		t.Errorf("the damage was not told, or no copy was kept: %v", n.files("journals/*"))
	}
}

// damagedManifest damages the list of extents of an output file.
func damagedManifest(t *testing.T) {
	t.Parallel()
	// A unit has one model, so this output file has a thousand extents, too many for the file's row.
	in := input{lines: 1000, model: func(n int) string { return fmt.Sprintf("model-%04d", n) }}
	n := newNode(t, newEngine(t, steady(0)), 32, "BATCHD_ALLOW_MIXED_MODELS=true")
	n.start()
	a, err := n.finished(n.run(in, "24h"), in)
	if err != nil {
		t.Fatal(err)
	}
	n.stop()
	n.flip("blobs/objects/manifests", 0.5)
	n.start()
	n.refusesContent(*a.job.OutputFileID, a.output)
}

// damagedPlan damages the plan of a batch that runs. It is made anew from the input, and nothing is sent that the input
// does not hold.
func damagedPlan(t *testing.T) {
	t.Parallel()
	in := input{lines: 3000}
	n := newNode(t, newEngine(t, steady(5*time.Millisecond)), 8)
	n.start()
	s := n.watch(n.run(in, "24h"))
	s.awaitResults(t, 100)
	n.kill()
	n.flip("blobs/objects/plans", 0.9)
	n.start()
	s.await(t, endWithin)
	if s.last().Status != "completed" {
		t.Errorf("got %s", s.last().Status)
	}
	n.settled(s, in, 8)
}
