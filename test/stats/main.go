// Command stats counts what a reader of the tree meets: how long files and functions are, how much is said in comments, how
// many functions exist for a single caller, and which words are left that we do not use. It prints the counts beside those of
// four servers whose code is read as a model, and says which of our bars are missed.
//
// It only reads source, so it also runs on a tree that does not compile.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	worst := flag.Int("worst", 10, "how many packages to list under each bar")
	list := flag.Bool("list", false, "list each function with one caller and each place of a word, too")
	flag.Parse()
	if err := run(*worst, *list); err != nil {
		fmt.Fprintln(os.Stderr, "stats:", err)
		os.Exit(1)
	}
}

func run(worst int, list bool) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	packages, err := load(root)
	if err != nil {
		return err
	}
	allowed, err := readAllowed(filepath.Join(root, "test", "stats", "allowed.txt"))
	if err != nil {
		return err
	}
	r := report{worst: worst, list: list, counts: make([]counts, 0, len(packages))}
	for _, p := range packages {
		r.counts = append(r.counts, count(p, allowed))
	}
	r.stale = allowed.unused()
	return r.write(os.Stdout)
}
