package main

import (
	"go/ast"
	"go/token"
)

// exports counts the exported names that a file declares at package level, methods of exported types among them, and those
// of them that have a comment. One on the group counts for all its names.
func (c *counts) exports(f file) {
	if f.ast.Name.Name == "main" {
		return
	}
	for _, declaration := range f.ast.Decls {
		switch declaration := declaration.(type) {
		case *ast.FuncDecl:
			if declaration.Name.IsExported() && (declaration.Recv == nil || ofExported(declaration.Recv.List[0].Type)) {
				c.export(declaration.Doc != nil)
			}
		case *ast.GenDecl:
			for _, spec := range declaration.Specs {
				c.exportSpec(declaration, spec)
			}
		}
	}
}

func (c *counts) exportSpec(group *ast.GenDecl, spec ast.Spec) {
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		if spec.Name.IsExported() {
			c.export(group.Doc != nil || spec.Doc != nil || spec.Comment != nil)
		}
	case *ast.ValueSpec:
		if spec.Names[0].IsExported() && group.Tok != token.IMPORT {
			c.export(group.Doc != nil || spec.Doc != nil || spec.Comment != nil)
		}
	}
}

func (c *counts) export(documented bool) {
	c.exported++
	if documented {
		c.documented++
	}
}

// ofExported reports whether a receiver's type is exported.
func ofExported(receiver ast.Expr) bool {
	switch t := receiver.(type) {
	case *ast.StarExpr:
		return ofExported(t.X)
	case *ast.IndexExpr:
		return ofExported(t.X)
	case *ast.IndexListExpr:
		return ofExported(t.X)
	case *ast.Ident:
		return t.IsExported()
	default:
		return true
	}
}
