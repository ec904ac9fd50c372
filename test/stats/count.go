package main

import (
	"bytes"
	"cmp"
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// counts is what is counted of one package, or of several together.
type counts struct {
	dir string
	// files and functions are lengths in lines.
	files, functions []int
	// nonBlank and comment are lines; comment counts those with a comment on them, or a part of one.
	nonBlank, comment int
	// single are the unexported functions with exactly one caller, apart those of these whose caller stands in another file,
	// and loose those of the latter that are no method or constructor of a type in their own file: a reader looks for one there.
	single, apart, loose []place
	// exported is how many exported names there are, documented how many of them have a comment.
	exported, documented int
	// tests is how many test files there are, inside those that belong to the package they test.
	tests, inside int
	// words are places of words that we do not use.
	words []place
}

// place is something at a line.
type place struct {
	what string
	at   token.Position
}

// count counts one package.
func count(p *pkg, allowed *allowances) counts {
	c := counts{dir: p.dir}
	for _, f := range p.files {
		c.lengths(p.set, f)
		c.lines(p.set, f)
		c.exports(f)
		if strings.HasPrefix(p.dir, "internal/") || strings.HasPrefix(p.dir, "cmd/") {
			c.words = append(c.words, wordsLeft(p.set, f, allowed)...)
		}
	}
	for _, f := range p.tests {
		c.tests++
		if !strings.HasSuffix(f.ast.Name.Name, "_test") {
			c.inside++
		}
	}
	c.callers(p)
	return c
}

// lengths counts the lines of a file and of its functions, from "func" to the closing brace.
func (c *counts) lengths(set *token.FileSet, f file) {
	c.files = append(c.files, bytes.Count(f.text, []byte("\n")))
	for _, declaration := range f.ast.Decls {
		if function, ok := declaration.(*ast.FuncDecl); ok {
			c.functions = append(c.functions, set.Position(function.End()).Line-set.Position(function.Pos()).Line+1)
		}
	}
}

// lines counts what is written and what of it is comments.
func (c *counts) lines(set *token.FileSet, f file) {
	commented := make(map[int]bool)
	for _, group := range f.ast.Comments {
		for _, comment := range group.List {
			from, to := set.Position(comment.Pos()), set.Position(comment.End())
			for line := from.Line; line <= to.Line; line++ {
				commented[line] = true
			}
		}
	}
	c.comment += len(commented)
	for line := range bytes.Lines(f.text) {
		if len(bytes.TrimSpace(line)) > 0 {
			c.nonBlank++
		}
	}
}

// callers finds the unexported functions and methods that the package names exactly once beside their declaration. Names
// are told apart by their letters alone, and one that two functions have counts for neither: that is how the figures of the
// other servers were counted. What the type checker would say is some percent more, for them as for us.
func (c *counts) callers(p *pkg) {
	declared := make(map[string][]*ast.FuncDecl)
	named := make(map[string][]*ast.Ident)
	for _, f := range p.files {
		var own *ast.Ident
		ast.Inspect(f.ast, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.FuncDecl:
				own = node.Name
				if !own.IsExported() && own.Name != "main" {
					declared[own.Name] = append(declared[own.Name], node)
				}
			case *ast.Ident:
				if node != own {
					named[node.Name] = append(named[node.Name], node)
				}
			}
			return true
		})
	}
	for name, functions := range declared {
		if len(functions) != 1 || len(named[name]) != 1 {
			continue
		}
		function, caller := p.set.Position(functions[0].Pos()), p.set.Position(named[name][0].Pos())
		c.single = append(c.single, place{what: name, at: function})
		if function.Filename == caller.Filename {
			continue
		}
		called := place{what: name + ", called in " + caller.String(), at: function}
		if !atHome(p, functions[0]) {
			called.what += ", not beside its type"
			c.loose = append(c.loose, called)
		}
		c.apart = append(c.apart, called)
	}
}

// atHome reports whether a function is a method of a type that its own file declares, or a constructor: its first result is
// such a type, or a pointer to one.
func atHome(p *pkg, function *ast.FuncDecl) bool {
	fields := function.Type.Results
	if function.Recv != nil {
		fields = function.Recv
	}
	if fields == nil {
		return false
	}
	name := typeName(fields.List[0].Type)
	path := p.set.Position(function.Pos()).Filename
	in := slices.IndexFunc(p.files, func(f file) bool { return f.path == path })
	return name != nil && slices.ContainsFunc(p.files[in].ast.Decls, func(declaration ast.Decl) bool {
		types, _ := declaration.(*ast.GenDecl)
		return types != nil && slices.ContainsFunc(types.Specs, func(spec ast.Spec) bool {
			t, ok := spec.(*ast.TypeSpec)
			return ok && t.Name.Name == name.Name
		})
	})
}

// exports counts the exported names that a file declares at package level, methods of exported types among them, and those
// of them that have a comment. One on the group counts for all its names.
func (c *counts) exports(f file) {
	if f.ast.Name.Name == "main" {
		return
	}
	for _, declaration := range f.ast.Decls {
		switch declaration := declaration.(type) {
		case *ast.FuncDecl:
			if declaration.Name.IsExported() && (declaration.Recv == nil || typeName(declaration.Recv.List[0].Type).IsExported()) {
				c.export(declaration.Doc != nil)
			}
		case *ast.GenDecl:
			for _, spec := range declaration.Specs {
				var name *ast.Ident
				var comment *ast.CommentGroup
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					name, comment = spec.Name, cmp.Or(declaration.Doc, spec.Doc, spec.Comment)
				case *ast.ValueSpec:
					name, comment = spec.Names[0], cmp.Or(declaration.Doc, spec.Doc, spec.Comment)
				}
				if name != nil && name.IsExported() {
					c.export(comment != nil)
				}
			}
		}
	}
}

// export counts one exported name.
func (c *counts) export(documented bool) {
	c.exported++
	if documented {
		c.documented++
	}
}

// typeName returns the name of a type, or of what a pointer points to, without type arguments. One that has none, or that
// another package declares, has nil.
func typeName(t ast.Expr) *ast.Ident {
	switch t := t.(type) {
	case *ast.StarExpr:
		return typeName(t.X)
	case *ast.IndexExpr:
		return typeName(t.X)
	case *ast.IndexListExpr:
		return typeName(t.X)
	case *ast.Ident:
		return t
	default:
		return nil
	}
}

// add adds the counts of another package.
func (c *counts) add(o counts) {
	c.files = append(c.files, o.files...)
	c.functions = append(c.functions, o.functions...)
	c.nonBlank += o.nonBlank
	c.comment += o.comment
	c.single = append(c.single, o.single...)
	c.apart = append(c.apart, o.apart...)
	c.loose = append(c.loose, o.loose...)
	c.exported += o.exported
	c.documented += o.documented
	c.tests += o.tests
	c.inside += o.inside
	c.words = append(c.words, o.words...)
}
