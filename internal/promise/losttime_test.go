//go:build !failpoint

package promise

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestB03 takes from the database what was committed to it, while a batch runs. The server must not go on as if nothing had
// been: it refuses to start, check says what is lost, and repair lets it start without paying again for what is still there.
func TestB03(t *testing.T) {
	t.Parallel()
	const concurrency = 32
	for name, damage := range map[string]func(n *node){
		"the log is lost":         func(n *node) { n.loseLog() },
		"the log is cut":          func(n *node) { n.cutLog(0.5) },
		"one bit, near the end":   func(n *node) { n.flipFile("batchd.db-wal", 0.9) },
		"one bit, further on":     func(n *node) { n.flipFile("batchd.db-wal", 0.7) },
		"one bit, half-way":       func(n *node) { n.flipFile("batchd.db-wal", 0.5) },
		"one bit, before":         func(n *node) { n.flipFile("batchd.db-wal", 0.3) },
		"one bit, near the start": func(n *node) { n.flipFile("batchd.db-wal", 0.1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := input{lines: 3000, bad: func(n int) bool { return n%100 == 0 }}
			n := newNode(t, newEngine(t, steady(20*time.Millisecond)), concurrency)
			n.start()
			s := n.watch(n.run(in, "24h"))
			s.awaitResults(t, 1300)
			n.kill()
			_ = s.finish()
			damage(n)
			n.refused()
			n.mended()
			n.start()
			n.sound("after repair")
			if _, err := n.batch(s.id); err != nil {
				if statusOf(err) != http.StatusNotFound {
					t.Fatal(err)
				}
				if kept := n.answersKept(); kept < 1300 {
					t.Errorf("the batch is lost, and of 1300 results %d are kept", kept)
				}
				return
			}
			a, err := n.finished(s.id, in)
			if err != nil || a.job.Status != "completed" {
				t.Errorf("got %s, %v", a.job.Status, err)
			}
			if again := n.engine.count() - in.lines; again > concurrency {
				t.Errorf("%d lines were paid for again, of which %d may have been in flight", again, concurrency)
			}
			if tokens := a.job.Usage.TotalTokens; tokens != 8*(in.lines-30) {
				t.Errorf("the usage is %d tokens, want %d", tokens, 8*(in.lines-30))
			}
		})
	}
}

// mended checks that check explains a refusal, and lets repair say what it would do, and do it.
func (n *node) mended(flags ...string) {
	n.t.Helper()
	before := stamps(n.t, n.dir)
	code, c := check(n.t, n.dir)
	compareStamps(n.t, "checked", before, stamps(n.t, n.dir))
	if code != 1 || c.Summary.Lost == 0 {
		n.t.Errorf("check ends with %d: %+v", code, c)
	}
	repair := append([]string{"repair", n.dir}, flags...)
	code, would, problems := runCommand(n.t, repair...)
	if code != 1 || problems != "" || !strings.Contains(would, "nothing was changed") {
		n.t.Errorf("repair without --yes ends with %d: %s%s", code, would, problems)
	}
	after := stamps(n.t, n.dir)
	delete(before, filepath.Join(n.dir, "lock")) // who held it last stands in it
	delete(after, filepath.Join(n.dir, "lock"))
	compareStamps(n.t, "repaired without --yes", before, after)
	code, did, problems := runCommand(n.t, append(repair, "--yes")...)
	if code != 0 || problems != "" {
		n.t.Fatalf("repair ends with %d: %s%s", code, did, problems)
	}
	// What was said would be done was done.
	would = strings.ReplaceAll(would, "would ", "")
	lines := func(text string) []string {
		all := strings.Split(strings.TrimSpace(text), "\n")
		return all[:len(all)-1] // the last one sums up
	}
	if diff := cmp.Diff(lines(would), lines(did)); diff != "" {
		n.t.Errorf("what repair would do and did (-would +did):\n%s", diff)
	}
	if code, again, problems := runCommand(n.t, append(repair, "--yes")...); code != 0 || again != "nothing to do\n" {
		n.t.Errorf("repaired again: code %d, %s%s", code, again, problems)
	}
	n.t.Log(did)
}

// answersKept counts the lines whose answers lie under lost/.
func (n *node) answersKept() int {
	n.t.Helper()
	lines := map[string]bool{}
	for _, path := range n.files("lost/*") {
		content, err := os.ReadFile(path)
		if err != nil {
			n.t.Fatal(err)
		}
		for _, m := range answerOf.FindAllSubmatch(content, -1) {
			lines[string(m[1])] = true
		}
	}
	return len(lines)
}

// answerOf finds an answer of the engine in whatever file.
var answerOf = regexp.MustCompile(`(?:chatcmpl-|no answer to )([a-z]+-\d+)"`)

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

// withOlderDatabase returns a node whose database is an older copy of itself: from before most of the units of a batch were sealed.
func withOlderDatabase(t *testing.T, in input, concurrency int, alsoItsLog bool) (n *node, id string) {
	t.Helper()
	n = newNode(t, newEngine(t, steady(10*time.Millisecond)), concurrency, "BATCHD_ALLOW_MIXED_MODELS=true")
	n.start()
	s := n.watch(n.run(in, "24h"))
	s.awaitResults(t, 200)
	n.stop() // what the log holds is folded in
	path := filepath.Join(n.dir, "batchd.db")
	saved, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n.start()
	s.awaitResults(t, 1200)
	n.stop()
	n.start()
	s.awaitResults(t, 1600)
	n.kill()
	_ = s.finish()
	if len(n.files("blobs/objects/segments/*/*")) < 2 {
		t.Fatal("fewer than two units are sealed")
	}
	if err := os.WriteFile(path, saved, 0o600); err != nil {
		t.Fatal(err)
	}
	if alsoItsLog {
		n.loseLog()
	}
	return n, s.id
}

// TestAnOlderDatabase puts an older copy in the place of the database.
func TestAnOlderDatabase(t *testing.T) {
	t.Parallel()
	const concurrency = 32
	// A unit has one model, so that there are 30, of which few hold lines that are kept back for the end of the batch.
	in := input{lines: 3000, bad: func(n int) bool { return n%100 == 0 }, model: func(n int) string { return fmt.Sprintf("m%d", n/100) }}
	t.Run("repair seals units with their segments", func(t *testing.T) {
		t.Parallel()
		n, id := withOlderDatabase(t, in, concurrency, true)
		n.refused()
		n.mended()
		n.start()
		n.sound("after repair")
		a, err := n.finished(id, in)
		if err != nil || a.job.Status != "completed" {
			t.Errorf("got %s, %v", a.job.Status, err)
		}
		if again := n.engine.count() - in.lines; again > concurrency {
			t.Errorf("%d lines were paid for again, of which %d may have been in flight", again, concurrency)
		}
		if tokens := a.job.Usage.TotalTokens; tokens != 8*(in.lines-30) {
			t.Errorf("the usage is %d tokens, want %d", tokens, 8*(in.lines-30))
		}
	})
	for name, alsoItsLog := range map[string]bool{"with its log": true, "without": false} {
		t.Run("it is accepted, "+name, func(t *testing.T) {
			t.Parallel()
			n, id := withOlderDatabase(t, in, concurrency, alsoItsLog)
			if !alsoItsLog {
				code, out, problems := runCommand(t, "repair", n.dir)
				if code != 1 || out != "" || !strings.Contains(problems, "--accept-older") {
					t.Errorf("repair of a database beside a later one's log: code %d, %s%s", code, out, problems)
				}
			}
			n.mended("--accept-older")
			if len(n.files("lost/segments-*")) < 2 {
				t.Errorf("lost/ holds %v", n.files("lost/*"))
			}
			n.start()
			n.sound("after repair")
			if a, err := n.finished(id, in); err != nil || a.job.Status != "completed" {
				t.Errorf("got %s, %v", a.job.Status, err)
			}
		})
	}
}

// TestRepairLeavesASoundDirectoryAlone runs repair on directories that a kill has left, and beside a server.
func TestRepairLeavesASoundDirectoryAlone(t *testing.T) {
	t.Parallel()
	in := input{lines: 2500}
	n := newNode(t, newEngine(t, steady(10*time.Millisecond)), 32)
	n.start()
	s := n.watch(n.run(in, "24h"))
	for results := range 3 {
		s.awaitResults(t, 300+600*results)
		code, out, problems := runCommand(t, "repair", n.dir, "--yes")
		if code != 1 || out != "" || !strings.Contains(problems, "is in use by batchd (pid ") {
			t.Errorf("beside a server: code %d, %s%s", code, out, problems)
		}
		n.kill()
		for _, args := range [][]string{{"repair", n.dir}, {"repair", n.dir, "--yes"}, {"repair", n.dir, "--accept-older", "--yes"}} {
			if code, out, problems := runCommand(t, args...); code != 0 || out != "nothing to do\n" {
				t.Errorf("%v after kill -9: code %d, %s%s", args, code, out, problems)
			}
		}
		n.start()
	}
	s.await(t, endWithin)
	n.settled(s, in, 32)
}
