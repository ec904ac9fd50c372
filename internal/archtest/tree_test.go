// Package archtest holds the rules of the tree as tests: who may import whom, what packages may be called, what may
// stand at package level, how long a file and a function may grow, what must be documented, and that every fault case
// of docs/cases.md names a test that exists. It also holds pages against what they speak of: links, decisions,
// dependencies, numbers of formats, metrics, versions, where the map of the code says that things are, and what a forge
// is told to run. Each failure prints the reason of
// the rule, not only the place.
//
// It reads source files and never imports the packages that it judges.
package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// root is the repository's directory, seen from this package's.
const root = "../.."

// source is one Go file of the tree.
type source struct {
	// path is relative to the repository's directory, with slashes.
	path string
	file *ast.File
	set  *token.FileSet
}

// dir is the directory that the file is in.
func (s source) dir() string { return filepath.ToSlash(filepath.Dir(s.path)) }

func (s source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

// at is the place of a node as path:line.
func (s source) at(node ast.Node) token.Position {
	position := s.set.Position(node.Pos())
	position.Filename = s.path
	return position
}

// lines is how many lines a node spans.
func (s source) lines(node ast.Node) int {
	return s.set.Position(node.End()).Line - s.set.Position(node.Pos()).Line + 1
}

func (s source) imports(path string) bool {
	return slices.ContainsFunc(s.file.Imports, func(spec *ast.ImportSpec) bool {
		return spec.Path.Value == `"`+path+`"`
	})
}

// tree parses every Go file of the repository.
func tree(t *testing.T) []source {
	t.Helper()
	var sources []source
	set := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if entry.IsDir() && relative != "." && ignored(entry.Name()) {
			return fs.SkipDir
		}
		if entry.IsDir() || filepath.Ext(path) != ".go" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		parsed, err := parse(set, filepath.ToSlash(relative), text)
		sources = append(sources, parsed)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sources
}

// ignored reports whether a directory holds nothing of the tree: the go command does not look into these either.
func ignored(dir string) bool {
	return strings.HasPrefix(dir, ".") || strings.HasPrefix(dir, "_") || dir == "testdata" || dir == "node_modules"
}

func parse(set *token.FileSet, path string, text []byte) (source, error) {
	file, err := parser.ParseFile(set, path, text, parser.ParseComments|parser.SkipObjectResolution)
	return source{path: path, file: file, set: set}, err
}

// byPackage groups the files of a directory, its test files apart if wanted.
func byPackage(sources []source, withTests bool) map[string][]source {
	packages := map[string][]source{}
	for _, s := range sources {
		if withTests || !s.isTest() {
			packages[s.dir()] = append(packages[s.dir()], s)
		}
	}
	return packages
}
