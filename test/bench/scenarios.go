package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// ratios collects one figure over pairs.
type ratios []float64

// String returns the median and the spread.
func (r ratios) String() string {
	s := slices.Sorted(slices.Values(r))
	if len(s) == 0 {
		return "none"
	}
	return fmt.Sprintf("%.3f (%.3f to %.3f)", s[len(s)/2], s[0], s[len(s)-1])
}

// versusLoop runs batchd and the loop in turn over the same file and server.
func (b *bench) versusLoop(n, concurrency int, latency time.Duration) error {
	in, err := b.input(n)
	if err != nil {
		return err
	}
	upstream, err := start(b.self, "server", "-latency", latency.String())
	if err != nil {
		return err
	}
	defer upstream.stop(os.Kill)
	var rate, cpu, loopRate, ourRate, commits, fsyncs ratios
	for i := range b.pairs {
		theirs, err := b.runLoop(context.Background(), in, upstream.url, concurrency)
		if err != nil {
			return err
		}
		ours, err := b.runBatch(in, upstream.url, concurrency)
		if err != nil {
			return err
		}
		loopRate = append(loopRate, float64(n)/theirs.wall.Seconds())
		ourRate = append(ourRate, float64(n)/ours.wall.Seconds())
		rate = append(rate, theirs.wall.Seconds()/ours.wall.Seconds())
		cpu = append(cpu, ours.cpu.Seconds()/theirs.cpu.Seconds())
		commits = append(commits, ours.commits*1000/float64(n))
		fsyncs = append(fsyncs, ours.fsyncs*1000/float64(n))
		fmt.Fprintf(os.Stderr, "  pair %d: loop %.0f/s, batchd %.0f/s, ratio %.3f, cpu ratio %.2f\n", i+1, loopRate[i], ourRate[i], rate[i], cpu[i])
	}
	fmt.Printf("  rate over the loop's       %s\n  CPU over the loop's        %s\n", rate, cpu)
	fmt.Printf("  requests/s, loop           %s\n  requests/s, batchd         %s\n", loopRate, ourRate)
	fmt.Printf("  commits per 1,000 requests %s\n  fsyncs per 1,000 requests  %s\n", commits, fsyncs)
	return nil
}

// batchCost is what a batch took.
type batchCost struct {
	cost
	peak            float64
	commits, fsyncs float64
}

// runBatch takes a file through a fresh batchd. CPU counts from before the upload, the clock from the create answer.
func (b *bench) runBatch(in, upstream string, concurrency int) (batchCost, error) {
	dir := filepath.Join(b.dir, "data")
	defer os.RemoveAll(dir)
	p, err := b.server(dir, upstream, "--concurrency", strconv.Itoa(concurrency))
	if err != nil {
		return batchCost{}, err
	}
	defer p.stop(syscall.SIGTERM)
	return measure(p, in)
}

// measure uploads, creates and waits, and reads what it cost the process.
func measure(p *process, in string) (c batchCost, err error) {
	before, err := p.cpu()
	if err != nil {
		return c, err
	}
	file, err := upload(p.url, in)
	if err != nil {
		return c, err
	}
	created, err := create(p.url, file)
	if err != nil {
		return c, err
	}
	began := time.Now()
	if _, err := wait(p.url, created.ID, 20*time.Millisecond); err != nil {
		return c, err
	}
	c.wall = time.Since(began)
	after, err := p.cpu()
	if err != nil {
		return c, err
	}
	c.cpu = after - before
	if c.peak, err = p.peak(); err != nil {
		return c, err
	}
	if c.commits, err = metric(p.url, "batchd_sql_commits_total"); err != nil {
		return c, err
	}
	c.fsyncs, err = metric(p.url, "batchd_fsyncs_total")
	return c, err
}

// bySize shows that neither memory nor rate depends on the number of lines.
func (b *bench) bySize() error {
	upstream, err := start(b.self, "server")
	if err != nil {
		return err
	}
	defer upstream.stop(os.Kill)
	rates := map[int]float64{}
	for _, n := range []int{20_000, 50_000, 1_000_000} {
		in, err := b.input(n)
		if err != nil {
			return err
		}
		c, err := b.runBatch(in, upstream.url, 128)
		if err != nil {
			return err
		}
		rates[n] = float64(n) / c.wall.Seconds()
		fmt.Printf("  %9d lines: peak %.0f MB, %.0f requests/s, %.2f commits and %.2f fsyncs per 1,000\n",
			n, c.peak, rates[n], c.commits*1000/float64(n), c.fsyncs*1000/float64(n))
	}
	fmt.Printf("  rate at 1,000,000 over rate at 50,000: %.3f\n", rates[1_000_000]/rates[50_000])
	return nil
}

// small measures what a batch costs that is over at once.
func (b *bench) small() error {
	upstream, err := start(b.self, "server")
	if err != nil {
		return err
	}
	defer upstream.stop(os.Kill)
	var thousand, sixty ratios
	for range b.pairs {
		one, many, err := b.smallOnce(upstream.url)
		if err != nil {
			return err
		}
		thousand, sixty = append(thousand, one.Seconds()), append(sixty, many.Seconds())
	}
	fmt.Printf("  1,000 lines, create to completed:        %s s\n  60 batches of 10 lines, first create to all completed: %s s\n", thousand, sixty)
	return nil
}

func (b *bench) smallOnce(upstream string) (one, many time.Duration, err error) {
	dir := filepath.Join(b.dir, "data")
	defer os.RemoveAll(dir)
	p, err := b.server(dir, upstream)
	if err != nil {
		return 0, 0, err
	}
	defer p.stop(syscall.SIGTERM)
	in, err := b.input(1000)
	if err != nil {
		return 0, 0, err
	}
	file, err := upload(p.url, in)
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	created, err := create(p.url, file)
	if err != nil {
		return 0, 0, err
	}
	if _, err := wait(p.url, created.ID, 2*time.Millisecond); err != nil {
		return 0, 0, err
	}
	one = time.Since(began)
	if in, err = b.input(10); err != nil {
		return 0, 0, err
	}
	if file, err = upload(p.url, in); err != nil {
		return 0, 0, err
	}
	began = time.Now()
	var ids []string
	for range 60 {
		v, err := create(p.url, file)
		if err != nil {
			return 0, 0, err
		}
		ids = append(ids, v.ID)
	}
	for _, id := range ids {
		if _, err := wait(p.url, id, 2*time.Millisecond); err != nil {
			return 0, 0, err
		}
	}
	return one, time.Since(began), nil
}

// restart kills a server in the middle of a million lines and measures how soon its successor sends.
func (b *bench) restart() error {
	in, err := b.input(1_000_000)
	if err != nil {
		return err
	}
	upstream, err := start(b.self, "server")
	if err != nil {
		return err
	}
	defer upstream.stop(os.Kill)
	dir := filepath.Join(b.dir, "restart")
	defer os.RemoveAll(dir)
	p, err := b.server(dir, upstream.url, "--concurrency", "128")
	if err != nil {
		return err
	}
	file, err := upload(p.url, in)
	if err != nil {
		return err
	}
	created, err := create(p.url, file)
	if err != nil {
		return err
	}
	for done := 0; done < 500_000; {
		var v batchView
		if err := call("GET", p.url+"/v1/batches/"+created.ID, "", nil, &v); err != nil {
			return err
		}
		done = v.Counts.Completed
		time.Sleep(50 * time.Millisecond)
	}
	p.stop(os.Kill)
	var took ratios
	for range b.pairs {
		if err := call("POST", upstream.url+"/reset", "", nil, nil); err != nil {
			return err
		}
		began := time.Now()
		if p, err = b.server(dir, upstream.url, "--concurrency", "128"); err != nil {
			return err
		}
		var first int64
		for first == 0 {
			_ = call("GET", upstream.url+"/first", "", nil, &first) // 404 until there was a call
			time.Sleep(time.Millisecond)
		}
		took = append(took, time.Unix(0, first).Sub(began).Seconds())
		p.stop(os.Kill)
	}
	fmt.Printf("  start to first upstream call after kill -9: %s s\n", took)
	return nil
}
