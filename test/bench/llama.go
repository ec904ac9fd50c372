package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"batchd/test/realmodel"
)

const (
	// llamaRun is how long a run is to take: finding the level is some seconds of it.
	llamaRun = 50 * time.Second
	// llamaTrial is how many lines show how many a run needs.
	llamaTrial = 2000
	// llamaBar is what auto must reach of the best fixed limit: it has to find the limit in each run, and goes on trying others.
	llamaBar = 0.93
)

// llama compares what batchd finds by itself with the best of some fixed limits, at a real engine with a tiny model.
func (b *bench) llama() error {
	if have := runtime.GOOS + "/" + runtime.GOARCH; have != realmodel.Platform {
		fmt.Printf("left out: runs on %s, not on %s\n", realmodel.Platform, have)
		return nil
	}
	serve, remove, err := realmodel.Server(".")
	if err != nil {
		return err
	}
	defer remove()
	model, err := start(serve.Path, serve.Args[1:]...)
	if err != nil {
		return err
	}
	defer model.stop(os.Kill)
	e := &engineRace{bench: b, url: model.url}
	if err := e.input(llamaTrial); err != nil {
		return err
	}
	rate, err := e.rate(realmodel.Sequences)
	if err != nil {
		return err
	}
	e.shortest = 0 // of the runs that count
	if err := e.input(int(rate * llamaRun.Seconds())); err != nil {
		return err
	}
	most := 0.0
	for _, limit := range []int{4, 8, 12, 16} { // that batchd can be told
		rate, err := e.rate(limit)
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "  %d in flight: %.1f/s\n", limit, rate)
		if rate > most {
			most, e.best = rate, limit
		}
	}
	return e.pairs()
}

// engineRace runs the same lines again and again at one engine.
type engineRace struct {
	bench *bench
	url   string
	in    string
	lines int
	best  int
	// shortest is the least time that a run took.
	shortest time.Duration
}

// input makes the file of so many prompts; the same number gives the same prompts.
func (e *engineRace) input(lines int) (err error) {
	e.lines = lines
	e.in, err = e.bench.write(fmt.Sprintf("prompts-%d.jsonl", lines), func(w io.Writer) {
		_ = realmodel.WriteInput(w, realmodel.Prompts(lines, 3)) // the writer keeps its first error
	})
	return err
}

// rate runs all lines and returns how many a second were answered; a limit of 0 is batchd's to find.
func (e *engineRace) rate(limit int) (float64, error) {
	c, err := e.bench.runBatch(e.bench.binary, e.in, e.url, limit)
	if err != nil {
		return 0, err
	}
	return e.of(c.wall), nil
}

// loopRate is that of the bare loop.
func (e *engineRace) loopRate(limit int) (float64, error) {
	c, err := e.bench.runLoop(context.Background(), e.in, e.url, limit)
	if err != nil {
		return 0, err
	}
	return e.of(c.wall), nil
}

// of is how many lines a second a run of this length answered. It also notes the shortest run, which the table names.
func (e *engineRace) of(wall time.Duration) float64 {
	if e.shortest == 0 || wall < e.shortest {
		e.shortest = wall
	}
	return float64(e.lines) / wall.Seconds()
}

// pairs compares in turn, and adds the figures.
func (e *engineRace) pairs() error {
	var ratio, auto, fixed, loop values
	for i := range e.bench.pairs {
		found, told, bare, err := e.pair(i)
		if err != nil {
			return err
		}
		auto, fixed, loop = append(auto, found), append(fixed, told), append(loop, bare)
		ratio = append(ratio, found/told)
		fmt.Fprintf(os.Stderr, "  pair %d: auto %.1f/s, %d in flight %.1f/s, the loop %.1f/s, ratio %.3f\n", i+1, found, e.best, told, bare, ratio[i])
	}
	name := fmt.Sprintf("llama.cpp, 8 sequences, runs of %.0f s or more: ", e.shortest.Seconds())
	r := &e.bench.report
	r.add(figure{fmt.Sprintf("%srate of auto over that of the best fixed limit, %d", name, e.best), ratio, number(llamaBar), "", atLeast(llamaBar)})
	r.add(figure{what: name + "requests/s of auto", values: auto})
	r.add(figure{what: name + "requests/s of the best fixed limit", values: fixed})
	r.add(figure{what: name + "requests/s of the loop with as many in flight", values: loop})
	return nil
}

// pair returns the rates of auto, of the best fixed limit, which come first in turn, and of the loop.
func (e *engineRace) pair(i int) (found, told, bare float64, err error) {
	for j := range 2 {
		into, limit := &found, 0
		if (i+j)%2 == 1 {
			into, limit = &told, e.best
		}
		if *into, err = e.rate(limit); err != nil {
			return 0, 0, 0, err
		}
	}
	bare, err = e.loopRate(e.best)
	return found, told, bare, err
}
