// Licenses writes THIRD_PARTY_LICENSES: the licences of everything that is linked into batchd, on whichever platform it is
// built for, from the module cache. Without -write it checks that the file says what it would write. It fails where a module
// has no licence, one that it does not know, or one that is not on its list. It asks no network.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
)

// output is the file that is written, beside go.mod.
const output = "THIRD_PARTY_LICENSES"

// platforms are those that batchd is built for, as scripts/check-builds has them.
var platforms = []string{"linux/amd64", "linux/arm64", "darwin/arm64", "windows/amd64"}

func main() {
	write := flag.Bool("write", false, "write "+output+" instead of checking it")
	flag.Parse()
	if err := run(*write); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run makes the file anew, and writes it or compares it with the one that is there.
func run(write bool) error {
	modules, err := linked(platforms)
	if err != nil {
		return err
	}
	text, err := render(modules)
	if err != nil {
		return err
	}
	if write {
		return os.WriteFile(output, text, 0o644) //nolint:gosec // for everybody to read
	}
	have, err := os.ReadFile(output)
	if err != nil {
		return err
	}
	if !bytes.Equal(have, text) {
		return fmt.Errorf("%s is not what the build links: run `make licenses` and look at the difference", output)
	}
	return nil
}

// render returns the file, and all that speaks against it.
func render(modules []module) ([]byte, error) {
	var list, texts strings.Builder
	var faults []error
	for _, m := range modules {
		var kinds []string
		for _, d := range m.documents {
			kinds = append(kinds, d.kinds...)
			fmt.Fprintf(&texts, "\n%s\n%s %s: %s\n%s\n\n%s\n", rule, m.path, m.version, d.name, rule, strings.TrimSpace(d.text))
		}
		slices.Sort(kinds)
		kinds = slices.Compact(kinds)
		if len(kinds) == 0 {
			faults = append(faults, fmt.Errorf("%s %s has no licence", m.path, m.version))
		}
		faults = append(faults, m.faults()...)
		fmt.Fprintf(&list, "%s %s: %s\n", m.path, m.version, strings.Join(kinds, ", "))
	}
	return []byte(preamble + list.String() + texts.String()), errors.Join(faults...)
}

// rule is the line around the head of a licence.
const rule = "--------------------------------------------------------------------------------"

const preamble = `batchd links the following, besides its own code, which is under LICENSE. What is linked on some platforms only is
listed too. This file is made by "make licenses" from the sources that are built.

`
