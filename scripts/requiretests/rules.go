package main

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

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
