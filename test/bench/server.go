package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
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

// serve is the inference server that costs nothing: it reads a body and answers after a fixed time. GET /calls says
// how many calls there were; GET /first waits for the next call.
func serve(args []string) error {
	flags := flag.NewFlagSet("server", flag.ExitOnError)
	latency := flags.Duration("latency", 0, "time before each answer")
	_ = flags.Parse(args) // ExitOnError: never returns one
	var calls atomic.Int64
	var mu sync.Mutex
	var first time.Time
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/", func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 1 {
			mu.Lock()
			first = time.Now()
			mu.Unlock()
		}
		_, _ = io.Copy(io.Discard, r.Body) // io.Discard has buffers of its own
		if *latency > 0 {
			time.Sleep(*latency)
		}
		w.Header()["Content-Type"] = []string{"application/json"}
		w.Header()["Content-Length"] = []string{strconv.Itoa(len(answer))}
		_, _ = w.Write(answer)
	})
	mux.HandleFunc("GET /v1/models", http.NotFound)
	mux.HandleFunc("GET /calls", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, calls.Load()) })
	mux.HandleFunc("POST /reset", func(http.ResponseWriter, *http.Request) { calls.Store(0) })
	mux.HandleFunc("GET /first", func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if calls.Load() == 0 {
			http.NotFound(w, nil)
			return
		}
		fmt.Fprint(w, first.UnixNano())
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http://" + l.Addr().String())
	return http.Serve(l, mux)
}
