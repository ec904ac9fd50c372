package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// listRuns is how often the store of a million batches is made and listed: each takes about a minute.
const listRuns = 3

// lists has the store's own benchmark list a million batches, page by page.
func (b *bench) lists() error {
	slowest := make(map[string]values)
	var order []string
	for range listRuns {
		pages, err := listPages(context.Background())
		if err != nil {
			return err
		}
		for _, p := range pages {
			if slowest[p.name] == nil {
				order = append(order, p.name)
			}
			slowest[p.name] = append(slowest[p.name], p.p99)
		}
	}
	for _, name := range order {
		b.report.add(figure{"a page of 20 of 1,000,000 batches, " + name + ": 99th percentile, ms", slowest[name], "5", "", atMost(5)})
	}
	return nil
}

// page is a kind of page with the 99th percentile of its times in milliseconds.
type page struct {
	name string
	p99  float64
}

// listPages runs the benchmark once.
func listPages(ctx context.Context) ([]page, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkListBatches$", "-benchtime", "2000x", "./internal/store/sqlite")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	var pages []page
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		if p, ok := parsePage(lines.Text()); ok {
			fmt.Fprintf(os.Stderr, "  %s: %.2f ms\n", p.name, p.p99)
			pages = append(pages, p)
		}
	}
	if len(pages) == 0 {
		return nil, fmt.Errorf("%s: no results in:\n%s", cmd, out)
	}
	return pages, nil
}

// parsePage reads one line of a benchmark's output: the name, then pairs of a number and its unit.
func parsePage(line string) (page, bool) {
	fields := strings.Fields(line)
	if len(fields) == 0 {
		return page{}, false
	}
	name, isPage := strings.CutPrefix(fields[0], "BenchmarkListBatches/")
	if !isPage {
		return page{}, false
	}
	if i := strings.LastIndexByte(name, '-'); i > 0 {
		name = name[:i] // the number of processors
	}
	name = strings.ReplaceAll(strings.ReplaceAll(name, "_", " "), "/", ", ")
	for i := 1; i < len(fields); i++ {
		if fields[i] == "p99-ms" {
			p99, err := strconv.ParseFloat(fields[i-1], 64)
			return page{name, p99}, err == nil
		}
	}
	return page{}, false
}
