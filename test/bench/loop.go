package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
)

// line is what the loop reads of an input line.
type line struct {
	CustomID string          `json:"custom_id"`
	Body     json.RawMessage `json:"body"`
}

// loop is the program a user would write: read, parse, post, write. It keeps nothing safe and checks nothing.
func loop(args []string) error {
	flags := flag.NewFlagSet("loop", flag.ExitOnError)
	in := flags.String("in", "", "input file")
	out := flags.String("out", "", "output file")
	url := flags.String("url", "", "where to post")
	concurrency := flags.Int("concurrency", 128, "calls in flight")
	_ = flags.Parse(args) // ExitOnError: never returns one
	input, err := os.Open(*in)
	if err != nil {
		return err
	}
	defer func() { _ = input.Close() }() // only read from
	output, err := os.Create(*out)
	if err != nil {
		return err
	}
	l := &looper{
		url: *url, out: bufio.NewWriterSize(output, 1<<20),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: *concurrency, DisableCompression: true}},
	}
	lines := make(chan []byte, *concurrency)
	var workers sync.WaitGroup
	for range *concurrency {
		workers.Go(func() {
			for raw := range lines {
				if err := l.one(raw); err != nil {
					l.mu.Lock()
					l.err = err
					l.mu.Unlock()
				}
			}
		})
	}
	scanner := bufio.NewScanner(input)
	scanner.Buffer(make([]byte, 1<<20), 16<<20)
	for scanner.Scan() {
		lines <- bytes.Clone(scanner.Bytes())
	}
	close(lines)
	workers.Wait()
	if l.err == nil {
		l.err = scanner.Err()
	}
	if l.err != nil {
		return l.err
	}
	if err := l.out.Flush(); err != nil {
		return err
	}
	return output.Close()
}

// looper is the state shared by the loop's workers.
type looper struct {
	url    string
	client *http.Client

	// mu guards following fields.
	mu  sync.Mutex
	out *bufio.Writer
	err error
}

// one takes one line there and back. Only the writing is under the mutex, as a user's program would have it.
func (l *looper) one(raw []byte) error {
	var parsed line
	if err := json.Unmarshal(raw, &parsed); err != nil {
		return err
	}
	resp, err := l.client.Post(l.url, "application/json", bytes.NewReader(parsed.Body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.out, `{"custom_id":%q,"response":%s}`+"\n", parsed.CustomID, bytes.TrimSpace(body))
	return nil
}
