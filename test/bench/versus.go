package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// What is looked for are differences of a few percent, so there are more pairs than elsewhere. Calls in flight are fixed: how
// many there are changes what a call costs.
const (
	versusPairs       = 7
	versusLines       = 50_000
	versusConcurrency = 64
	versusBar         = 1.03
)

// versusBinary compares the CPU time of a request with that of another binary, both with the same number of calls in
// flight.
func (b *bench) versusBinary() error {
	if b.versus == "" {
		fmt.Println("left out: no -versus names another binary")
		return nil
	}
	other, err := filepath.Abs(b.versus)
	if err != nil {
		return err
	}
	in, err := b.input(versusLines)
	if err != nil {
		return err
	}
	upstream, err := start(b.self, "server")
	if err != nil {
		return err
	}
	defer upstream.stop(os.Kill)
	var ratio, micros, theirs values
	for i := range versusPairs {
		ours, other, err := b.pair(i, in, upstream.url, other)
		if err != nil {
			return err
		}
		ratio = append(ratio, ours/other)
		micros, theirs = append(micros, ours*1e6/versusLines), append(theirs, other*1e6/versusLines)
		fmt.Fprintf(os.Stderr, "  pair %d: %.1f µs and %.1f µs, ratio %.3f\n", i+1, micros[i], theirs[i], ratio[i])
	}
	name := fmt.Sprintf("%d requests, 0s, %d in flight, %d pairs: ", versusLines, versusConcurrency, versusPairs)
	b.report.add(figure{name + "CPU over the other binary's", ratio, number(versusBar), "", atMost(versusBar)})
	b.report.add(figure{what: name + "CPU of a request, µs", values: micros})
	b.report.add(figure{what: name + "CPU of a request of the other binary, µs", values: theirs})
	return nil
}

// pair runs both binaries, in turn the one and the other first, and returns the seconds of CPU that each took.
func (b *bench) pair(i int, in, upstream, other string) (ours, theirs float64, err error) {
	one := func(binary string, into *float64) error {
		c, err := b.runBatch(binary, in, upstream, versusConcurrency)
		*into = c.cpu.Seconds()
		return err
	}
	if i%2 == 0 {
		err = one(b.binary, &ours)
		return ours, theirs, errors.Join(err, one(other, &theirs))
	}
	err = one(other, &theirs)
	return ours, theirs, errors.Join(err, one(b.binary, &ours))
}
