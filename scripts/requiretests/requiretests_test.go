package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const list = `
# comment
test p TestD[1-3]      # three promises
test q TestSuite/disk
failpoint p TestStops
skip q TestRoot(/.*)?  the superuser may read everything
`

// passing is a run in which every required test passed.
const passing = `
{"Action":"run","Package":"p","Test":"TestD1"}
{"Action":"pass","Package":"p","Test":"TestD1"}
{"Action":"run","Package":"p","Test":"TestD2"}
{"Action":"pass","Package":"p","Test":"TestD2"}
{"Action":"pass","Package":"p","Elapsed":1.5}
{"Action":"run","Package":"q","Test":"TestSuite/disk"}
{"Action":"pass","Package":"q","Test":"TestSuite/disk"}
{"Action":"run","Package":"q","Test":"TestSuite/disk"}
{"Action":"pass","Package":"q","Test":"TestSuite"}
{"Action":"pass","Package":"q","Test":"TestSuite/disk"}
{"Action":"pass","Package":"q"}
{"Action":"skip","Package":"r"}
`

func TestVerdict(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		events string
		stage  string
		forbid bool
		want   string // a part of what must be printed if the verdict is bad; empty if it is good
	}{
		"all passed":            {events: passing, forbid: true},
		"nothing ran":           {events: "", stage: "none", want: "nothing ran"},
		"a test failed":         {events: passing + `{"Action":"fail","Package":"r","Test":"TestX"}`, want: "r TestX"},
		"a package failed":      {events: passing + `{"Action":"fail","Package":"r"}`, want: "FAIL r"},
		"a test never ended":    {events: passing + `{"Action":"run","Package":"r","Test":"TestX"}`, want: "did not come to an end"},
		"required did not run":  {events: strings.ReplaceAll(passing, "TestSuite/disk", "TestSuite/s3"), want: "q TestSuite/disk is required"},
		"required was skipped":  {events: passing + `{"Action":"skip","Package":"p","Test":"TestD3"}`, want: "p TestD3 is required and was skipped"},
		"its subtest skipped":   {events: passing + `{"Action":"skip","Package":"p","Test":"TestD1/deep/er"}`, want: "is required and was skipped"},
		"other stage's test":    {events: passing, stage: "failpoint", want: "p TestStops is required"},
		"other skips allowed":   {events: passing + `{"Action":"skip","Package":"r","Test":"TestX"}`},
		"other skips forbidden": {events: passing + `{"Action":"skip","Package":"r","Test":"TestX"}`, forbid: true, want: "r TestX was skipped"},
		"an excused skip":       {events: passing + `{"Action":"skip","Package":"q","Test":"TestRoot"}`, forbid: true},
		"an excused subtest":    {events: passing + `{"Action":"skip","Package":"q","Test":"TestRoot/a/b"}`, forbid: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stage := c.stage
			if stage == "" {
				stage = "test"
			}
			var out strings.Builder
			ok, err := run(strings.NewReader(c.events), &out, writeList(t, list), stage, c.forbid)
			if err != nil {
				t.Fatal(err)
			}
			if ok != (c.want == "") || !strings.Contains(out.String(), c.want) {
				t.Errorf("verdict %v, want %q in:\n%s", ok, c.want, &out)
			}
		})
	}
}

func TestOutputOfFailedTestsIsShownAndThatOfPassedOnesIsNot(t *testing.T) {
	t.Parallel()
	events := `{"Action":"output","Package":"p","Test":"TestGood","Output":"dull\n"}
{"Action":"pass","Package":"p","Test":"TestGood"}
{"Action":"output","Package":"p","Test":"TestBad","Output":"got 1, want 2\n"}
{"Action":"fail","Package":"p","Test":"TestBad"}
{"Action":"run","Package":"p","Test":"TestHung"}
{"Action":"output","Package":"p","Test":"TestHung","Output":"waiting\n"}
{"Action":"output","Package":"p","Output":"panic: test timed out\n"}
{"Action":"fail","Package":"p"}
# p2 [build failed]
{"Action":"skip","Package":"q","Test":"TestNo"}
`
	var out strings.Builder
	r, err := readEvents(strings.NewReader(events), &out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"got 1, want 2", "waiting", "panic: test timed out", "# p2 [build failed]"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "dull") {
		t.Errorf("the output of a passed test is shown:\n%s", &out)
	}
	if got := summary(r); !strings.Contains(got, "1 passed, 1 failed, 1 skipped") || !strings.Contains(got, "skipped q TestNo") {
		t.Errorf("summary: %s", got)
	}
}

func TestBadListIsRefused(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"test p", "test p TestD1 extra", "skip p TestD1", "test p Test("} {
		if _, err := run(strings.NewReader(""), &strings.Builder{}, writeList(t, bad), "test", false); err == nil {
			t.Errorf("list %q was accepted", bad)
		}
	}
}

func writeList(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "list.txt")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
