// Command bench compares batchd with the program a user would write instead: a bare keep-alive loop that reads the
// same file, posts every body and writes every answer. Both run as processes of their own against the same server
// in turn, so that a machine that drifts drifts for both; what it prints are medians of the ratios pair by pair,
// with their spread.
//
//	go run ./test/bench [-pairs 5] [-only NAME] [-versus BINARY] [-write docs/benchmarks.md]
//	go run ./test/bench levels [-only NAME] [-write docs/benchmarks.md]
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "server":
			fail(serve(os.Args[2:]))
			return
		case "loop":
			fail(loop(os.Args[2:]))
			return
		case "levels":
			fail(levels(os.Args[2:]))
			return
		}
	}
	fail(compare(os.Args[1:]))
}

// fail ends the program if err is not nil.
func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// compare runs the scenarios and prints each figure as it comes, so that one that is stopped half-way has told something.
func compare(args []string) error {
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	pairs := flags.Int("pairs", 5, "alternating pairs for each comparison")
	only := flags.String("only", "", "run only the scenarios whose name holds this text")
	binary := flags.String("binary", "bin/batchd", "the binary to measure")
	versus := flags.String("versus", "", "another binary, built of any commit, that its CPU is compared with")
	write := flags.String("write", "", "document whose table of figures is replaced")
	_ = flags.Parse(args) // ExitOnError: never returns one
	b, err := newBench(*binary, *pairs)
	if err != nil {
		return err
	}
	defer b.close()
	b.versus = *versus
	fmt.Printf("batchd against a bare loop, %s, medians of %d alternating pairs\n", time.Now().UTC().Format("2006-01-02"), *pairs)
	for _, s := range scenarios {
		if !strings.Contains(s.name, *only) {
			continue
		}
		fmt.Printf("\n%s\n", s.name)
		if err := s.run(b); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	if *write == "" {
		return nil
	}
	title := fmt.Sprintf("Measured on %s; medians of %d runs or alternating pairs.", machine(), *pairs)
	return b.report.write(*write, table{"make bench", title, benchHead})
}
