package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sample is a module with a package that has some of everything.
var sample = map[string]string{
	"go.mod": "module sample\n\ngo 1.26\n",
	"internal/a/a.go": `// Package a is a sample.
package a

import "strings"

// Told is documented.
const Told = 1

const Untold = 2

// T is a type.
type T struct{}

// Do calls some.
func (t T) Do() string {
	first() // behind code: no line of comment
	both()
	return t.method(generic("x"))
}

func first() { both(); recursive() }

func both() {}

func unused() {}

func recursive() { recursive() }

func (t T) method(s string) string { return strings.ToUpper(s) }
`,
	"internal/a/b.go": `package a

func generic[X any](x X) X { return inFolder(x) }

func inFolder[X any](x X) X { return x }

var table = []func(){unused}
`,
	"internal/a/a_test.go":  "package a\n",
	"internal/a/ax_test.go": "package a_test\n",
}

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for path, text := range files {
		full := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func names(places []place) []string {
	var all []string
	for _, p := range places {
		name, _, _ := strings.Cut(p.what, ",")
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

func TestASampleIsCountedAsItIsMeant(t *testing.T) {
	t.Parallel()
	packages, err := load(write(t, sample))
	if err != nil || len(packages) != 1 {
		t.Fatalf("loaded %d packages: %v", len(packages), err)
	}
	c := count(packages[0], &allowances{})
	if got := names(c.single); !slices.Equal(got, []string{"first", "generic", "inFolder", "method", "unused"}) {
		t.Errorf("functions with one caller: %v", got)
	}
	if got := names(c.apart); !slices.Equal(got, []string{"generic", "unused"}) {
		t.Errorf("of these with the caller in another file: %v", got)
	}
	if got := names(c.loose); !slices.Equal(got, []string{"generic", "unused"}) {
		t.Errorf("of these neither methods nor constructors beside their type: %v", got)
	}
	if len(c.functions) != 8 || slices.Max(c.functions) != 5 || len(c.files) != 2 {
		t.Errorf("functions of %v lines in files of %v", c.functions, c.files)
	}
	if c.comment != 5 || c.nonBlank != 23 {
		t.Errorf("%d of %d lines are comments, want 5 of 23", c.comment, c.nonBlank)
	}
	if c.exported != 4 || c.documented != 3 {
		t.Errorf("%d of %d exported names are documented, want 3 of 4", c.documented, c.exported)
	}
	if c.tests != 2 || c.inside != 1 {
		t.Errorf("%d test files, %d inside, want 2 and 1", c.tests, c.inside)
	}
	if got := names(c.words); !slices.Equal(got, []string{"folder", "folder"}) {
		t.Errorf("words: %v", got)
	}
}

func TestAFunctionStandsBesideItsType(t *testing.T) {
	t.Parallel()
	packages, err := load(write(t, map[string]string{
		"a.go": "package a\n\ntype T[X any] struct{}\n\ntype here struct{}\n\nfunc caller() { x(); b(); c(); d(); e(); f(); g() }\n",
		"b.go": `package a

type there struct{}

func (t *T[X]) x()           {}
func (t *there) b()          {}
func c() (*there, error)     { return nil, nil }
func d() here                { return here{} }
func e() error               { return nil }
func f()                     {}
func g() (n int, all []there) { return 0, nil }
`,
	}))
	if err != nil {
		t.Fatal(err)
	}
	c := count(packages[0], &allowances{})
	if got := names(c.apart); !slices.Equal(got, []string{"b", "c", "d", "e", "f", "g", "x"}) {
		t.Errorf("called in another file: %v", got)
	}
	if got := names(c.loose); !slices.Equal(got, []string{"d", "e", "f", "g", "x"}) {
		t.Errorf("not beside their type: %v", got)
	}
}

func TestWordsAreToldFromPartsOfOthers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"removeHTTPFolder": "folder", "folders": "folder", "FolderID": "folder", "life_of": "life", "KICK": "kick", "careLoop": "care",
		"carefully lifetime kicked verbose adverb": "", "A verb, its Care.": "verb care", "inFlight flying": "flying",
	} {
		if got := strings.Join(wordsIn(text), " "); got != want {
			t.Errorf("%q holds %q, want %q", text, got, want)
		}
	}
}

func TestAnAllowanceLetsAWordStandInItsLines(t *testing.T) {
	t.Parallel()
	root := write(t, map[string]string{"allowed.txt": "# why\n\nfolder a.go the user's folder\nlife b.go x\n"})
	a, err := readAllowed(filepath.Join(root, "allowed.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if !a.has("a.go", "folder", "// in the user's folder") || a.has("a.go", "folder", "// a folder") || a.has("b.go", "folder", "the user's folder") {
		t.Error("an allowance is for its word, file and text")
	}
	if got := a.unused(); !slices.Equal(got, []string{"life b.go x"}) {
		t.Errorf("unused: %v", got)
	}
	if _, err := readAllowed(filepath.Join(write(t, map[string]string{"x": "folder a.go\n"}), "x")); err == nil {
		t.Error("an entry without a text was taken")
	}
}

func TestTheReportSaysWhichBarsAreMissed(t *testing.T) {
	t.Parallel()
	packages, err := load(write(t, sample))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	r := report{worst: 1, counts: []counts{count(packages[0], &allowances{})}}
	if err := r.write(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"have exactly one caller: MISSED\n  internal/a", "in another file: MISSED", "lines are comments: met", "outside of suites: met", "folder 2",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}
}
