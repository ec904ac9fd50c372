// Command mutate breaks the product on purpose, one promise after the other, and demands that a test notices each time. The
// tree is never changed: the go command is given the broken file in place of the true one.
//
// A mutation is a text that stands once in the files of a package, and what it is replaced by. One whose text is not there, or
// not once, is an error and never a skip: code that moved takes its mutation with it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"time"
)

func main() {
	only := flag.String("only", "", "run the mutations whose name matches this regular `expression`")
	write := flag.String("write", "", "put the table into this `page`, between its markers")
	list := flag.Bool("list", false, "only check that each mutation finds its place, and list them")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *only, *write, *list); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only, write string, list bool) error {
	pattern, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	if write != "" && only != "" {
		return fmt.Errorf("a page has all mutations or none: -write goes without -only")
	}
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	var chosen []placed
	for _, m := range mutations {
		p, err := place(root, m)
		if err != nil {
			return err
		}
		if pattern.MatchString(m.name) {
			chosen = append(chosen, p)
		}
	}
	if list {
		for _, p := range chosen {
			fmt.Printf("%-60s %s\n", p.name, p.path)
		}
		return nil
	}
	results, err := tryAll(ctx, root, chosen)
	if err != nil {
		return err
	}
	var left []string
	for _, r := range results {
		if r.caughtBy == "" {
			left = append(left, r.name)
		}
	}
	if len(left) > 0 {
		return fmt.Errorf("%d of %d mutations were not caught: %q", len(left), len(results), left)
	}
	if write != "" {
		return writePage(write, results, time.Now())
	}
	return nil
}

// tryAll runs the mutations one after the other, as each has the machine's processors busy, and says how each went.
func tryAll(ctx context.Context, root string, chosen []placed) ([]result, error) {
	var results []result
	healthy := make(map[string]bool)
	for _, p := range chosen {
		if key := p.tests() + " " + p.run + " " + p.skip; !healthy[key] {
			// What fails without the mutation notices nothing. What the go command has seen pass it does not run again.
			seen, err := goTest(ctx, root, p.mutation)
			if err != nil {
				return results, err
			}
			if seen.failed != "" || seen.hung || seen.unbuilt || seen.broken {
				return results, fmt.Errorf("the tests %q of %s fail without any mutation:\n%s", p.run, p.tests(), seen.text.String())
			}
			healthy[key] = true
		}
		r, err := try(ctx, root, p)
		if err != nil {
			return results, err
		}
		results = append(results, r)
		fmt.Println(r)
	}
	return results, nil
}
