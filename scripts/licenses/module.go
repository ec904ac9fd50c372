package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// module is something that is linked, with what its authors say about copying it.
type module struct {
	path, version string
	documents     []document
}

// faults says which of a module's documents nothing is known about, or which are not allowed.
func (m module) faults() []error {
	var faults []error
	for _, d := range m.documents {
		if len(d.kinds) == 0 && !d.informs() {
			faults = append(faults, fmt.Errorf("%s %s: %s is no licence that is known", m.path, m.version, d.name))
		}
		for _, k := range d.kinds {
			if !slices.Contains(allowed, k) {
				faults = append(faults, fmt.Errorf("%s %s: %s is under %s, which is not allowed", m.path, m.version, d.name, k))
			}
		}
	}
	return faults
}

// listed is what go list says of a package.
type listed struct {
	Dir      string
	Standard bool
	Module   *struct {
		Path, Version, Dir string
		Main               bool
	}
}

// linked lists what the binary is made of on any of the platforms, in order of path: the standard library first, then
// modules. Of these only directories count that a linked package is in or below.
func linked(platforms []string) ([]module, error) {
	found := make(map[string]*module)
	seen := make(map[string]bool)
	for _, platform := range platforms {
		packages, err := list(platform)
		if err != nil {
			return nil, err
		}
		for _, p := range packages {
			if p.Standard || p.Module == nil || p.Module.Main {
				continue
			}
			m := found[p.Module.Path]
			if m == nil {
				m = &module{path: p.Module.Path, version: p.Module.Version}
				found[m.path] = m
			}
			for dir := p.Dir; ; dir = filepath.Dir(dir) {
				if !seen[dir] {
					seen[dir] = true
					if err := m.read(p.Module.Dir, dir); err != nil {
						return nil, err
					}
				}
				if dir == p.Module.Dir || len(dir) < len(p.Module.Dir) {
					break
				}
			}
		}
	}
	modules := make([]module, 0, len(found)+1)
	for _, m := range found {
		slices.SortFunc(m.documents, func(a, b document) int { return strings.Compare(a.name, b.name) })
		modules = append(modules, *m)
	}
	slices.SortFunc(modules, func(a, b module) int { return strings.Compare(a.path, b.path) })
	standard := module{path: "The Go standard library and runtime", version: "of the toolchain"}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err == nil {
		err = standard.read(strings.TrimSpace(string(root)), strings.TrimSpace(string(root)))
	}
	return slices.Insert(modules, 0, standard), err
}

// list returns the packages of the binary on a platform, as it is released: without cgo.
func list(platform string) ([]listed, error) {
	system, processor, _ := strings.Cut(platform, "/")
	cmd := exec.Command("go", "list", "-deps", "-json=Dir,Standard,Module", "./cmd/batchd")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+processor)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list packages for %s: %w", platform, err)
	}
	var packages []listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, fmt.Errorf("read the list of packages for %s: %w", platform, err)
		}
		packages = append(packages, p)
	}
}

// named matches the names of files about copying.
var named = regexp.MustCompile(`(?i)^(licen[cs]e|unlicen[cs]e|copying|copyright|notice|patents)([-_.].*)?$`)

// read adds the documents that lie in a directory of the module's root.
func (m *module) read(root, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() || !named.MatchString(e.Name()) || strings.HasSuffix(e.Name(), ".go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		if d := newDocument(filepath.ToSlash(name), string(text)); leftOut[m.path+" "+d.name] == "" {
			m.documents = append(m.documents, d)
		}
	}
	return nil
}
