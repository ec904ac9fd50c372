// Command requiretests reads the output of `go test -json`, prints it for people, and fails if a test failed, if a
// test that the project stands on did not run, or, with -forbid-skips, if any test was skipped without leave.
//
//	go test -json ./... | go run ./scripts/requiretests -list scripts/required-tests.txt -stage test
//
// A run that passes because the tests that matter were not in it is the one failure that go test cannot see.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"
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

// rule is one line of the list.
type rule struct {
	// excuse makes the rule permit a skip; otherwise it demands a run that passed.
	excuse bool
	pkg    string
	test   *regexp.Regexp
	line   string
}

// parseRules reads the rules of one stage. A line is "STAGE PACKAGE TEST" for a test that must have passed, or
// "skip PACKAGE TEST REASON" for one that may be skipped in every stage. TEST is a regular expression for the whole
// name; its subtests follow their test. A # starts a comment.
func parseRules(in io.Reader, stage string) ([]rule, error) {
	var rules []rule
	scanner := bufio.NewScanner(in)
	for number := 1; scanner.Scan(); number++ {
		text, _, _ := strings.Cut(scanner.Text(), "#")
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		excuse := words[0] == "skip"
		if len(words) < 3 || excuse && len(words) < 4 || !excuse && len(words) > 3 {
			return nil, fmt.Errorf("line %d: want STAGE PACKAGE TEST or skip PACKAGE TEST REASON: %q", number, text)
		}
		name, err := regexp.Compile("^(?:" + words[2] + ")$")
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if excuse || words[0] == stage {
			rules = append(rules, rule{excuse, words[1], name, strings.Join(words[1:3], " ")})
		}
	}
	return rules, scanner.Err()
}

// covers reports whether the rule speaks of a test or of one above it.
func (r rule) covers(of test) bool {
	if r.pkg != of.pkg {
		return false
	}
	for name := of.name; name != ""; {
		if r.test.MatchString(name) {
			return true
		}
		cut := strings.LastIndex(name, "/")
		name = name[:max(cut, 0)]
	}
	return false
}

// judge lists what is wrong with a run. A test that was started and did not end counts as failed, since a package that is
// killed says nothing of its tests; and so does a run of nothing, which go test takes for a good one.
func judge(r results, rules []rule, forbid bool) []string {
	var faults []string
	for of, outcome := range r.outcome {
		if outcome == "fail" {
			faults = append(faults, strings.TrimSpace(of.pkg+" "+of.name))
		}
	}
	for of := range r.started {
		faults = append(faults, fmt.Sprintf("%s %s did not come to an end", of.pkg, of.name))
	}
	if len(r.outcome) == 0 {
		faults = append(faults, "nothing ran")
	}
	for _, rule := range rules {
		if !rule.excuse {
			faults = append(faults, demand(r, rule)...)
		}
	}
	for _, of := range r.skipped() {
		excused := slices.ContainsFunc(rules, func(r rule) bool { return r.excuse && r.covers(of) })
		if forbid && !excused {
			faults = append(faults, fmt.Sprintf("%s %s was skipped: %s", of.pkg, of.name, r.why[of]))
		}
	}
	return faults
}

// demand lists what keeps a required test from counting as run.
func demand(r results, rule rule) []string {
	var faults []string
	passed := false
	for of, outcome := range r.outcome {
		switch {
		case of.name == "" || !rule.covers(of):
		case outcome == "pass":
			passed = true
		case outcome == "skip":
			faults = append(faults, fmt.Sprintf("%s %s is required and was skipped: %s", of.pkg, of.name, r.why[of]))
		}
	}
	if !passed && len(faults) == 0 {
		faults = append(faults, rule.line+" is required and did not run and pass")
	}
	return faults
}

// summary counts what ran and names what did not.
func summary(r results) string {
	counts := map[string]int{}
	for of, outcome := range r.outcome {
		if of.name != "" {
			counts[outcome]++
		}
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%d passed, %d failed, %d skipped in %s", counts["pass"], counts["fail"], counts["skip"], r.elapsed)
	for _, of := range r.skipped() {
		fmt.Fprintf(&text, "\nskipped %s %s: %s", of.pkg, of.name, r.why[of])
	}
	return text.String()
}
