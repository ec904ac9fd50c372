//go:build !failpoint

package promise

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestB03 takes from the database what was committed to it, while a batch runs. The server must not go on as if nothing had
// been.
func TestB03(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(n *node){
		"the log is lost":       func(n *node) { n.loseLog() },
		"the log is cut":        func(n *node) { n.cutLog(0.5) },
		"one bit, near the end": func(n *node) { n.flipFile("batchd.db-wal", 0.8) },
		"one bit, half-way":     func(n *node) { n.flipFile("batchd.db-wal", 0.5) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := input{lines: 3000}
			n := newNode(t, newEngine(t, steady(20*time.Millisecond)), 32)
			n.start()
			s := n.watch(n.run(in, "24h"))
			s.awaitResults(t, 1200)
			n.kill()
			_ = s.finish()
			damage(n)
			n.refused()
		})
	}
}

// refused checks that the server does not start, says why and how to go on, and changes no file but the database's.
func (n *node) refused() {
	n.t.Helper()
	before := n.results()
	err := n.tryStart()
	if err == nil {
		n.t.Fatal("the server started")
	}
	for _, part := range []string{n.dir, "batchd.db", "batchd check " + n.dir, "batchd repair " + n.dir, "--accept-older"} {
		if !strings.Contains(err.Error(), part) {
			n.t.Errorf("the refusal does not say %q: %v", part, err)
		}
	}
	if after := n.results(); !maps.Equal(before, after) {
		n.t.Errorf("files have changed: %d before, %d now", len(before), len(after))
	}
}

// results returns what lies in the directory beside the database.
func (n *node) results() map[string]string {
	n.t.Helper()
	found := map[string]string{}
	for _, dir := range []string{"blobs/objects", "journals", "lost"} {
		err := filepath.WalkDir(filepath.Join(n.dir, dir), func(path string, e os.DirEntry, err error) error {
			if os.IsNotExist(err) {
				return nil
			}
			if err == nil && e.Type().IsRegular() {
				var content []byte
				content, err = os.ReadFile(path)
				found[path] = string(content)
			}
			return err
		})
		if err != nil {
			n.t.Fatal(err)
		}
	}
	return found
}

// loseLog removes the write-ahead log of the database.
func (n *node) loseLog() {
	n.t.Helper()
	if err := os.Remove(filepath.Join(n.dir, "batchd.db-wal")); err != nil {
		n.t.Fatal(err)
	}
}

// cutLog leaves that share of the write-ahead log.
func (n *node) cutLog(share float64) {
	n.t.Helper()
	path := filepath.Join(n.dir, "batchd.db-wal")
	info, err := os.Stat(path)
	if err == nil {
		err = os.Truncate(path, int64(float64(info.Size())*share))
	}
	if err != nil {
		n.t.Fatal(err)
	}
}

// flipFile changes one bit of a file at that share of its length.
func (n *node) flipFile(name string, share float64) {
	n.t.Helper()
	path := filepath.Join(n.dir, name)
	content, err := os.ReadFile(path)
	if err != nil || len(content) == 0 {
		n.t.Fatalf("nothing to damage in %s: %v", name, err)
	}
	content[int(float64(len(content)-1)*share)] ^= 0x04
	if err := os.WriteFile(path, content, 0o600); err != nil {
		n.t.Fatal(err)
	}
}
