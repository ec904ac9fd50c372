// Command bench compares batchd with the program a user would write instead: a bare keep-alive loop that reads the
// same file, posts every body and writes every answer. Both run as processes of their own against the same server
// in turn, so that a machine that drifts drifts for both; what it prints are medians of the ratios pair by pair,
// with their spread.
//
//	go run ./test/bench [-pairs 5] [-only NAME] [-write docs/benchmarks.md]
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

// scenario is one row or more of the table.
type scenario struct {
	name string
	run  func(b *bench) error
}

func compare(args []string) error {
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	pairs := flags.Int("pairs", 5, "alternating pairs for each comparison")
	only := flags.String("only", "", "run only the scenarios whose name holds this text")
	binary := flags.String("binary", "bin/batchd", "the binary to measure")
	write := flags.String("write", "", "document whose table of figures is replaced")
	_ = flags.Parse(args) // ExitOnError: never returns one
	b, err := newBench(*binary, *pairs)
	if err != nil {
		return err
	}
	defer b.close()
	fmt.Printf("batchd against a bare loop, %s, medians of %d alternating pairs\n", time.Now().UTC().Format("2006-01-02"), *pairs)
	for _, s := range scenarios() {
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
	return b.report.write(*write, *pairs)
}

func scenarios() []scenario {
	return []scenario{
		{"zero latency, 50,000 requests of 1 KB, 128 in flight", func(b *bench) error {
			return b.versusLoop(50_000, 128, 0, bars{0.6, 0.9, 2.0, 1.5})
		}},
		{"50 ms latency, 200,000 requests of 1 KB, 256 in flight", func(b *bench) error {
			return b.versusLoop(200_000, 256, 50*time.Millisecond, bars{rate: 0.97, rateAim: 0.99})
		}},
		{"memory and rate by size: 20,000, 50,000 and 1,000,000 lines", (*bench).bySize},
		{"small batches, shipped settings", (*bench).small},
		{"restart with a half-done batch of 1,000,000 lines", (*bench).restart},
		{"lists of 1,000,000 batches", (*bench).lists},
	}
}
