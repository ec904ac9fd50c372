package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// The markers in a page between which the table stands.
const (
	beginning = "<!-- mutations: what follows is written by make mutate -->"
	end       = "<!-- mutations: end -->"
)

// writePage puts the table into a page that has the markers.
func writePage(path string, results []result, now time.Time) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	changed, err := between(string(page), table(results, now))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(changed), 0o644)
}

// between replaces what stands between the markers.
func between(page, text string) (string, error) {
	before, rest, ok := strings.Cut(page, beginning)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return "", fmt.Errorf("want the markers %q and %q", beginning, end)
	}
	return before + beginning + "\n\n" + text + "\n" + end + after, nil
}

// table is the results in Markdown.
func table(results []result, now time.Time) string {
	var out strings.Builder
	out.WriteString("| date | mutation | promise | caught by | seconds |\n| --- | --- | --- | --- | ---: |\n")
	for _, r := range results {
		fmt.Fprintf(&out, "| %s | `%s`: %s | %s | `%s` | %.1f |\n",
			now.UTC().Format(time.DateOnly), strings.TrimPrefix(r.dir, "internal/"), r.name, r.promise, r.caughtBy, r.took.Seconds())
	}
	return out.String()
}
