package archtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Words that stand for a list of imports in the table of docs/ARCHITECTURE.md.
const (
	nothingElse = "nothing"
	anything    = "anything"
)

// packageRule is a row of the table of packages: what a package below internal/ owns, and what it may import of the others.
type packageRule struct {
	line    int
	owns    string
	imports []string // of packages below internal/, or anything alone
}

// onlyImporter names, for packages that only one other may import, that one. The packages below it may, and the promise
// tests may import any.
var onlyImporter = map[string]string{"app": "cli", "httpapi": "app"}

func TestPackagesImportOnlyWhatTheTableAllows(t *testing.T) {
	t.Parallel()
	rules, err := parsePackages(architecture(t))
	if err != nil {
		t.Fatalf("docs/ARCHITECTURE.md: %v", err)
	}
	for _, fault := range checkImports(rules, listPackages(t)) {
		t.Error(fault)
	}
}

// architecture returns the page that maps the code.
func architecture(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(root, "docs", "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// parsePackages reads the table of packages: for each one, below internal/, a row `name` | what it owns | `name`, `name`.
func parsePackages(page string) (map[string]packageRule, error) {
	rows, err := tableOf(page, "Packages", "package", "owns", "may import")
	if err != nil {
		return nil, err
	}
	rules := make(map[string]packageRule, len(rows))
	for _, row := range rows {
		name, ok := unquote(row.cells[0])
		if _, twice := rules[name]; !ok || twice || row.cells[1] == "" {
			return nil, fmt.Errorf("line %d: want a row of its own for one `package`, and what it owns: %q", row.line, row.cells)
		}
		imports, err := parseImports(row.cells[2])
		if err != nil {
			return nil, fmt.Errorf("line %d: %s may import: %w", row.line, name, err)
		}
		rules[name] = packageRule{row.line, row.cells[1], imports}
	}
	for name, rule := range rules {
		for _, of := range rule.imports {
			if _, ok := rules[of]; of == name || !ok && of != anything {
				return nil, fmt.Errorf("line %d: %s may import %s, which has no row or is itself", rule.line, name, of)
			}
		}
	}
	return rules, nil
}

func parseImports(cell string) ([]string, error) {
	switch cell {
	case nothingElse:
		return nil, nil
	case anything:
		return []string{anything}, nil
	}
	var imports []string
	for item := range strings.SplitSeq(cell, ", ") {
		name, ok := unquote(item)
		if !ok || slices.Contains(imports, name) {
			return nil, fmt.Errorf("want %s, %s or each `name` once, not %q", nothingElse, anything, cell)
		}
		imports = append(imports, name)
	}
	return imports, nil
}

// checkImports holds the packages of the tree against the table: each of internal/ has a row, each row a package, and no
// package imports what it may not.
func checkImports(rules map[string]packageRule, packages []listed) []string {
	var faults []string
	there := map[string]bool{}
	for _, pkg := range packages {
		name, internal := strings.CutPrefix(pkg.ImportPath, "batchd/internal/")
		rule, hasRow := rules[name]
		if there[name] = internal; internal && !hasRow {
			faults = append(faults, fmt.Sprintf("internal/%s has no row in the table of docs/ARCHITECTURE.md: say what it owns and may import", name))
			continue
		}
		for _, imported := range pkg.Imports {
			of, internalToo := strings.CutPrefix(imported, "batchd/internal/")
			switch {
			case !internalToo:
			case !internal:
				faults = append(faults, checkOutsider(pkg.ImportPath, of)...)
			case !allows(rule.imports, name, of):
				faults = append(faults, fmt.Sprintf("internal/%s imports internal/%s, and docs/ARCHITECTURE.md:%d allows %v: %s",
					name, of, rule.line, rule.imports, rule.owns))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		if !there[name] {
			faults = append(faults, fmt.Sprintf("docs/ARCHITECTURE.md:%d: there is no package internal/%s", rules[name].line, name))
		}
	}
	return faults
}

// checkOutsider judges an import of an internal package from outside internal/.
func checkOutsider(importer, of string) []string {
	switch {
	case strings.HasPrefix(importer, "batchd/cmd/") && of != "cli":
		return []string{fmt.Sprintf("%s imports internal/%s: a command hands its arguments to cli and exits with its code", importer, of)}
	case strings.HasPrefix(importer, "batchd/scripts/"):
		return []string{fmt.Sprintf("%s imports internal/%s: a tool of the build must run when the tree does not compile", importer, of)}
	default:
		return nil
	}
}

// allows reports whether a row permits package name to import package of. Anyone may import failpoint, which names places.
func allows(imports []string, name, of string) bool {
	if of == "failpoint" {
		return true
	}
	if only, restricted := onlyImporter[of]; restricted && name != only && name != "promise" && !strings.HasPrefix(name, of+"/") {
		return false
	}
	if slices.Contains(imports, anything) {
		return of != "cli" && of != "promise" && of != "archtest"
	}
	return slices.Contains(imports, of)
}

func TestTableOfPackagesIsReadAsItIsMeant(t *testing.T) {
	t.Parallel()
	const head = "## Packages\n\n| package | owns | may import |\n| --- | --- | --- |\n"
	const good = head + "| `batch` | words | nothing |\n| `app` | wiring | anything |\n| `cli` | commands | `app`, `batch` |\n" +
		"| `httpapi` | transport | `batch` |\n| `httpapi/files` | calls | `httpapi` |\n"
	rules, err := parsePackages(good)
	if err != nil {
		t.Fatal(err)
	}
	tree := func(imports ...string) []listed {
		packages := []listed{{ImportPath: "batchd/test/bench", Imports: []string{"batchd/internal/batch"}}}
		for _, name := range slices.Sorted(maps.Keys(rules)) {
			packages = append(packages, listed{ImportPath: "batchd/internal/" + name})
		}
		for pair := range slices.Chunk(imports, 2) {
			packages = append(packages, listed{ImportPath: "batchd/" + pair[0], Imports: []string{"fmt", "batchd/internal/" + pair[1]}})
		}
		return packages
	}
	for _, allowed := range [][]string{
		nil,
		{"internal/batch", "failpoint"},
		{"internal/cli", "batch"},
		{"internal/cli", "app"},
		{"internal/app", "httpapi/files"},
		{"internal/app", "httpapi"},
		{"internal/httpapi/files", "httpapi"},
		{"cmd/batchd", "cli"},
	} {
		if faults := checkImports(rules, tree(allowed...)); len(faults) > 0 {
			t.Errorf("%q: got %q, want no fault", allowed, faults)
		}
	}
	for _, forbidden := range [][]string{
		{"internal/batch", "app"},
		{"internal/app", "cli"},
		{"internal/httpapi", "httpapi/files"},
		{"internal/httpapi/files", "batch"},
		{"internal/new", "batch"},
		{"cmd/batchd", "app"},
		{"scripts/requiretests", "batch"},
	} {
		if faults := checkImports(rules, tree(forbidden...)); len(faults) != 1 {
			t.Errorf("%q: got %q, want one fault", forbidden, faults)
		}
	}
	if faults := checkImports(rules, tree()[2:]); len(faults) != 1 || !strings.Contains(faults[0], "there is no package internal/app") {
		t.Errorf("a row without a package: got %q, want one fault", faults)
	}
	for what, row := range map[string]string{
		"two packages in a row": "| `cli`, `store` | x | nothing |",
		"a package twice":       "| `batch` | x | nothing |",
		"owns nothing":          "| `store` | | nothing |",
		"no word for nothing":   "| `store` | x | |",
		"import without quotes": "| `store` | x | batch |",
		"imports by spaces":     "| `store` | x | `batch` `app` |",
		"an import twice":       "| `store` | x | `batch`, `batch` |",
		"import without a row":  "| `store` | x | `clock` |",
		"imports itself":        "| `store` | x | `store` |",
		"no cell of imports":    "| `store` | x |",
	} {
		if rules, err := parsePackages(good + row + "\n"); err == nil {
			t.Errorf("%s: read as %v", what, rules["store"])
		}
	}
}

// listed is the part of `go list -json` that the rule needs. Imports leaves out those of test files.
type listed struct {
	ImportPath string
	Imports    []string
}

func listPackages(t *testing.T) []listed {
	t.Helper()
	command := exec.Command("go", "list", "-e", "-tags", "failpoint", "-json=ImportPath,Imports", "./...")
	command.Dir = root
	output, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []listed
	for decoder := json.NewDecoder(strings.NewReader(string(output))); ; {
		var pkg listed
		err := decoder.Decode(&pkg)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatalf("decode the output of go list: %v", err)
		}
		packages = append(packages, pkg)
	}
}
