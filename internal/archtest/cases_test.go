package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// series are the fault cases by letter and number: process and disk, upstream, database and cluster, bad input.
var series = map[string]int{"F": 19, "U": 25, "C": 16, "I": 30}

// mayWait are the cases that need what is not built yet, like many nodes and adaptive concurrency. All others must name
// a test.
var mayWait = regexp.MustCompile(`^(U2[45]|C\d\d|I29)$`)

var (
	caseRow  = regexp.MustCompile(`^\|\s*([A-Z]\d\d)\s*\|.*\|\s*([^|]*?)\s*\|\s*$`)
	testName = regexp.MustCompile("Test[A-Z0-9][A-Za-z0-9_]*(?:/[^\\s`,;|]+)*")
)

func TestEveryFaultCaseNamesATestThatExists(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "docs", "cases.md"))
	if err != nil {
		t.Fatalf("the list of fault cases is part of what we promise: %v", err)
	}
	for _, fault := range checkCases(string(text), testsOf(tree(t))) {
		t.Error(fault)
	}
}

// checkCases lists what is wrong with the table of cases: an id that is missing or appears twice, a row that names no
// test and does not say "not yet", a test that is not in the tree.
func checkCases(text string, tests map[string][]string) []string {
	var faults []string
	covered := map[string]string{}
	for line := range strings.Lines(text) {
		row := caseRow.FindStringSubmatch(strings.TrimSpace(line))
		if row == nil {
			continue
		}
		id, test := row[1], row[2]
		if _, twice := covered[id]; twice {
			faults = append(faults, fmt.Sprintf("%s has two rows", id))
		}
		covered[id] = test
		faults = append(faults, checkRow(id, test, tests)...)
	}
	for _, id := range caseIDs() {
		if _, ok := covered[id]; !ok {
			faults = append(faults, fmt.Sprintf("%s has no row", id))
		}
	}
	return faults
}

func checkRow(id, cell string, tests map[string][]string) []string {
	names := testName.FindAllString(cell, -1)
	switch {
	case len(names) > 0:
	case !strings.Contains(cell, "not yet"):
		return []string{fmt.Sprintf(`%s names neither a test nor "not yet": %q`, id, cell)}
	case !mayWait.MatchString(id):
		return []string{fmt.Sprintf(`%s says "not yet", but nothing that it needs is missing`, id)}
	}
	var faults []string
	for _, name := range names {
		function, sub, _ := strings.Cut(name, "/")
		words, exists := tests[function]
		if !exists {
			faults = append(faults, fmt.Sprintf("%s names %s, and there is no %s", id, name, function))
		} else if sub != "" && !speaksOf(words, sub) {
			faults = append(faults, fmt.Sprintf("%s names %s, and no string beside %s reads %q", id, name, function, sub))
		}
	}
	return faults
}

// speaksOf reports whether some string could be the name of the innermost subtest, which go test prints with
// underscores for spaces. A row may also name it by its first words.
func speaksOf(words []string, sub string) bool {
	sub = sub[strings.LastIndex(sub, "/")+1:]
	return slices.ContainsFunc(words, func(word string) bool {
		return strings.HasPrefix(strings.ReplaceAll(word, " ", "_"), sub)
	})
}

// caseIDs lists all ids: F01 to F19 and so on.
func caseIDs() []string {
	var ids []string
	for letter, count := range series {
		for n := range count {
			ids = append(ids, fmt.Sprintf("%s%02d", letter, n+1))
		}
	}
	slices.Sort(ids)
	return ids
}

// testsOf maps the name of each test function to the strings in the test files of its directory.
func testsOf(sources []source) map[string][]string {
	tests := map[string][]string{}
	for _, files := range byPackage(sources, true) {
		var functions, words []string
		for _, s := range files {
			if !s.isTest() {
				continue
			}
			ast.Inspect(s.file, func(node ast.Node) bool {
				switch node := node.(type) {
				case *ast.FuncDecl:
					if node.Recv == nil && strings.HasPrefix(node.Name.Name, "Test") {
						functions = append(functions, node.Name.Name)
					}
				case *ast.BasicLit:
					if node.Kind == token.STRING {
						words = append(words, strings.Trim(node.Value, "\"`"))
					}
				}
				return true
			})
		}
		for _, function := range functions {
			tests[function] = append(tests[function], words...)
		}
	}
	return tests
}

func TestTableOfCasesIsReadAsItIsMeant(t *testing.T) {
	t.Parallel()
	tests := map[string][]string{"TestFaults": {"F01 kill -9", "F02"}, "TestD2": nil}
	var good strings.Builder
	for _, id := range caseIDs() {
		cell := "`TestFaults/F01`, TestD2"
		if mayWait.MatchString(id) {
			cell = "not yet"
		}
		fmt.Fprintf(&good, "| %s | what happens | what must follow | %s |\n", id, cell)
	}
	if faults := checkCases(good.String(), tests); len(faults) > 0 {
		t.Errorf("a good table has faults: %q", faults)
	}
	if n := len(caseIDs()); n != 90 {
		t.Errorf("there are %d cases, want 90", n)
	}
	row := "| F01 | what happens | what must follow | `TestFaults/F01`, TestD2 |"
	for name, bad := range map[string]string{
		"row is missing":      "",
		"id appears twice":    row + "\n" + row,
		"no test":             "| F01 | what happens | what must follow | |",
		"test does not exist": "| F01 | what happens | what must follow | TestFault |",
		"subtest is unknown":  "| F01 | what happens | what must follow | TestFaults/F03 |",
		"could be tested":     "| F01 | what happens | what must follow | not yet |",
	} {
		text := strings.Replace(good.String(), row, bad, 1)
		if faults := checkCases(text, tests); len(faults) != 1 {
			t.Errorf("%s: got %q, want one fault", name, faults)
		}
	}
}
