package archtest

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dependencyRow is a row of the page of dependencies: module, what it is for, why this one.
var dependencyRow = regexp.MustCompile(`(?m)^\| (\S+) \| (.+?) \| (.*?) ?\|$`)

func TestEveryDirectDependencyHasAReason(t *testing.T) {
	t.Parallel()
	module, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "adr", "0008-dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range checkDependencies(string(module), string(page)) {
		t.Error(fault)
	}
}

// checkDependencies lists the direct requirements of a go.mod without a reason on the page, and the modules of the page
// that are no direct requirement.
func checkDependencies(module, page string) []string {
	reasons := map[string]bool{}
	var faults []string
	for _, row := range dependencyRow.FindAllStringSubmatch(page, -1) {
		name, why := row[1], row[3]
		if name == "module" || name == "---" {
			continue
		}
		if reasons[name] = why != ""; why == "" {
			faults = append(faults, fmt.Sprintf("the page of dependencies says of %s what it is for, but not why this one", name))
		}
	}
	direct := directRequires(module)
	for _, name := range direct {
		if _, ok := reasons[name]; !ok {
			faults = append(faults, fmt.Sprintf("go.mod requires %s, and the page of dependencies does not say why", name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(reasons)) {
		if !slices.Contains(direct, name) {
			faults = append(faults, fmt.Sprintf("the page of dependencies has %s, which go.mod does not require directly", name))
		}
	}
	return faults
}

// directRequires lists the modules that a go.mod requires without "// indirect".
func directRequires(module string) []string {
	var direct []string
	inside := false
	for line := range strings.Lines(module) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 2 && fields[0] == "require" && fields[1] == "(":
			inside = true
		case len(fields) > 0 && fields[0] == ")":
			inside = false
		case len(fields) >= 3 && fields[0] == "require" && !strings.Contains(line, "// indirect"):
			direct = append(direct, fields[1])
		case inside && len(fields) >= 2 && !strings.HasPrefix(fields[0], "//") && !strings.Contains(line, "// indirect"):
			direct = append(direct, fields[0])
		}
	}
	return direct
}

func TestDependenciesAreReadAsTheyAreMeant(t *testing.T) {
	t.Parallel()
	const module = "module batchd\n\nrequire example.com/alone v1.0.0\n\nrequire (\n\t// a comment\n\texample.com/a v1.0.0\n\texample.com/b/v2 v2.0.0 // indirect\n)\n"
	const page = "| module | for | why this one |\n| --- | --- | --- |\n| example.com/alone | x | y |\n| example.com/a | x | y |\n"
	if got := checkDependencies(module, page); len(got) > 0 {
		t.Errorf("a good page has faults: %q", got)
	}
	for name, bad := range map[string]string{
		"no row":     strings.Replace(page, "| example.com/a | x | y |\n", "", 1),
		"no reason":  strings.Replace(page, "| example.com/a | x | y |", "| example.com/a | x | |", 1),
		"no require": page + "| example.com/b/v2 | x | y |\n",
	} {
		if got := checkDependencies(module, bad); len(got) != 1 {
			t.Errorf("%s: got %q, want one fault", name, got)
		}
	}
}
