//go:build !failpoint && unix

package promise

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestF13DataDirectoryVanishes (F13) takes the data directory away from under a server with a batch running, with nothing, an
// empty directory or a copy in its place, and brings it back. Meanwhile the server says so, sends and takes nothing, and
// leaves alone what stands there; then it ends the batch as if nothing had been.
func TestF13DataDirectoryVanishes(t *testing.T) {
	t.Parallel()
	for name, stand := range map[string]func(away, dir string) error{
		"nothing":            func(_, _ string) error { return nil },
		"an empty directory": func(_, dir string) error { return os.Mkdir(dir, 0o700) },
		"a copy":             func(away, dir string) error { return exec.Command("cp", "-r", away, dir).Run() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := input{lines: 3000, bad: every(50)}
			n := newNode(t, newEngine(t, steady(20*time.Millisecond)), 16)
			n.start()
			id := n.run(in, "24h")
			until(t, endWithin, "results come in", func() bool { return n.engine.count() > 300 })

			away := n.dir + ".away"
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			must(os.Rename(n.dir, away))
			must(stand(away, n.dir))
			before := listing(t, n.dir)
			until(t, endWithin, "it says that the directory is gone", func() bool {
				return strings.Contains(n.running().text(), "data directory is gone") && !n.ready(t)
			})
			until(t, endWithin, "calls in flight end", func() bool { return n.engine.inFlight() == 0 })
			calls := n.engine.count()
			pause(2500 * time.Millisecond)
			if got := n.engine.count(); got != calls {
				t.Errorf("%d calls were made without the directory", got-calls)
			}
			_, err := n.uploadText(in.text())
			wantRefused(t, "an upload", err)
			_, err = n.cancel(id)
			wantRefused(t, "a cancel", err)
			if after := listing(t, n.dir); after != before {
				t.Errorf("in its place there was\n%s\nand is\n%s", before, after)
			}

			must(os.RemoveAll(n.dir))
			must(os.Rename(away, n.dir))
			until(t, endWithin, "it is ready again", func() bool { return n.ready(t) })
			if _, err := n.finished(id, in); err != nil {
				t.Error(err)
			}
			if told := strings.Count(n.running().text(), "data directory is gone"); told != 1 {
				t.Errorf("told %d times", told)
			}
			if n.processes() != 1 {
				t.Error("the process has ended")
			}
			if repeats, err := n.repeats(16); err != nil || repeats != 0 {
				t.Errorf("%d lines were sent again, %v", repeats, err)
			}
			n.stop()
		})
	}
}

// wantRefused checks that a call was refused for now.
func wantRefused(t *testing.T, what string, err error) {
	t.Helper()
	var refused *refusal
	if !errors.As(err, &refused) || refused.status != http.StatusServiceUnavailable {
		t.Errorf("%s: %v, want 503", what, err)
	}
}

// ready reports whether the server says that it takes work.
func (n *node) ready(t *testing.T) bool {
	t.Helper()
	_, err := n.do(http.MethodGet, "/readyz", "", nil)
	return err == nil
}

// listing returns the names below a directory, with the sizes of files.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var list strings.Builder
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil {
			var info fs.FileInfo
			if info, err = e.Info(); err == nil {
				list.WriteString(path + " " + info.ModTime().String() + "\n")
			}
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return list.String()
}
