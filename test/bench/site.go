package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// siteOptions say what upstream and what server a trial has.
type siteOptions struct {
	seats, queue int
	latency      time.Duration
	jitter       float64
	status       int
	retryAfter   time.Duration
	// concurrency is what batchd is told, 0 for nothing.
	concurrency int
	// lasts is for how long there must be lines.
	lasts time.Duration
	// dir is the name of the server's directory.
	dir string
}

// capacity is how many calls the seats can serve in a second.
func (o *siteOptions) capacity() float64 { return float64(o.seats) / o.latency.Seconds() }

// lines is how many lines outlast the trial.
func (o *siteOptions) lines() int { return int(o.capacity() * (o.lasts.Seconds()*1.1 + 30)) }

// upstream returns the arguments of the upstream's process.
func (o *siteOptions) upstream(listen string) []string {
	args := []string{
		"server", "-listen", listen, "-seats", strconv.Itoa(o.seats), "-queue", strconv.Itoa(o.queue),
		"-latency", o.latency.String(), "-jitter", strconv.FormatFloat(o.jitter, 'f', -1, 64), "-retry-after", o.retryAfter.String(),
	}
	if o.status != 0 {
		args = append(args, "-refuse-status", strconv.Itoa(o.status))
	}
	return args
}

// site is a batchd under way on a batch that outlasts the trial.
type site struct {
	siteOptions
	name             string
	bench            *bench
	upstream, server *process
	batch            string
	began            time.Time
}

// close ends the processes and removes the server's directory.
func (s *site) close() {
	for _, p := range []*process{s.server, s.upstream} {
		if p != nil {
			p.stop(os.Kill)
		}
	}
	_ = os.RemoveAll(filepath.Join(s.bench.dir, s.dir)) // the whole directory goes at the end
}

// view reads the batch.
func (s *site) view() (v batchView, err error) {
	err = call(http.MethodGet, s.server.url+"/v1/batches/"+s.batch, "", nil, &v)
	return v, err
}

// stats asks the upstream what it has seen.
func (s *site) stats() (h history, err error) {
	err = call(http.MethodGet, s.upstream.url+"/stats", "", nil, &h)
	return h, err
}

// level is what a settled server reaches; in flight is counted in seats.
type level struct{ share, inFlight, peak, refusals float64 }

// level measures for some time, after some time.
func (s *site) level(settle, measure time.Duration) (level, error) {
	time.Sleep(time.Until(s.began.Add(settle)))
	before, err := s.stats()
	if err != nil {
		return level{}, err
	}
	used, err := s.used(measure)
	if err != nil {
		return level{}, err
	}
	after, err := s.stats()
	if err != nil {
		return level{}, err
	}
	fmt.Fprintf(os.Stderr, "  %s: %s of a core; %s\n", s.name, number(used), after.course(float64(s.seats)))
	seconds, served := after.Now.At-before.Now.At, float64(after.Now.Served-before.Now.Served)
	return level{
		share:    served / seconds / s.capacity(),
		inFlight: (after.Now.Flight - before.Now.Flight) / seconds / float64(s.seats),
		peak:     float64(after.Peak) / float64(s.seats),
		refusals: 1000 * float64(after.Now.Refused-before.Now.Refused) / max(1, served),
	}, nil
}

// used waits and returns how many cores the site's processes took meanwhile.
func (s *site) used(d time.Duration) (float64, error) {
	before, err := s.cpu()
	if err != nil {
		return 0, err
	}
	began := time.Now()
	time.Sleep(d)
	after, err := s.cpu()
	return (after - before).Seconds() / time.Since(began).Seconds(), err
}

// cpu is that of both processes: what the upstream takes is missing from batchd, so a level says nothing if both together
// are near what the machine has.
func (s *site) cpu() (time.Duration, error) {
	ours, err := s.server.cpu()
	theirs, failed := s.upstream.cpu()
	return ours + theirs, errors.Join(err, failed)
}

// concurrency returns the flag that says how many calls may be in flight, none for 0: batchd finds how many.
func concurrency(n int) []string {
	if n == 0 {
		return nil
	}
	return []string{"--concurrency", strconv.Itoa(n)}
}
