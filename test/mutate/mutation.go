package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// mutation is one way of breaking the product.
type mutation struct {
	// name says what is broken, promise what then no longer holds.
	name, promise string
	// dir is the package's directory, in which old stands exactly once in the files that are no tests; new takes its place.
	dir, old, new string
	// run is the pattern of the tests that should notice, less those that match skip, which take too long for it. They are
	// those of in, if that is not "", and else of dir.
	run, skip, in string
}

// tests is the directory of the tests that should notice.
func (m mutation) tests() string {
	if m.in != "" {
		return m.in
	}
	return m.dir
}

// placed is a mutation with the file it changes.
type placed struct {
	mutation
	// path is relative to the repository's directory; broken is the file with the change in it.
	path   string
	broken []byte
}

// place finds the file of a mutation.
func place(root string, m mutation) (placed, error) {
	var found []placed
	err := eachFile(filepath.Join(root, m.dir), false, func(path string, text []byte) {
		for range bytes.Count(text, []byte(m.old)) {
			found = append(found, placed{m, path, bytes.Replace(text, []byte(m.old), []byte(m.new), 1)})
		}
	})
	if err != nil {
		return placed{}, fmt.Errorf("%q: %w", m.name, err)
	}
	if len(found) == 1 {
		p := found[0]
		p.path, err = filepath.Rel(root, p.path)
		return p, err
	}
	return placed{}, fmt.Errorf("%q: its text stands %d times in %s, want once%s:\n%s", m.name, len(found), m.dir, elsewhere(root, m), m.old)
}

// elsewhere says where else the text of a mutation stands, as it moves with the code.
func elsewhere(root string, m mutation) string {
	var places []string
	_ = eachFile(filepath.Join(root, "internal"), true, func(path string, text []byte) { // a hint, no more
		if bytes.Contains(text, []byte(m.old)) {
			places = append(places, strings.TrimPrefix(path, root+"/"))
		}
	})
	if len(places) == 0 {
		return ""
	}
	return " (it stands in " + strings.Join(places, ", ") + ")"
}

// eachFile calls fn for the files of a directory that are part of the product; deep goes into those below, too.
func eachFile(dir string, deep bool, fn func(path string, text []byte)) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != dir && !deep:
			return fs.SkipDir
		case entry.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err == nil {
			fn(path, text)
		}
		return err
	})
}
