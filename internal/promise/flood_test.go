//go:build !failpoint && unix

package promise

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	// floodVariable is how long each flood lasts; make proof sets it.
	floodVariable = "BATCHD_PROOF_FLOOD"
	// floodFor is how long it lasts if nothing is said.
	floodFor = 5 * time.Second
	// aliveWithin is how long a health check may take.
	aliveWithin = 5 * time.Second
)

// TestF13DescriptorFlood (F13) lets clients open twice as many connections as the server may have descriptors, and again
// whenever one is closed, while a batch runs: idle ones, half requests and connections that are kept after an answer. The
// server stays, says that it lives, and ends the batch as if nothing were.
func TestF13DescriptorFlood(t *testing.T) {
	length := floodFor
	if text := os.Getenv(floodVariable); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	for _, limit := range []int{256, 1024} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			in := input{lines: 200 * int(length/time.Second), bad: every(50)}
			n := newNode(t, newEngine(t, steady(40*time.Millisecond)), 16)
			n.descriptors = limit
			n.start()
			id := n.run(in, "24h")
			f := newFlood(n, 2*limit)
			before := n.engine.count()
			probes := f.probe(t, length)
			done := n.engine.count() - before
			f.end()
			t.Logf("%d descriptors: %d connections were opened, %d lines were answered in %s, %d probes (%d asked again), the slowest took %s",
				limit, f.opened.Load(), done, length, probes.count, probes.again, probes.slowest.Round(time.Millisecond))
			if done == 0 {
				t.Error("the batch stood still")
			}
			if f.opened.Load() < 4*int64(limit) {
				t.Errorf("%d connections are no flood", f.opened.Load())
			}
			if n.running() == nil || n.processes() != 1 {
				t.Fatal("the process has ended")
			}
			if _, err := n.finished(id, in); err != nil {
				t.Error(err)
			}
			n.stop()
		})
	}
}

// flood is clients that hold connections open.
type flood struct {
	address string
	opened  atomic.Int64
	cancel  context.CancelFunc
	clients sync.WaitGroup
}

// sayings are what connections of a flood send: nothing, half a request, and a whole one whose connection is kept.
var sayings = []string{"", "GET /healthz HTTP/1.1\r\nHost: 127", "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"}

// newFlood begins a flood of so many connections at once.
func newFlood(n *node, connections int) *flood {
	f := &flood{address: strings.TrimPrefix(n.running().base, "http://")}
	var ctx context.Context
	ctx, f.cancel = context.WithCancel(n.t.Context())
	for i := range connections {
		f.clients.Go(func() {
			for ctx.Err() == nil {
				f.hold(ctx, sayings[i%len(sayings)])
				pause(10 * time.Millisecond)
			}
		})
	}
	return f
}

// hold opens a connection and keeps it until the server closes it or the flood ends.
func (f *flood) hold(ctx context.Context, saying string) {
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, "tcp", f.address)
	if err != nil {
		return
	}
	f.opened.Add(1)
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, saying); err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, c) // whoever closes it ends this
}

func (f *flood) end() {
	f.cancel()
	f.clients.Wait()
}

// probes are what health checks found.
type probes struct {
	count, again int
	slowest      time.Duration
}

// probe asks, ten times a second, over a connection of its own, whether the server lives. Where this process is so busy with its
// flood that a request does not follow its connection, that is closed like those of the flood, and it asks again.
func (f *flood) probe(t *testing.T, length time.Duration) probes {
	t.Helper()
	client := &http.Client{Timeout: aliveWithin, Transport: &http.Transport{DisableKeepAlives: true}}
	var p probes
	for end := time.Now().Add(length); time.Now().Before(end); pause(100 * time.Millisecond) {
		asked := time.Now()
		answer, err := client.Get("http://" + f.address + "/healthz")
		for ; err != nil && time.Since(asked) < aliveWithin; p.again++ {
			answer, err = client.Get("http://" + f.address + "/healthz")
		}
		p.count++
		p.slowest = max(p.slowest, time.Since(asked))
		if err != nil {
			t.Errorf("probe %d: %v", p.count, err)
			continue
		}
		if answer.StatusCode != http.StatusOK {
			t.Errorf("probe %d: %s", p.count, answer.Status)
		}
		_ = answer.Body.Close()
	}
	if p.again > p.count/2 {
		t.Errorf("of %d probes %d had to ask again", p.count, p.again)
	}
	return p
}
