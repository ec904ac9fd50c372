package archtest

import (
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// formatRow is a row of the table of formats: what it is, the constant that holds its number, and the number. A constant
// is named without its package, into which the code may be arranged anew.
var formatRow = regexp.MustCompile("(?m)^\\| [^|]+ \\| `([A-Za-z]+)` \\| `([^`|]+)` \\|")

func TestFormatsHaveTheNumbersOfTheirPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(root, "docs", "compatibility.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := formatRow.FindAllStringSubmatch(string(page), -1)
	if len(rows) != 8 {
		t.Errorf("docs/compatibility.md has %d formats, want 8", len(rows))
	}
	constants := literalConstants(tree(t))
	for _, row := range rows {
		name, number := row[1], row[2]
		switch values := constants[name]; {
		case len(values) != 1:
			t.Errorf("docs/compatibility.md names the constant %s, of which there are %d", name, len(values))
		case values[0] != number:
			t.Errorf("%s is %s, docs/compatibility.md says %s: a new number needs a test with data of the old one "+
				"(scripts/old-formats), a line in the changelog, and this page", name, values[0], number)
		}
	}
}

// literalConstants maps the name of each constant at package level to its literals, without quotes: one for each package
// that has such a constant.
func literalConstants(sources []source) map[string][]string {
	values := map[string][]string{}
	for _, s := range sources {
		if s.isTest() {
			continue
		}
		for _, declaration := range s.file.Decls {
			general, ok := declaration.(*ast.GenDecl)
			if !ok || general.Tok != token.CONST {
				continue
			}
			for _, spec := range general.Specs {
				value, ok := spec.(*ast.ValueSpec)
				if !ok || len(value.Values) != len(value.Names) {
					continue
				}
				for i, name := range value.Names {
					if literal, ok := value.Values[i].(*ast.BasicLit); ok {
						values[name.Name] = append(values[name.Name], strings.Trim(literal.Value, "\"`"))
					}
				}
			}
		}
	}
	return values
}
