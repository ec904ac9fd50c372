package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// scenario is one row or more of the table.
type scenario struct {
	name string
	run  func(b *bench) error
}

// scenarios are those of `bench` without a word behind it, in the order in which they run.
var scenarios = []scenario{
	{"zero latency, 50,000 requests of 1 KB, the loop with 128 in flight, batchd on auto", func(b *bench) error {
		return b.versusLoop(race{n: 50_000, loop: 128}, bars{0.6, 0.9, 2.0, 1.5})
	}},
	{"50 ms latency, 200,000 requests of 1 KB, 256 in flight", func(b *bench) error {
		return b.versusLoop(race{200_000, 256, 256, 50 * time.Millisecond}, bars{rate: 0.97, rateAim: 0.99})
	}},
	{"cpu per request against another binary", (*bench).versusBinary},
	{"llama.cpp, auto against the best fixed limit", (*bench).llama},

	{"memory and rate by size: 20,000, 50,000 and 1,000,000 lines", (*bench).bySize},
	{"small batches, shipped settings", (*bench).small},
	{"time of small batches against another binary", (*bench).versusSmall},
	{"restart with a half-done batch of 1,000,000 lines", (*bench).restart},
	{"lists of 1,000,000 batches", (*bench).lists},
}

// bars are what a comparison with the loop is held against; zero for no bar.
type bars struct{ rate, rateAim, cpu, cpuAim float64 }

// race is what a comparison with the loop runs: how many requests, how many of them the loop and batchd have in flight
// (0: batchd finds how many), and how long the server takes.
type race struct {
	n, loop, ours int
	latency       time.Duration
}

// name is how its rows begin.
func (r race) name() string {
	if r.ours == 0 {
		return fmt.Sprintf("%d requests, %s, the loop %d in flight, batchd auto: ", r.n, r.latency, r.loop)
	}
	return fmt.Sprintf("%d requests, %s, %d in flight: ", r.n, r.latency, r.loop)
}

// versusLoop runs batchd and the loop in turn over the same file and server.
func (b *bench) versusLoop(r race, want bars) error {
	in, err := b.input(r.n)
	if err != nil {
		return err
	}
	upstream, err := start(b.self, "server", "-latency", r.latency.String())
	if err != nil {
		return err
	}
	defer upstream.stop(os.Kill)
	n := float64(r.n)
	var rate, cpu, loopRate, ourRate, commits, fsyncs values
	for i := range b.pairs {
		theirs, err := b.runLoop(context.Background(), in, upstream.url, r.loop)
		if err != nil {
			return err
		}
		ours, err := b.runBatch(b.binary, in, upstream.url, r.ours)
		if err != nil {
			return err
		}
		loopRate = append(loopRate, n/theirs.wall.Seconds())
		ourRate = append(ourRate, n/ours.wall.Seconds())
		rate = append(rate, theirs.wall.Seconds()/ours.wall.Seconds())
		cpu = append(cpu, ours.cpu.Seconds()/theirs.cpu.Seconds())
		commits = append(commits, ours.commits*1000/n)
		fsyncs = append(fsyncs, ours.fsyncs*1000/n)
		fmt.Fprintf(os.Stderr, "  pair %d: loop %.0f/s, batchd %.0f/s, ratio %.3f, cpu ratio %.2f\n", i+1, loopRate[i], ourRate[i], rate[i], cpu[i])
	}
	name := r.name()
	b.report.add(figure{name + "rate over the loop's", rate, number(want.rate), number(want.rateAim), atLeast(want.rate)})
	if want.cpu > 0 {
		b.report.add(figure{name + "CPU over the loop's", cpu, number(want.cpu), number(want.cpuAim), atMost(want.cpu)})
	} else {
		b.report.add(figure{what: name + "CPU over the loop's", values: cpu})
	}
	b.report.add(figure{what: name + "requests/s of the loop", values: loopRate})
	b.report.add(figure{what: name + "requests/s of batchd", values: ourRate})
	b.report.add(figure{name + "SQL commits per 1,000", commits, "3", "", atMost(3)})
	b.report.add(figure{name + "fsyncs per 1,000", fsyncs, "20", "", atMost(20)})
	return nil
}

// batchCost is what a batch took.
type batchCost struct {
	cost
	peak            float64
	commits, fsyncs float64
}

// runBatch takes a file through a fresh batchd, which finds how many calls are worth having in flight if limit is 0. CPU
// counts from before the upload, the clock from the create answer.
func (b *bench) runBatch(binary, in, upstream string, limit int) (batchCost, error) {
	dir := filepath.Join(b.dir, "data")
	defer func() { _ = os.RemoveAll(dir) }() // the whole directory goes at the end
	p, err := startServer(binary, dir, upstream, concurrency(limit)...)
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
	if err := wait(p.url, created.ID, 20*time.Millisecond); err != nil {
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
	rates, peaks := map[int]values{}, map[int]values{}
	for range sizeRuns {
		for _, n := range []int{20_000, 50_000, 1_000_000} {
			in, err := b.input(n)
			if err != nil {
				return err
			}
			c, err := b.runBatch(b.binary, in, upstream.url, 128)
			if err != nil {
				return err
			}
			rates[n] = append(rates[n], float64(n)/c.wall.Seconds())
			peaks[n] = append(peaks[n], c.peak)
			fmt.Fprintf(os.Stderr, "  %d lines: peak %.0f MB, %.0f requests/s\n", n, c.peak, float64(n)/c.wall.Seconds())
		}
	}
	var ratio, growth values
	for i := range sizeRuns {
		ratio = append(ratio, rates[1_000_000][i]/rates[50_000][i])
		growth = append(growth, peaks[1_000_000][i]/peaks[20_000][i])
	}
	b.report.add(figure{what: "peak memory, 20,000 lines, MB", values: peaks[20_000]})
	b.report.add(figure{"peak memory, 50,000 lines, MB", peaks[50_000], "120", "80", atMost(120)})
	b.report.add(figure{"peak memory, 1,000,000 lines, MB", peaks[1_000_000], "200", "100", atMost(200)})
	b.report.add(figure{"peak memory, 1,000,000 over 20,000 lines", growth, "2", "", atMost(2)})
	b.report.add(figure{"rate at 1,000,000 lines over rate at 50,000", ratio, "0.9", "0.97", atLeast(0.9)})
	return nil
}

// sizeRuns is how often the large sizes are run: each takes minutes.
const sizeRuns = 3

// small measures what a batch costs that is over at once.
func (b *bench) small() error {
	upstream, err := start(b.self, "server")
	if err != nil {
		return err
	}
	defer upstream.stop(os.Kill)
	var thousand, sixty values
	for range b.pairs {
		one, many, err := b.smallOnce(upstream.url)
		if err != nil {
			return err
		}
		thousand, sixty = append(thousand, one.Seconds()), append(sixty, many.Seconds())
	}
	b.report.add(figure{"1,000 lines, create to completed, s", thousand, "0.3", "0.15", atMost(0.3)})
	b.report.add(figure{"60 batches of 10 lines, first create to all completed, s", sixty, "1", "0.4", atMost(1)})
	return nil
}

// smallOnce measures one batch of 1,000 lines and then 60 of 10, on a server that has done nothing yet. It polls often, as the
// pace of the polling adds to what is measured.
func (b *bench) smallOnce(upstream string) (one, many time.Duration, err error) {
	dir := filepath.Join(b.dir, "data")
	defer func() { _ = os.RemoveAll(dir) }() // the whole directory goes at the end
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
	if err := wait(p.url, created.ID, 2*time.Millisecond); err != nil {
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
		if err := wait(p.url, id, 2*time.Millisecond); err != nil {
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
	defer func() { _ = os.RemoveAll(dir) }() // the whole directory goes at the end
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
	// Each successor is killed in turn and leaves the next one what it found, and a few lines less to do.
	var took values
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
	b.report.add(figure{"restart with a half-done batch of 1,000,000 lines: start to first upstream call, s", took, "1", "", atMost(1)})
	return nil
}
