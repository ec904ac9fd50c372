// Command requiretests reads the output of `go test -json`, prints it for people, and fails if a test failed, if a
// test that the project stands on did not run, or, with -forbid-skips, if any test was skipped without leave.
//
//	go test -json ./... | go run ./scripts/requiretests -list scripts/required-tests.txt -stage test
//
// A run that passes because the tests that matter were not in it is the one failure that go test cannot see.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	list := flag.String("list", "scripts/required-tests.txt", "file that names the tests that must have run")
	stage := flag.String("stage", "test", "which of the list's stages this run is")
	forbid := flag.Bool("forbid-skips", os.Getenv("CI") == "true", "fail if a test was skipped that the list does not excuse")
	flag.Parse()
	ok, err := run(os.Stdin, os.Stdout, *list, *stage, *forbid)
	if err != nil {
		fmt.Fprintln(os.Stderr, "requiretests:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// run judges the events of in by the stage of a list and prints the verdict to out.
func run(in io.Reader, out io.Writer, list, stage string, forbid bool) (bool, error) {
	file, err := os.Open(list)
	if err != nil {
		return false, err
	}
	defer func() { _ = file.Close() }() // it is only read
	rules, err := parseRules(file, stage)
	if err != nil {
		return false, fmt.Errorf("read %s: %w", list, err)
	}
	results, err := readEvents(in, out)
	if err != nil {
		return false, err
	}
	faults := judge(results, rules, forbid)
	for _, fault := range faults {
		fmt.Fprintln(out, "FAIL", fault)
	}
	fmt.Fprintln(out, summary(results))
	return len(faults) == 0, nil
}
