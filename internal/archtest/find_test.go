package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// mustFind are the questions that "Where to find" must answer: those that the readers of this code asked first.
var mustFind = []string{
	"Where is the lock on the data directory?",
	"What may a key do?",
	"How does an output file get its name?",
	"Which answers are tried again?",
	"What happens at SIGTERM?",
	"Where would a fourth vendor go?",
}

var (
	// identifier is `Name` or `Type.Method`.
	identifier = regexp.MustCompile(`^[A-Za-z]\w*(\.[A-Za-z]\w*)?$`)
	// fileName is a file or, with a slash at its end, a directory below a package's. Names of files begin in lower case.
	fileName = regexp.MustCompile(`^[a-z][\w/-]*(\.[a-z]+|/)$`)
)

func TestWhatThePageSaysIsThereIsThere(t *testing.T) {
	t.Parallel()
	for _, fault := range checkFinds(architecture(t), os.DirFS(root), tree(t)) {
		t.Errorf("docs/ARCHITECTURE.md: %s", fault)
	}
}

// checkFinds lists what is wrong with the table "Where to find": a question of mustFind without an answer, a package or a
// file that is not there, a name that is not declared where the row says.
func checkFinds(page string, files fs.FS, sources []source) []string {
	rows, err := tableOf(page, "Where to find", "question", "package", "where")
	if err != nil {
		return []string{err.Error()}
	}
	var faults, questions []string
	for i, row := range rows {
		question := row.cells[0]
		if question == "" && i == 0 || question != "" && slices.Contains(questions, question) {
			faults = append(faults, fmt.Sprintf("line %d: the question is missing or asked twice", row.line))
		}
		questions = append(questions, question)
		for _, fault := range checkFind(row.cells[1], row.cells[2], files, sources) {
			faults = append(faults, fmt.Sprintf("line %d: %s", row.line, fault))
		}
	}
	for _, question := range mustFind {
		if !slices.Contains(questions, question) {
			faults = append(faults, fmt.Sprintf("nothing answers %q", question))
		}
	}
	return faults
}

// checkFind lists what is wrong with one answer. Its last cell is `file`, `file`: `Name`, `Type.Method`, of which either
// part may be absent; names without files may stand anywhere in the package.
func checkFind(pkg, where string, files fs.FS, sources []source) []string {
	dir, ok := unquote(pkg)
	if !ok {
		return []string{fmt.Sprintf("want one `package`, not %q", pkg)}
	}
	if !strings.HasPrefix(dir, "cmd/") && !strings.HasPrefix(dir, "test/") {
		dir = path.Join("internal", dir)
	}
	var inside []source
	for _, s := range sources {
		if s.dir() == dir {
			inside = append(inside, s)
		}
	}
	if len(inside) == 0 {
		return []string{fmt.Sprintf("there is no package %s", dir)}
	}
	var faults, looked []string
	before, after, both := strings.Cut(where, ": ")
	cells := []string{before}
	if both {
		cells = append(cells, after)
	}
	for i, cell := range cells {
		for item := range strings.SplitSeq(cell, ", ") {
			name, ok := unquote(item)
			_, err := fs.Stat(files, path.Join(dir, name)) // asked for names of files only
			switch {
			case !ok:
				faults = append(faults, fmt.Sprintf("want `file`, `file`: `Name`, `Name`, not %q", where))
			case i == 0 && (both || fileName.MatchString(name)):
				if looked = append(looked, path.Join(dir, name)); err != nil {
					faults = append(faults, fmt.Sprintf("%s has no file %s", dir, name))
				}
			case !identifier.MatchString(name) || !declares(inside, looked, name):
				faults = append(faults, fmt.Sprintf("%s does not declare %s there", dir, name))
			}
		}
	}
	return faults
}

// declares reports whether one of the sources declares a name at package level. If files are given, it must be one of them.
func declares(sources []source, files []string, name string) bool {
	return slices.ContainsFunc(sources, func(s source) bool {
		if s.isTest() || len(files) > 0 && !slices.Contains(files, s.path) {
			return false
		}
		return slices.ContainsFunc(s.file.Decls, func(declaration ast.Decl) bool {
			switch declaration := declaration.(type) {
			case *ast.FuncDecl:
				return nameOf(declaration) == name
			case *ast.GenDecl:
				return slices.ContainsFunc(declaration.Specs, func(spec ast.Spec) bool { return names(spec, name) })
			}
			return false
		})
	})
}

// nameOf returns the name of a function, or Type.Method.
func nameOf(function *ast.FuncDecl) string {
	if function.Recv == nil {
		return function.Name.Name
	}
	named, ok := receiverOf(function)
	if !ok {
		return function.Name.Name
	}
	return named.Name + "." + function.Name.Name
}

// names reports whether a line of a declaration has the name. Methods of interfaces are named by their interface alone.
func names(spec ast.Spec, name string) bool {
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		return spec.Name.Name == name
	case *ast.ValueSpec:
		return slices.ContainsFunc(spec.Names, func(n *ast.Ident) bool { return n.Name == name })
	}
	return false
}

func TestAnswersAreReadAsTheyAreMeant(t *testing.T) {
	t.Parallel()
	set := token.NewFileSet()
	var sources []source
	files := fstest.MapFS{"internal/store/migrations/1.sql": {}, "test/surface/testdata/routes.txt": {}}
	for name, text := range map[string]string{
		"internal/store/store.go":      "package store\ntype Store[T any] struct{}\nfunc (s *Store[T]) Open() {}\nconst A, B = 1, 2\n",
		"internal/store/lock.go":       "package store\nfunc Lock() {}\nvar held = 1\n",
		"internal/store/store_test.go": "package store\nfunc helper() {}\n",
		"test/surface/doc.go":          "package surface\n",
	} {
		files[name] = &fstest.MapFile{Data: []byte(text)}
		parsed, err := parse(set, name, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, parsed)
	}
	var questions strings.Builder
	questions.WriteString("## Where to find\n\n| question | package | where |\n| --- | --- | --- |\n")
	for _, question := range mustFind {
		fmt.Fprintf(&questions, "| %s | `store` | `Lock` |\n", question)
	}
	for row, want := range map[string]int{
		"| What? | `store` | `store.go`, `lock.go`: `Store`, `Store.Open`, `Lock`, `B`, `held` |": 0,
		"| | `store` | `lock.go` |":                    0,
		"| | `store` | `migrations/`: `Store` |":       1,
		"| | `store` | `migrations/` |":                0,
		"| | `test/surface` | `testdata/routes.txt` |": 0,
		"| | `surface` | `testdata/routes.txt` |":      1,
		"| | `store` | `Lock`, `Store.Open` |":         0,
		"| | `store` | `store.go`: `Lock` |":           1,
		"| | `store` | `store_test.go`: `helper` |":    1,
		"| | `store` | `gone.go` |":                    1,
		"| | `store` | `gone.go`: `Lock` |":            2,
		"| | `store` | `Open` |":                       1,
		"| | `store` | `Store.Close` |":                1,
		"| | `store` | Lock |":                         1,
		"| | `store` | |":                              1,
		"| | store | `Lock` |":                         1,
		"| What may a key do? | `store` | `Lock` |":    1,
		"| | `store`, `batch` | `Lock` |":              1,
		"| | `store` | `lock.go`: `Lock`: `Store` |":   1,
	} {
		if faults := checkFinds(questions.String()+row+"\n", files, sources); len(faults) != want {
			t.Errorf("%s: got %q, want %d faults", row, faults, want)
		}
	}
	missing := strings.Replace(questions.String(), "| What may a key do?", "| What may a bee do?", 1)
	if faults := checkFinds(missing, files, sources); len(faults) != 1 {
		t.Errorf("a question is missing: got %q, want one fault", faults)
	}
}
