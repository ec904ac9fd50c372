package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A mutation whose code has moved on is found here, in a moment, and not only by make mutate.
func TestEveryMutationFindsItsPlace(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, m := range mutations {
		if _, err := place("../..", m); err != nil {
			t.Error(err)
		}
		if seen[m.name] || m.old == m.new || m.promise == "" || m.run == "" {
			t.Errorf("%q: wants a name of its own, a change, a promise and a pattern of tests", m.name)
		}
		seen[m.name] = true
	}
}

func TestATextThatIsNotThereOnceIsAnError(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		full := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("internal/a/a.go", "one\ntwice\n")
	write("internal/a/b.go", "twice\n")
	write("internal/a/a_test.go", "one\n")
	write("internal/a/inner/c.go", "one\nmoved\n")
	for text, want := range map[string]string{
		"one": "", "twice": "stands 2 times", "gone": "stands 0 times", "moved": "it stands in internal/a/inner/c.go",
	} {
		p, err := place(root, mutation{name: "m", dir: "internal/a", old: text, new: "other"})
		switch {
		case want == "" && (err != nil || p.path != "internal/a/a.go" || string(p.broken) != "other\ntwice\n"):
			t.Errorf("%s: got %s with %q, %v", text, p.path, p.broken, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

func TestWhatGoTestPrintsIsRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		output, failed string
		passed         int
		unbuilt, hung  bool
	}{
		"caught": {`{"Action":"pass","Test":"TestA"}
{"Action":"fail","Test":"TestB/inner"}
{"Action":"fail","Test":"TestB"}
{"Action":"fail"}`, "TestB/inner", 1, false, false},
		"hung":    {`{"Action":"output","Output":"panic: test timed out after 1m0s\n"}`, "", 0, false, true},
		"unbuilt": {`{"Action":"build-fail"}` + "\nx.go:1: broken", "", 0, true, false},
	} {
		var got seen
		for line := range strings.Lines(c.output) {
			got.read([]byte(line))
		}
		if got.failed != c.failed || got.passed != c.passed || got.unbuilt != c.unbuilt || got.hung != c.hung {
			t.Errorf("%s: got failed %q, passed %d, unbuilt %t, hung %t", name, got.failed, got.passed, got.unbuilt, got.hung)
		}
	}
}

func TestTheTableStandsBetweenItsMarkers(t *testing.T) {
	t.Parallel()
	text := table([]result{{mutation: mutation{name: "n", promise: "p", dir: "internal/limit"}, caughtBy: "TestA", took: 1500 * time.Millisecond}},
		time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC))
	page, err := between("before\n"+beginning+"\nold\n"+end+"\nafter\n", text)
	want := "before\n" + beginning + "\n\n| date | mutation | promise | caught by | seconds |\n| --- | --- | --- | --- | ---: |\n" +
		"| 2026-11-28 | `limit`: n | p | `TestA` | 1.5 |\n\n" + end + "\nafter\n"
	if err != nil || page != want {
		t.Errorf("got %q, %v; want %q", page, err, want)
	}
	if _, err := between("no markers", text); err == nil {
		t.Error("a page without markers was taken")
	}
}
