package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// pkg is the Go files of one directory.
type pkg struct {
	// dir is relative to the root, with slashes.
	dir string
	set *token.FileSet
	// files are those of the program, tests the others. Generated ones are left out, as nobody reads them.
	files, tests []file
}

// file is one source file.
type file struct {
	// path is relative to the root, with slashes.
	path string
	text []byte
	ast  *ast.File
}

// load parses every Go file below the root, for whatever system and build tags it is, and returns the packages in order.
func load(root string) ([]*pkg, error) {
	byDir := make(map[string]*pkg)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		// What the go command does not look into holds nothing of the tree, and vendored code is not ours.
		foreign := err == nil && (strings.ContainsAny(entry.Name()[:1], "._") || slices.Contains([]string{"testdata", "node_modules", "vendor"}, entry.Name()))
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && foreign:
			return fs.SkipDir
		case entry.IsDir() || filepath.Ext(path) != ".go":
			return nil
		}
		relative, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(relative)
		if byDir[dir] == nil {
			byDir[dir] = &pkg{dir: dir, set: token.NewFileSet()}
		}
		return byDir[dir].add(path, dir+"/"+entry.Name())
	})
	var packages []*pkg
	for _, p := range byDir {
		packages = append(packages, p)
	}
	slices.SortFunc(packages, func(a, b *pkg) int { return strings.Compare(a.dir, b.dir) })
	return packages, err
}

// add parses a file that is called so in the tree.
func (p *pkg) add(path, name string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	parsed, err := parser.ParseFile(p.set, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil || ast.IsGenerated(parsed) {
		return err
	}
	f := file{name, text, parsed}
	if strings.HasSuffix(name, "_test.go") {
		p.tests = append(p.tests, f)
	} else {
		p.files = append(p.files, f)
	}
	return nil
}
