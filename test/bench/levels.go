package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// levels finds out over real sockets whether batchd keeps as many calls in flight as an upstream can take, without
// being told how many that are. The upstream has seats and a queue and shows no metrics.
//
//	go run ./test/bench levels [-binary bin/batchd] [-only NAME] [-write docs/benchmarks.md]
func levels(args []string) error {
	flags := flag.NewFlagSet("levels", flag.ExitOnError)
	binary := flags.String("binary", "bin/batchd", "the binary to measure")
	only := flags.String("only", "", "run only the scenarios whose name holds this text")
	write := flags.String("write", "", "document whose table of levels is replaced")
	var t times
	flags.Float64Var(&t.jitter, "jitter", 0.6, "sigma of the log-normal distribution of calls' lengths")
	flags.DurationVar(&t.settle, "settle", time.Minute, "time before a level is measured")
	flags.DurationVar(&t.long, "long", 5*time.Minute, "time before a configured concurrency that is too high is measured")
	flags.DurationVar(&t.measure, "measure", time.Minute, "time for which a level is measured")
	flags.DurationVar(&t.outage, "outage", 5*time.Minute, "length of an outage")
	_ = flags.Parse(args) // ExitOnError: never returns one
	b, err := newBench(*binary, 1)
	if err != nil {
		return err
	}
	defer b.close()
	for _, group := range groups(&t) {
		if err := b.runGroup(group, *only); err != nil {
			return err
		}
	}
	if *write == "" {
		return nil
	}
	title := fmt.Sprintf("Measured on %s; each is one run of its own server and upstream, some of them at the same time. "+
		"Lengths of calls are log-normal, sigma %.1f; a level is measured for %s, after %s unless it says otherwise.",
		machine(), t.jitter, words(t.measure), words(t.settle))
	return b.report.write(*write, table{"make bench-levels", title, levelHead})
}

// times are the lengths of the parts of a scenario.
type times struct {
	settle, long, measure, outage time.Duration
	jitter                        float64
}

// trial is one scenario with a server and an upstream of its own.
type trial struct {
	name string
	site siteOptions
	run  func(s *site) ([]figure, error)
}

// groups returns the scenarios. Those of a group run at the same time, up to 2,000 calls a second in all, which take
// less than half of two cores.
func groups(t *times) [][]trial {
	short, long := 100*time.Millisecond, 2*time.Second
	return [][]trial{
		{endless(t, 12, short), endless(t, 48, short), endless(t, 1000, long)},
		{endless(t, 200, short)},
		bounded(t, 48, 8),
		append(bounded(t, 12, 0), bounded(t, 12, 12)...),
		append(outages(t), tooHigh(t)),
	}
}

// endless is an upstream that queues for ever and never refuses.
func endless(t *times, seats int, latency time.Duration) trial {
	o := siteOptions{seats: seats, queue: -1, latency: latency, jitter: t.jitter, lasts: t.settle + t.measure}
	name := fmt.Sprintf("%d seats, calls of %s, endless queue", seats, words(latency))
	return trial{name, o, func(s *site) ([]figure, error) {
		l, err := s.level(t.settle, t.measure)
		return []figure{
			{"share of what the seats can do", values{l.share}, "at least 0.95", "", atLeast(0.95)},
			{"mean in flight over the seats", values{l.inFlight}, "at most 1.3", "", atMost(1.3)},
			{"peak in flight over the seats", values{l.peak}, "at most 3", "", atMost(3)},
		}, err
	}}
}

// bounded are upstreams that refuse when their queue is full, in different words.
func bounded(t *times, seats, queue int) []trial {
	var group []trial
	for _, status := range []int{429, 503} {
		for _, after := range []time.Duration{0, time.Second} {
			o := siteOptions{
				seats: seats, queue: queue, latency: 100 * time.Millisecond, jitter: t.jitter,
				status: status, retryAfter: after, lasts: t.settle + t.measure,
			}
			name := fmt.Sprintf("%d seats and %d may wait, else %d, Retry-After %s", seats, queue, status, words(after))
			group = append(group, trial{name, o, func(s *site) ([]figure, error) {
				l, err := s.level(t.settle, t.measure)
				return []figure{
					{"share of what the seats can do", values{l.share}, "at least 0.93", "", atLeast(0.93)},
					{"refusals per 1,000 answers", values{l.refusals}, "at most 20", "", atMost(20)},
					{what: "mean in flight over the seats", values: values{l.inFlight}},
				}, err
			}})
		}
	}
	return group
}

// tooHigh is a concurrency of five times the seats.
func tooHigh(t *times) trial {
	o := siteOptions{seats: 48, queue: -1, latency: 100 * time.Millisecond, jitter: t.jitter, concurrency: 5 * 48, lasts: t.long + t.measure}
	name := fmt.Sprintf("48 seats, calls of 0.1 s, endless queue, `--concurrency 240`, after %s", words(t.long))
	return trial{name, o, func(s *site) ([]figure, error) {
		l, err := s.level(t.long, t.measure)
		return []figure{
			{"mean in flight over the seats", values{l.inFlight}, "at most 2.5", "", atMost(2.5)},
			{what: "share of what the seats can do", values: values{l.share}},
		}, err
	}}
}

// runGroup runs the trials of a group whose names hold a text, all at the same time.
func (b *bench) runGroup(group []trial, only string) error {
	found := make([][]figure, len(group))
	failed := make([]error, len(group))
	var running sync.WaitGroup
	for i, t := range group {
		if !strings.Contains(t.name, only) {
			continue
		}
		t.site.dir = fmt.Sprintf("trial-%d", i)
		// The requests are as short as can be: what is measured is how many are in flight, and the disk is not endless.
		n := t.site.lines()
		in, err := b.write(fmt.Sprintf("brief-%d.jsonl", n), func(w io.Writer) {
			for i := range n {
				fmt.Fprintf(w, `{"custom_id":"%d","method":"POST","url":"/v1/chat/completions","body":{"model":"bench","messages":[{"role":"user","content":"%d"}]}}`+"\n", i, i)
			}
		})
		if err != nil {
			return err
		}
		running.Go(func() { found[i], failed[i] = b.try(t, in) })
	}
	running.Wait()
	for i, t := range group {
		if failed[i] != nil {
			failed[i] = fmt.Errorf("%s: %w", t.name, failed[i])
		}
		for _, f := range found[i] { // each of one run, so that there is no spread
			row := fmt.Sprintf("| %s | %s | %s | %s | %s |", t.name, f.what, number(f.median()), f.bar, f.verdict())
			b.report.rows = append(b.report.rows, row)
			fmt.Println(row)
		}
	}
	return errors.Join(failed...)
}

// try runs one trial over an input file: it starts the processes and the batch, and fails if the batch does not outlast it.
func (b *bench) try(t trial, in string) ([]figure, error) {
	s := &site{siteOptions: t.site, name: t.name, bench: b}
	defer s.close()
	var err error
	if s.upstream, err = start(b.self, s.siteOptions.upstream("127.0.0.1:0")...); err != nil {
		return nil, err
	}
	s.server, err = b.server(filepath.Join(b.dir, s.dir), s.upstream.url, concurrency(s.concurrency)...)
	if err != nil {
		return nil, err
	}
	file, err := upload(s.server.url, in)
	if err != nil {
		return nil, err
	}
	created, err := create(s.server.url, file)
	if err != nil {
		return nil, err
	}
	s.batch, s.began = created.ID, time.Now()
	figures, err := t.run(s)
	if err != nil {
		return nil, err
	}
	v, err := s.view()
	if err == nil && v.Status != "in_progress" {
		err = fmt.Errorf("the batch is %s before the trial is over", v.Status)
	}
	return figures, err
}

const (
	// outageCalls an hour are allowed during an outage, or outageShare of the normal if that is more.
	outageCalls = 130
	outageShare = 0.01
	// recovered is the share of the speed before that ends an outage, reached over recoveredFor seconds.
	recovered    = 0.8
	recoveredFor = 3
	// recoverWithin is how long is waited for that.
	recoverWithin = 5 * time.Minute
)

// outage is a way in which an upstream serves nobody.
type outage struct {
	name       string
	begin, end func(s *site) error
}

// outages are an upstream that is stopped, one that breaks on every call, and one that refuses the key.
func outages(t *times) []trial {
	var group []trial
	for _, o := range []outage{
		{"upstream stopped", func(s *site) error { s.upstream.stop(os.Kill); return nil }, func(s *site) error {
			// It starts again at the address that it had.
			p, err := start(s.bench.self, s.siteOptions.upstream(strings.TrimPrefix(s.upstream.url, "http://"))...)
			if err == nil {
				s.upstream = p
			}
			return err
		}},
		{"500 to every call", answering(http.StatusInternalServerError), answering(0)},
		{"401 to every call", answering(http.StatusUnauthorized), answering(0)},
	} {
		where := siteOptions{seats: 48, queue: -1, latency: 100 * time.Millisecond, jitter: t.jitter, lasts: t.settle + t.measure + recoverWithin}
		name := fmt.Sprintf("%s for %s, 48 seats, calls of 0.1 s", o.name, words(t.outage))
		group = append(group, trial{name, where, func(s *site) ([]figure, error) { return s.outlast(t, o) }})
	}
	return group
}

// outlast measures the speed, then an outage, then how soon the speed is back.
func (s *site) outlast(t *times, o outage) ([]figure, error) {
	time.Sleep(time.Until(s.began.Add(t.settle)))
	speed, err := s.speed(t.measure)
	if err != nil {
		return nil, err
	}
	before, err := s.calls()
	if err != nil {
		return nil, err
	}
	if err := o.begin(s); err != nil {
		return nil, err
	}
	time.Sleep(t.outage)
	after, err := s.calls()
	if err != nil {
		return nil, err
	}
	if err := o.end(s); err != nil {
		return nil, err
	}
	back, err := s.recovers(speed)
	if err != nil {
		return nil, err
	}
	v, err := s.view()
	calls := (after - before) / t.outage.Hours()
	bar := max(outageCalls, outageShare*speed*3600)
	return []figure{
		{"calls an hour", values{calls}, "at most " + number(bar), "", atMost(bar)},
		{"lines given up", values{float64(v.Counts.Failed)}, "0", "", atMost(0)},
		{"seconds to 80% of the speed before", values{back}, "at most 60.2", "", atMost(60 + 2*s.latency.Seconds())},
		{what: "speed before over what the seats can do", values: values{speed / s.capacity()}},
	}, err
}

// speed measures how many calls are served in a second.
func (s *site) speed(d time.Duration) (float64, error) {
	before, err := s.stats()
	if err != nil {
		return 0, err
	}
	time.Sleep(d)
	after, err := s.stats()
	return float64(after.Now.Served-before.Now.Served) / (after.Now.At - before.Now.At), err
}

// calls is how many calls the server has made, whatever became of them.
func (s *site) calls() (float64, error) { return metric(s.server.url, "batchd_upstream_calls_total") }

// recovers returns how many seconds pass from the reset of the upstream's counts until it is fast again.
func (s *site) recovers(speed float64) (float64, error) {
	for end := time.Now().Add(recoverWithin); time.Now().Before(end); time.Sleep(time.Second) {
		h, err := s.stats()
		if err != nil {
			return 0, err
		}
		if at, ok := h.reaches(recovered * speed); ok {
			fmt.Fprintf(os.Stderr, "  %s: %s\n", s.name, h.course(float64(s.seats)))
			return at, nil
		}
	}
	return recoverWithin.Seconds(), nil
}

// answering returns what makes the upstream answer every call with a status, 0 for as before, and count anew.
func answering(status int) func(s *site) error {
	return func(s *site) error {
		if err := call(http.MethodPost, fmt.Sprintf("%s/break?status=%d", s.upstream.url, status), "", nil, nil); err != nil {
			return err
		}
		return call(http.MethodPost, s.upstream.url+"/reset", "", nil, nil)
	}
}

// reaches returns the end of the first second from which on so many calls were served in a second, over a few.
func (h *history) reaches(speed float64) (float64, bool) {
	moments := append([]moment{{}}, h.Seconds...)
	for i := recoveredFor; i < len(moments); i++ {
		from, to := moments[i-recoveredFor], moments[i]
		if float64(to.Served-from.Served)/(to.At-from.At) >= speed {
			return moments[i-recoveredFor+1].At, true
		}
	}
	return 0, false
}

// courseOf is for how many seconds one figure of a course stands.
const courseOf = 10

// course is the mean in flight in tens of seconds, as multiples of the seats, and the refusals in them.
func (h *history) course(seats float64) string {
	var out strings.Builder
	out.WriteString("in flight over seats by tens of seconds:")
	moments := append([]moment{{}}, h.Seconds...)
	for i := courseOf; i < len(moments); i += courseOf {
		from, to := moments[i-courseOf], moments[i]
		fmt.Fprintf(&out, " %.2f", (to.Flight-from.Flight)/(to.At-from.At)/seats)
		if n := to.Refused - from.Refused; n > 0 {
			fmt.Fprintf(&out, " (%d refused)", n)
		}
	}
	return out.String()
}
