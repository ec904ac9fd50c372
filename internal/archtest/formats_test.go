package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// formatRow is a row of the table of formats: what it is, the constant that holds its number, and the number.
var formatRow = regexp.MustCompile("(?m)^\\| [^|]+ \\| `([a-z]+)\\.([A-Za-z]+)` \\| `([^`|]+)` \\|")

func TestFormatsHaveTheNumbersOfTheirPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(root, "docs", "compatibility.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := formatRow.FindAllStringSubmatch(string(page), -1)
	if len(rows) != 6 {
		t.Errorf("docs/compatibility.md has %d formats, want 6", len(rows))
	}
	constants := literalConstants(tree(t))
	for _, row := range rows {
		name := row[1] + "." + row[2]
		switch value, ok := constants[name]; {
		case !ok:
			t.Errorf("docs/compatibility.md names the constant %s, and there is none", name)
		case value != row[3]:
			t.Errorf("%s is %s, docs/compatibility.md says %s: a new number needs a test with data of the old one "+
				"(scripts/old-formats), a line in the changelog, and this page", name, value, row[3])
		}
	}
}

// literalConstants maps package.name of each constant at package level to its literal, without quotes.
func literalConstants(sources []source) map[string]string {
	values := map[string]string{}
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
						values[fmt.Sprintf("%s.%s", s.file.Name.Name, name.Name)] = strings.Trim(literal.Value, "\"`")
					}
				}
			}
		}
	}
	return values
}
