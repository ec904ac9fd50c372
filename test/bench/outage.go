package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

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
		{"upstream stopped", func(s *site) error { s.upstream.stop(os.Kill); return nil }, (*site).restartUpstream},
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
	calls, err := s.during(o, t.outage)
	if err != nil {
		return nil, err
	}
	back, err := s.recovers(speed)
	if err != nil {
		return nil, err
	}
	v, err := s.view()
	bar := max(outageCalls, outageShare*speed*3600)
	return []figure{
		{"calls an hour", values{calls}, "at most " + number(bar), "", atMost(bar)},
		{"lines given up", values{float64(v.Counts.Failed)}, "0", "", atMost(0)},
		{"seconds to 80% of the speed before", values{back}, "at most 60.2", "", atMost(60 + 2*s.latency.Seconds())},
		{what: "speed before over what the seats can do", values: values{speed / s.capacity()}},
	}, err
}

// during has the outage pass and returns how many calls an hour were made in it.
func (s *site) during(o outage, length time.Duration) (float64, error) {
	before, err := s.calls()
	if err != nil {
		return 0, err
	}
	if err := o.begin(s); err != nil {
		return 0, err
	}
	time.Sleep(length)
	after, err := s.calls()
	if err != nil {
		return 0, err
	}
	return (after - before) / length.Hours(), o.end(s)
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

// restartUpstream starts the upstream again, at the address that it had.
func (s *site) restartUpstream() error {
	p, err := start(s.bench.self, s.siteOptions.upstream(strings.TrimPrefix(s.upstream.url, "http://"))...)
	if err == nil {
		s.upstream = p
	}
	return err
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
