package main

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"
)

// seats serve so many calls at a time. Others wait in order, or are refused when the queue is full.
type seats struct {
	n, queue int

	// mu guards following fields.
	mu      sync.Mutex
	waiting []*seeker
	now     moment
	peak    int
	seconds []moment
	began   time.Time
	at      time.Time
}

// seeker is a call that waits for a seat: free brings the moment from which it has one.
type seeker struct {
	free chan time.Time
	came time.Time
}

// moment is what the seats have seen since the last reset.
type moment struct {
	// At is the time since the reset in seconds.
	At      float64 `json:"at"`
	Served  int     `json:"served"`
	Refused int     `json:"refused"`
	InUse   int     `json:"in_use"`
	Waiting int     `json:"waiting"`
	// PeakWaiting is the most that waited since the reset, Peak the most in flight since the moment before.
	PeakWaiting int `json:"peak_waiting"`
	Peak        int `json:"peak"`
	// Flight is the time that calls were in flight, summed over them, in seconds.
	Flight float64 `json:"flight"`
}

// history is what GET /stats shows: how it is now, the most in flight since the reset, and a moment for each second.
type history struct {
	Now     moment   `json:"now"`
	Peak    int      `json:"peak"`
	Seconds []moment `json:"seconds"`
}

// reset begins to count anew; calls in flight stay.
func (s *seats) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.began = time.Now()
	s.at, s.seconds, s.peak = s.began, nil, 0
	s.now = moment{InUse: s.now.InUse, Waiting: s.now.Waiting}
}

// advance counts the time since the last look; the caller holds mu.
func (s *seats) advance(now time.Time) {
	s.now.Flight += float64(s.now.InUse+s.now.Waiting) * now.Sub(s.at).Seconds()
	s.at = now
	s.now.At = now.Sub(s.began).Seconds()
}

// note keeps the peaks; the caller holds mu.
func (s *seats) note() {
	s.now.Waiting = len(s.waiting)
	inFlight := s.now.InUse + s.now.Waiting
	s.peak, s.now.Peak = max(s.peak, inFlight), max(s.now.Peak, inFlight)
	s.now.PeakWaiting = max(s.now.PeakWaiting, s.now.Waiting)
}

// take returns from when on the call has a seat, false if it is refused or its client is gone.
func (s *seats) take(ctx context.Context) (time.Time, bool) {
	now := time.Now()
	s.mu.Lock()
	s.advance(now)
	switch {
	case s.now.InUse < s.n:
		s.now.InUse++
		s.note()
		s.mu.Unlock()
		return now, true
	case s.queue >= 0 && len(s.waiting) >= s.queue:
		s.now.Refused++
		s.mu.Unlock()
		return now, false
	}
	k := &seeker{free: make(chan time.Time, 1), came: now}
	s.waiting = append(s.waiting, k)
	s.note()
	s.mu.Unlock()
	select {
	case begin := <-k.free:
		return begin, true
	case <-ctx.Done():
		return s.leave(k)
	}
}

// leave takes a call out of the queue; one that has been given a seat meanwhile keeps it.
func (s *seats) leave(k *seeker) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.waiting, k)
	if i < 0 {
		return <-k.free, true
	}
	s.advance(time.Now())
	s.waiting = slices.Delete(s.waiting, i, i+1)
	s.note()
	return time.Time{}, false
}

// give hands the seat of a served call on.
func (s *seats) give(end time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance(time.Now())
	s.now.Served++
	if len(s.waiting) == 0 {
		s.now.InUse--
		return
	}
	k := s.waiting[0]
	s.waiting = s.waiting[1:]
	if k.came.After(end) {
		end = k.came
	}
	k.free <- end
	s.note()
}

// keep adds a moment to the history every second, for ever.
func (s *seats) keep() {
	for range time.Tick(time.Second) {
		s.mu.Lock()
		s.advance(time.Now())
		s.seconds = append(s.seconds, s.now)
		s.now.Peak = s.now.InUse + s.now.Waiting
		s.mu.Unlock()
	}
}

// stats returns the history as JSON.
func (s *seats) stats() []byte {
	s.mu.Lock()
	s.advance(time.Now())
	h := history{Now: s.now, Peak: s.peak, Seconds: slices.Clone(s.seconds)}
	s.mu.Unlock()
	raw, err := json.Marshal(h)
	if err != nil {
		panic(err) // a struct of numbers
	}
	return raw
}
