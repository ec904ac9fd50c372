package archtest

import (
	"go/ast"
	"go/token"
	"strings"
	"testing"
)

func TestEveryPackageSaysWhatItOwns(t *testing.T) {
	t.Parallel()
	for dir, sources := range byPackage(tree(t), true) {
		var comments []string
		for _, s := range sources {
			if s.file.Doc != nil {
				comments = append(comments, s.file.Doc.Text())
			}
		}
		name := sources[0].file.Name.Name
		switch {
		case len(comments) == 0:
			t.Errorf("%s has no package comment: say what it owns, what it promises and what it must not know", dir)
		case len(comments) > 1:
			t.Errorf("%s has %d package comments: readers see them joined in the order of the file names", dir, len(comments))
		case name != "main" && !strings.HasPrefix(comments[0], "Package "+strings.TrimSuffix(name, "_test")+" "):
			t.Errorf("%s: the package comment begins %.30q, not with the package's name", dir, comments[0])
		}
	}
}

func TestExportedNamesAreDocumented(t *testing.T) {
	t.Parallel()
	const enough = 0.9
	total, bare := 0, []token.Position(nil)
	for _, s := range tree(t) {
		if s.isTest() || s.file.Name.Name == "main" {
			continue
		}
		for _, name := range exported(s.file) {
			total++
			if !name.documented {
				bare = append(bare, s.at(name.node))
			}
		}
	}
	if documented := total - len(bare); float64(documented) < enough*float64(total) {
		t.Errorf("%d of %d exported names are documented, want %.0f%%; the others: %v", documented, total, enough*100, bare)
	}
}

// name is one exported name and whether a comment belongs to it.
type name struct {
	node       ast.Node
	documented bool
}

// exported lists the exported names that a file declares at package level, methods of exported types among them.
func exported(file *ast.File) []name {
	var names []name
	for _, declaration := range file.Decls {
		switch declaration := declaration.(type) {
		case *ast.FuncDecl:
			if declaration.Name.IsExported() && exportedReceiver(declaration) {
				names = append(names, name{declaration, declaration.Doc != nil})
			}
		case *ast.GenDecl:
			for _, spec := range declaration.Specs {
				names = append(names, exportedSpec(declaration, spec)...)
			}
		}
	}
	return names
}

func exportedReceiver(function *ast.FuncDecl) bool {
	if function.Recv == nil {
		return true
	}
	named, ok := receiverOf(function)
	return !ok || named.IsExported()
}

// receiverOf returns the name of a method's type; false for one that has none of its own, which only a mistake can have.
func receiverOf(method *ast.FuncDecl) (*ast.Ident, bool) {
	receiver := method.Recv.List[0].Type
	if pointer, ok := receiver.(*ast.StarExpr); ok {
		receiver = pointer.X
	}
	if generic, ok := receiver.(*ast.IndexExpr); ok {
		receiver = generic.X
	}
	named, ok := receiver.(*ast.Ident)
	return named, ok
}

// exportedSpec lists the names of one line of a declaration. A comment on the group or at the line's end counts.
func exportedSpec(group *ast.GenDecl, spec ast.Spec) []name {
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		if spec.Name.IsExported() {
			return []name{{spec, group.Doc != nil || spec.Doc != nil || spec.Comment != nil}}
		}
	case *ast.ValueSpec:
		if spec.Names[0].IsExported() {
			return []name{{spec, group.Doc != nil || spec.Doc != nil || spec.Comment != nil}}
		}
	}
	return nil
}
