package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// answer is what every call gets: a chat completion of about 1 KB.
var answer = []byte(`{"id":"chatcmpl-0000000000000000","object":"chat.completion","created":1790000000,"model":"bench","choices":[{"index":0,"message":{"role":"assistant","content":"` +
	string(text(700)) + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":250,"completion_tokens":175,"total_tokens":425}}`)

// text returns n letters in words of nine.
func text(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + i%26)
		if i%10 == 9 {
			b[i] = ' '
		}
	}
	return b
}

// briefAnswer is what a server with seats answers: a run of minutes shall not fill the disk.
var briefAnswer = []byte(`{"id":"chatcmpl-0","object":"chat.completion","created":1790000000,"model":"bench","choices":[{"index":0,"message":{"role":"assistant","content":"` +
	string(text(20)) + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":5,"total_tokens":10}}`)

const modelList = `{"object":"list","data":[{"id":"bench","object":"model","created":0,"owned_by":"bench"}]}`

// upstream is the inference server that costs nothing: it reads a body and answers after a time.
type upstream struct {
	latency    time.Duration
	jitter     float64
	refusal    int
	retryAfter time.Duration
	// seats is nil for a server that takes any number of calls at once.
	seats *seats
	// broken is the status that every call is answered with; 0 while the server works.
	broken atomic.Int64

	calls atomic.Int64
	// mu guards first, the time of the first call.
	mu    sync.Mutex
	first time.Time
}

// serve runs the server. GET /calls says how many calls there were; GET /first when the first of them came; GET /stats
// what became of them at the seats; POST /reset begins anew; POST /break?status=N answers all calls with that status
// from now on, 0 for as before.
func serve(args []string) error {
	flags := flag.NewFlagSet("server", flag.ExitOnError)
	u := &upstream{}
	listen := flags.String("listen", "127.0.0.1:0", "address")
	n := flags.Int("seats", 0, "calls that are served at a time; 0 for any number")
	queue := flags.Int("queue", -1, "calls that wait for a seat before others are refused; less than 0 for any number")
	flags.DurationVar(&u.latency, "latency", 0, "mean time that a call takes at its seat")
	flags.Float64Var(&u.jitter, "jitter", 0, "sigma of the log-normal distribution of that time")
	flags.IntVar(&u.refusal, "refuse-status", http.StatusTooManyRequests, "status of a refusal")
	flags.DurationVar(&u.retryAfter, "retry-after", 0, "Retry-After of a refusal; 0 for none")
	_ = flags.Parse(args) // ExitOnError: never returns one
	if *n > 0 {
		u.seats = &seats{n: *n, queue: *queue}
		u.seats.reset()
		go u.seats.keep() // for as long as the process lives
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	fmt.Println("http://" + l.Addr().String())
	return http.Serve(l, u.routes())
}

// routes are the calls of the API that batchd and the loop make, and those by which the bench steers and asks.
func (u *upstream) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/", u.call)
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) { send(w, http.StatusOK, []byte(modelList)) })
	mux.HandleFunc("GET /calls", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, u.calls.Load()) })
	mux.HandleFunc("GET /first", func(w http.ResponseWriter, r *http.Request) {
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.calls.Load() == 0 {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, u.first.UnixNano())
	})
	mux.HandleFunc("GET /stats", u.stats)
	mux.HandleFunc("POST /reset", u.reset)
	mux.HandleFunc("POST /break", func(w http.ResponseWriter, r *http.Request) {
		status, err := strconv.ParseInt(r.FormValue("status"), 10, 32)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		u.broken.Store(status)
	})
	return mux
}

// call answers one call. Where there are seats, there must be one for it.
func (u *upstream) call(w http.ResponseWriter, r *http.Request) {
	if u.calls.Add(1) == 1 {
		u.mu.Lock()
		u.first = time.Now()
		u.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, r.Body) // io.Discard has buffers of its own
	if status := int(u.broken.Load()); status != 0 {
		send(w, status, refusal(status))
		return
	}
	if u.seats == nil {
		if u.latency > 0 {
			time.Sleep(u.service())
		}
		send(w, http.StatusOK, answer)
		return
	}
	begin, ok := u.seats.take(r.Context())
	if !ok {
		if u.retryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(u.retryAfter.Seconds()))))
		}
		send(w, u.refusal, refusal(u.refusal))
		return
	}
	// The next call takes the seat at the moment at which this one is due to end: that a sleep takes a little longer costs the
	// seats nothing while calls wait.
	end := begin.Add(u.service())
	time.Sleep(time.Until(end))
	u.seats.give(end)
	send(w, http.StatusOK, briefAnswer)
}

// service draws how long a call takes.
func (u *upstream) service() time.Duration {
	if u.jitter == 0 {
		return u.latency
	}
	return time.Duration(float64(u.latency) * math.Exp(u.jitter*rand.NormFloat64()-u.jitter*u.jitter/2))
}

// stats shows what the seats have seen; a server without seats has nothing to show.
func (u *upstream) stats(w http.ResponseWriter, r *http.Request) {
	if u.seats == nil {
		http.NotFound(w, r)
		return
	}
	send(w, http.StatusOK, u.seats.stats())
}

// reset forgets the calls so far. Those in flight go on, and count when they end.
func (u *upstream) reset(http.ResponseWriter, *http.Request) {
	u.calls.Store(0)
	if u.seats != nil {
		u.seats.reset()
	}
}

// refusal is the body of an answer with an error status.
func refusal(status int) []byte {
	return fmt.Appendf(nil, `{"error":{"message":%q,"type":"error","param":null,"code":null}}`, http.StatusText(status))
}

// send writes a whole answer.
func send(w http.ResponseWriter, status int, body []byte) {
	w.Header()["Content-Type"] = []string{"application/json"}
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

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
