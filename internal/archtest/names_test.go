package archtest

import (
	"go/ast"
	"slices"
	"strings"
	"testing"
)

func TestPackagesAreNamedForWhatTheyOwn(t *testing.T) {
	t.Parallel()
	forbidden := []string{"util", "utils", "common", "helper", "helpers", "shared", "types", "models", "core", "manager"}
	for dir, sources := range byPackage(tree(t), true) {
		name := strings.TrimSuffix(sources[0].file.Name.Name, "_test")
		if slices.Contains(forbidden, name) {
			t.Errorf("%s: package %s says nothing about what belongs into it, so everything does", dir, name)
		}
	}
}

func TestFilesAndFunctionsStayReadable(t *testing.T) {
	t.Parallel()
	const fileLines, functionLines = 800, 100
	for _, s := range tree(t) {
		if n := s.lines(s.file); n > fileLines {
			t.Errorf("%s has %d lines, more than %d: it holds more than one thing", s.path, n, fileLines)
		}
		if s.isTest() || strings.HasSuffix(s.file.Name.Name, "test") {
			continue // a table of cases is long and easy to read, in a conformance suite too
		}
		for _, declaration := range s.file.Decls {
			if function, ok := declaration.(*ast.FuncDecl); ok && s.lines(function) > functionLines {
				t.Errorf("%s: %s has %d lines, more than %d", s.at(function), function.Name.Name, s.lines(function), functionLines)
			}
		}
	}
}

func TestNoTestSleepsInRealTime(t *testing.T) {
	t.Parallel()
	for _, s := range tree(t) {
		program := strings.HasPrefix(s.path, "test/bench/") // measures real time; it is no test
		if program || !s.isTest() && !strings.HasPrefix(s.path, "test/") || s.imports("testing/synctest") {
			continue
		}
		ast.Inspect(s.file, func(node ast.Node) bool {
			selector, ok := node.(*ast.SelectorExpr)
			if !ok || selector.Sel.Name != "Sleep" {
				return true
			}
			if pkg, ok := selector.X.(*ast.Ident); ok && pkg.Name == "time" {
				t.Errorf("%s: time.Sleep is too short on a loaded machine and too long on any other; "+
					"use testing/synctest, or wait for what must happen", s.at(selector))
			}
			return true
		})
	}
}
