//go:build !failpoint

package promise

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestUnreadable has a directory stand in the place of stored bytes that a batch needs, as a person who mends things by hand
// may leave it. A mode without permission would not do: tests may run as root. D14: the batch waits and says for what, and
// goes on by itself.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	t.Run("an input, before it is validated", func(t *testing.T) {
		t.Parallel()
		n := newNode(t, newEngine(t, steady(0)), 8)
		n.start()
		in := input{lines: 100}
		uploaded, err := n.upload("input.jsonl", in.write)
		if err != nil {
			t.Fatal(err)
		}
		putBack := n.hide("blobs/objects/files")
		created, err := n.create(uploaded.ID, "24h")
		if err != nil {
			t.Fatal(err)
		}
		n.waitsUnread(created.ID, "validating")
		other := input{lines: 10}
		if _, err := n.finished(n.run(other, "24h"), other); err != nil {
			t.Errorf("another batch: %v", err)
		}
		putBack()
		if _, err := n.finished(created.ID, in); err != nil {
			t.Error(err)
		}
		n.saidOnce()
	})
	t.Run("an input, while its batch runs", func(t *testing.T) {
		t.Parallel()
		// Blocks are 1 MiB, and some are kept in memory: the input must have more.
		in := input{lines: 4000, padding: strings.Repeat("x", 10_000)}
		// Each call takes so long that the batch is far from its end when the file goes, on a busy machine too.
		n := newNode(t, newEngine(t, steady(50*time.Millisecond)), 32)
		n.start()
		s := n.watch(n.run(in, "24h"))
		s.awaitResults(t, 100)
		putBack := n.hide("blobs/objects/files")
		n.waitsUnread(s.id, "in_progress")
		putBack()
		if _, err := n.finished(s.id, in); err != nil {
			t.Error(err)
		}
		n.saidOnce()
	})
	t.Run("a plan, after a restart", func(t *testing.T) {
		t.Parallel()
		in := input{lines: 5000}
		n := newNode(t, newEngine(t, steady(30*time.Millisecond)), 32)
		n.start()
		s := n.watch(n.run(in, "24h"))
		s.awaitResults(t, 100)
		n.stop()
		putBack := n.hide("blobs/objects/plans")
		n.start()
		n.waitsUnread(s.id, "in_progress")
		putBack()
		if _, err := n.finished(s.id, in); err != nil {
			t.Error(err)
		}
		n.saidOnce()
	})
	t.Run("a segment, while files are made", func(t *testing.T) {
		t.Parallel()
		// Lines of two models in turn: segments are merged, so they are read again.
		in := input{lines: 200, model: func(n int) string { return string("ab"[n%2]) }}
		n := newNode(t, newEngine(t, func(line string, _ int) reply {
			if in.number(line) == 1 {
				return reply{after: 8 * time.Second} // the last of all to come
			}
			return reply{}
		}), 8, "BATCHD_ALLOW_MIXED_MODELS=true")
		n.start()
		s := n.watch(n.run(in, "24h"))
		s.awaitResults(t, 150)
		until(t, endWithin, "the first unit is sealed", func() bool { return len(n.files("blobs/objects/segments/*/*")) > 0 })
		putBack := n.hide("blobs/objects/segments")
		n.waitsUnread(s.id, "finalizing")
		putBack()
		if _, err := n.finished(s.id, in); err != nil {
			t.Error(err)
		}
		n.saidOnce()
	})
}

// hide puts a directory in the place of the largest file below a directory, and returns what puts the file back.
func (n *node) hide(dir string) (putBack func()) {
	n.t.Helper()
	var largest string
	var size int64
	err := filepath.Walk(filepath.Join(n.dir, dir), func(path string, info fs.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() && info.Size() >= size {
			largest, size = path, info.Size()
		}
		return err
	})
	aside := filepath.Join(n.t.TempDir(), "aside")
	if err = errors.Join(err, os.Rename(largest, aside), os.Mkdir(largest, 0o700)); err != nil {
		n.t.Fatal(err)
	}
	return func() {
		n.t.Helper()
		if err := errors.Join(os.Remove(largest), os.Rename(aside, largest)); err != nil {
			n.t.Fatal(err)
		}
	}
}

// waitsUnread waits until a batch says in a state that it waits for what cannot be read, as do the log and /readyz.
func (n *node) waitsUnread(id, status string) {
	n.t.Helper()
	until(n.t, tellWithin, "the batch says what it waits for", func() bool {
		waits, j := n.waitsFor(id)
		for _, w := range waits {
			if w.Reason == "blob_unreadable" && w.Since > 0 && j.Status == status && strings.Contains(w.Message, "is a directory") {
				return true
			}
		}
		return false
	})
	until(n.t, tellWithin, "/readyz tells it", func() bool { return hasAll(n.get("/readyz"), `"ok"`, "stored bytes cannot be read") })
}

// saidOnce checks that the log told the beginning and the end, each once, and that nothing is told of it any more.
func (n *node) saidOnce() {
	n.t.Helper()
	log := n.running().text()
	for _, words := range []string{"stored bytes cannot be read", "waits for stored bytes no longer"} {
		if got := strings.Count(log, words); got != 1 {
			n.t.Errorf("the log says %d times that %s", got, words)
		}
	}
	if text := n.get("/readyz"); strings.Contains(text, "read") && strings.Contains(text, "stored") {
		n.t.Errorf("/readyz still says %s", text)
	}
}
