package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// smallBatches is how many batches of ten lines each binary has in a pair. Both servers run, and have a batch in turn: on a
// machine that does other things, the times of one batch differ by more than what is looked for.
const smallBatches = 150

// versusSmall compares the time of a small batch, which is mostly its commits, with that of another binary.
func (b *bench) versusSmall() error {
	if b.versus == "" {
		fmt.Println("left out: no -versus names another binary")
		return nil
	}
	other, err := filepath.Abs(b.versus)
	if err != nil {
		return err
	}
	upstream, err := start(b.self, "server")
	if err != nil {
		return err
	}
	defer upstream.stop(os.Kill)
	var ratio, ours, theirs values
	for i := range versusPairs {
		a, z, err := b.smallPair(upstream.url, other)
		if err != nil {
			return err
		}
		ratio, ours, theirs = append(ratio, a/z), append(ours, a*1e3), append(theirs, z*1e3)
		fmt.Fprintf(os.Stderr, "  pair %d: %.2f ms and %.2f ms, ratio %.3f\n", i+1, ours[i], theirs[i], ratio[i])
	}
	name := fmt.Sprintf("batch of 10 lines, %d pairs of %d: ", versusPairs, smallBatches)
	b.report.add(figure{name + "time over the other binary's", ratio, number(versusBar), "", atMost(versusBar)})
	b.report.add(figure{what: name + "create to completed, ms", values: ours})
	b.report.add(figure{what: name + "of the other binary, ms", values: theirs})
	return nil
}

// smallPair runs both binaries, each on a new directory, and returns the median seconds that a batch took with each.
func (b *bench) smallPair(upstream, other string) (ours, theirs float64, err error) {
	var servers [2]*process
	var files [2]string
	in, err := b.input(10)
	if err != nil {
		return 0, 0, err
	}
	for i, binary := range []string{b.binary, other} {
		dir := filepath.Join(b.dir, fmt.Sprintf("small-%d", i))
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		p, err := startServer(binary, dir, upstream)
		if err != nil {
			return 0, 0, err
		}
		defer p.stop(syscall.SIGTERM)
		servers[i] = p
		if files[i], err = upload(p.url, in); err != nil {
			return 0, 0, err
		}
	}
	var took [2]values
	for n := range 2 * smallBatches {
		i := n % 2
		began := time.Now()
		created, err := create(servers[i].url, files[i])
		if err != nil {
			return 0, 0, err
		}
		if err := wait(servers[i].url, created.ID, time.Millisecond); err != nil {
			return 0, 0, err
		}
		took[i] = append(took[i], time.Since(began).Seconds())
	}
	return took[0].median(), took[1].median(), nil
}
