package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
	"time"
)

// event is one line of `go test -json`, as `go doc test2json` describes it.
type event struct {
	Action     string
	Package    string
	ImportPath string // of build output
	Test       string
	Output     string
	Elapsed    float64
}

// test names one test or subtest of one package.
type test struct{ pkg, name string }

// results is what one run of go test did.
type results struct {
	// outcome is pass, fail or skip, for each test and, under an empty name, for each package.
	outcome map[test]string
	// started holds the tests that were running when their package ended without saying what became of them.
	started map[test]bool
	// why is the last line that a skipped test printed.
	why     map[test]string
	elapsed time.Duration
}

// readEvents reads events to the end of in. It prints a line for each package, and all that a failed test printed.
// Lines that are no events, which the go command prints when a build fails, are passed on as they are.
func readEvents(in io.Reader, out io.Writer) (results, error) {
	r := results{outcome: map[test]string{}, started: map[test]bool{}, why: map[test]string{}}
	printed := map[test]*strings.Builder{} // by those that have not ended; what passed is not worth keeping
	began := time.Now()
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			r.take(line, printed, out)
		}
		if errors.Is(err, io.EOF) {
			r.elapsed = time.Since(began).Round(time.Second)
			return r, nil
		}
		if err != nil {
			return r, fmt.Errorf("read events: %w", err)
		}
	}
}

// take files one line. A test may have several outcomes, with -count or where packages are run again: the last one holds.
func (r *results) take(line string, printed map[test]*strings.Builder, out io.Writer) {
	var e event
	if json.Unmarshal([]byte(line), &e) != nil {
		fmt.Fprint(out, line)
		return
	}
	of := test{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(out, e.Output)
	case "run":
		r.started[of] = true
	case "output":
		if printed[of] == nil {
			printed[of] = &strings.Builder{}
		}
		printed[of].WriteString(e.Output)
		if text := strings.TrimSpace(e.Output); text != "" && !strings.HasPrefix(text, "--- ") {
			r.why[of] = text
		}
	case "pass", "fail", "skip":
		r.outcome[of] = e.Action
		delete(r.started, of)
		if e.Action == "fail" && printed[of] != nil {
			fmt.Fprint(out, printed[of])
		}
		delete(printed, of)
		if e.Test == "" {
			// A panic or a timeout ends a package without ending its tests: what they had printed says why.
			for of := range r.started {
				if of.pkg == e.Package && printed[of] != nil {
					fmt.Fprint(out, printed[of])
				}
			}
			if e.Action != "skip" { // else it has no test files
				fmt.Fprintf(out, "%-4s %7.2fs  %s\n", e.Action, e.Elapsed, e.Package)
			}
		}
	}
}

// skipped lists the tests that were skipped, in order.
func (r *results) skipped() []test {
	var tests []test
	for of, outcome := range r.outcome {
		if outcome == "skip" && of.name != "" {
			tests = append(tests, of)
		}
	}
	sort.Slice(tests, func(i, j int) bool {
		return tests[i].pkg < tests[j].pkg || tests[i].pkg == tests[j].pkg && tests[i].name < tests[j].name
	})
	return tests
}
