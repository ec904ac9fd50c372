package archtest

import (
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"strings"
	"testing"
)

func TestNoPackageHasInitFunctions(t *testing.T) {
	t.Parallel()
	for _, s := range tree(t) {
		for _, declaration := range s.file.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if ok && function.Recv == nil && function.Name.Name == "init" {
				t.Errorf("%s: func init runs behind the reader's back and in no order that can be seen; build it in app", s.at(function))
			}
		}
	}
}

func TestNoPackageHasMutableVariables(t *testing.T) {
	t.Parallel()
	for dir, sources := range byPackage(tree(t), false) {
		for _, fault := range mutableVariables(sources) {
			t.Errorf("%s: %s; state belongs to a value that somebody constructs and owns", dir, fault)
		}
	}
}

// mutableVariables lists the package-level variables of one package that can change after start-up: those without a
// value, those whose type exists to be changed, and those that some code of the package writes. A table that is
// filled where it is declared and only read afterwards is a constant that Go cannot spell.
func mutableVariables(sources []source) []string {
	var faults []string
	declared := map[string]bool{}
	for _, s := range sources {
		for _, declaration := range s.file.Decls {
			general, ok := declaration.(*ast.GenDecl)
			if !ok || general.Tok != token.VAR {
				continue
			}
			for _, spec := range general.Specs {
				value, _ := spec.(*ast.ValueSpec)
				for _, name := range value.Names {
					declared[name.Name] = name.Name != "_"
				}
				if reason := mutableByDeclaration(general, value); reason != "" {
					faults = append(faults, fmt.Sprintf("%s: variable %s %s", s.at(value), value.Names[0].Name, reason))
				}
			}
		}
	}
	uses := resolve(sources)
	for _, s := range sources {
		ast.Inspect(s.file, func(node ast.Node) bool {
			for _, target := range written(node) {
				if name := rootOf(target); name != nil && declared[name.Name] && uses(name) {
					faults = append(faults, fmt.Sprintf("%s: variable %s is written", s.at(node), name.Name))
				}
			}
			return true
		})
	}
	return faults
}

// mutableByDeclaration says why a declaration alone shows that a variable will change, or nothing.
func mutableByDeclaration(general *ast.GenDecl, value *ast.ValueSpec) string {
	if embedded(general.Doc) || embedded(value.Doc) || value.Names[0].Name == "_" {
		return ""
	}
	if len(value.Values) == 0 {
		return "has no value, so something sets it later"
	}
	for _, part := range append([]ast.Expr{value.Type}, value.Values...) {
		if composite, ok := part.(*ast.CompositeLit); ok {
			part = composite.Type
		}
		if pointer, ok := part.(*ast.UnaryExpr); ok {
			if composite, ok := pointer.X.(*ast.CompositeLit); ok {
				part = composite.Type
			}
		}
		if selector, ok := part.(*ast.SelectorExpr); ok && changes(selector) {
			return "is of a type that exists to be changed"
		}
	}
	return ""
}

func embedded(doc *ast.CommentGroup) bool {
	if doc == nil {
		return false
	}
	for _, comment := range doc.List {
		if strings.HasPrefix(comment.Text, "//go:embed ") {
			return true
		}
	}
	return false
}

// changes reports whether a type is one of sync's or atomic's. A sync.Pool is none: what it holds is between two uses
// and nobody can tell whether it is there.
func changes(selector *ast.SelectorExpr) bool {
	pkg, ok := selector.X.(*ast.Ident)
	return ok && (pkg.Name == "atomic" || pkg.Name == "sync" && selector.Sel.Name != "Pool")
}

// written lists the expressions that a node writes, or gives away for writing by taking their address.
func written(node ast.Node) []ast.Expr {
	switch node := node.(type) {
	case *ast.AssignStmt:
		if node.Tok != token.DEFINE {
			return node.Lhs
		}
	case *ast.IncDecStmt:
		return []ast.Expr{node.X}
	case *ast.RangeStmt:
		if node.Tok == token.ASSIGN {
			return []ast.Expr{node.Key, node.Value}
		}
	case *ast.UnaryExpr:
		if node.Op == token.AND {
			return []ast.Expr{node.X}
		}
	case *ast.CallExpr:
		if name, ok := node.Fun.(*ast.Ident); ok && len(node.Args) > 0 {
			switch name.Name {
			case "delete", "clear", "copy":
				return node.Args[:1]
			}
		}
	}
	return nil
}

// rootOf is the variable at the root of an expression: x in x.f[i]. A composite literal and a call have none.
func rootOf(expression ast.Expr) *ast.Ident {
	for {
		switch e := expression.(type) {
		case *ast.Ident:
			return e
		case *ast.SelectorExpr:
			expression = e.X
		case *ast.IndexExpr:
			expression = e.X
		case *ast.SliceExpr:
			expression = e.X
		case *ast.StarExpr:
			expression = e.X
		case *ast.ParenExpr:
			expression = e.X
		default:
			return nil
		}
	}
}

// resolve returns a function that tells whether an identifier means the package-level name and not a local one that
// hides it. The type checker finds that out without any import: what it cannot resolve then is not ours to judge.
func resolve(sources []source) func(*ast.Ident) bool {
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	var files []*ast.File
	for _, s := range sources {
		files = append(files, s.file)
	}
	config := types.Config{Error: func(error) {}, Importer: nothing{}}
	pkg, err := config.Check("judged", sources[0].set, files, info)
	_ = err // it is the missing imports, and they are missing on purpose
	return func(name *ast.Ident) bool {
		object := info.Uses[name]
		return object != nil && object.Parent() == pkg.Scope()
	}
}

// nothing is an importer that finds no package.
type nothing struct{}

func (nothing) Import(string) (*types.Package, error) {
	return nil, errors.New("imports are not needed to tell names apart")
}

func TestMutableVariablesAreToldFromTables(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want int
	}{
		"sentinel":                 {`var ErrGone = errors.New("gone")`, 0},
		"expression":               {`var digits = regexp.MustCompile("[0-9]+")`, 0},
		"table only read":          {`var table = map[string]int{"a": 1}; func f() int { return table["a"] }`, 0},
		"interface check":          {`var _ fmt.Stringer = T{}`, 0},
		"pool":                     {`var buffers = sync.Pool{}`, 0},
		"once":                     {`var answer = sync.OnceValue(compute)`, 0},
		"embedded file":            {"//go:embed a.sql\nvar schema string", 0},
		"hidden by a local":        {`var table = []int{1}; func f() { table := []int{2}; table[0] = 3 }`, 0},
		"hidden by a parameter":    {`var n = 1; func f(n int) { n++ }`, 0},
		"hidden inside unknowns":   {`var n = 1; func f() { gone.Call(func(n int) { n = 2 }) }`, 0},
		"field of the same name":   {`var n = 1; type t struct{ n int }; func (x *t) f() { x.n = 2 }`, 0},
		"without a value":          {`var current string`, 1},
		"mutex":                    {`var mu = sync.Mutex{}`, 1},
		"pointer to a mutex":       {`var mu = &sync.Mutex{}`, 1},
		"counter":                  {`var n = atomic.Int64{}`, 1},
		"map that is filled":       {`var seen = map[string]bool{}; func f() { seen["a"] = true }`, 1},
		"map that is emptied":      {`var seen = map[string]bool{}; func f() { delete(seen, "a") }`, 1},
		"number that counts":       {`var n = 0; func f() { n++ }`, 1},
		"variable that is set":     {`var now = time.Now; func Set(g func() time.Time) { now = g }`, 1},
		"field that is set":        {`var c = config{}; type config struct{ a int }; func f() { c.a = 1 }`, 1},
		"address given away":       {`var c = 1; func f() { g(&c) }; func g(*int) {}`, 1},
		"written inside a closure": {`var n = 1; func f() { gone.Call(func() { n = 2 }) }`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parsed, err := parse(token.NewFileSet(), "x.go", []byte("package x\n"+c.text))
			if err != nil {
				t.Fatal(err)
			}
			if got := mutableVariables([]source{parsed}); len(got) != c.want {
				t.Errorf("got %q, want %d faults", got, c.want)
			}
		})
	}
}
