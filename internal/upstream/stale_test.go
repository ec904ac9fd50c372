package upstream_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"batchd/internal/dispatch"
	"batchd/internal/limit"
	"batchd/internal/upstream"
)

// hangsUp answers and hangs up after every n-th answer of a connection, without having said so.
func hangsUp(n int, seen func(r *http.Request)) script {
	var mu sync.Mutex
	answers := map[net.Conn]int{}
	return func(c net.Conn, r *http.Request) {
		seen(r)
		_, _ = io.WriteString(c, reply(200, chatAnswer))
		mu.Lock()
		answers[c]++
		last := answers[c]%n == 0
		mu.Unlock()
		if last {
			_ = c.Close()
		}
	}
}

// spy notes the keys of the requests that were written to any of its connections.
type spy struct {
	// mu guards keys.
	mu   sync.Mutex
	keys map[string]bool
}

func (s *spy) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	return &spied{Conn: conn, spy: s}, err
}

type spied struct {
	net.Conn
	spy *spy
}

func (c *spied) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if _, rest, ok := bytes.Cut(p[:n], []byte("idempotency-key: ")); ok {
		key, _, _ := bytes.Cut(rest, []byte("\r\n"))
		c.spy.mu.Lock()
		defer c.spy.mu.Unlock()
		c.spy.keys[string(key)] = true
	}
	return n, err
}

// An idle connection may be closed by the server just when it is taken for the next call. If nothing was written, the
// call is none of the line's tries.
func TestAConnectionThatWasClosedInTheMeantimeCostsNothing(t *testing.T) {
	t.Parallel()
	const callers, each = 64, 100
	served := make([]atomic.Int32, callers*each)
	url := listen(t, hangsUp(3, func(r *http.Request) {
		var line int
		if _, err := fmt.Sscanf(r.Header.Get("Idempotency-Key"), "batch_1-%d", &line); err != nil {
			t.Errorf("key: %v", err)
			return
		}
		served[line].Add(1)
	}))
	wrote := &spy{keys: map[string]bool{}}
	u := newUpstream(t, upstream.Config{URL: url, Concurrency: callers}, upstream.Options{DialContext: wrote.dial})
	answers := make([]dispatch.Answer, callers*each)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for line := i * each; line < (i+1)*each; line++ {
				c := chatRequest()
				c.Key = fmt.Sprintf("batch_1-%d", line)
				answers[line], _ = read(t, u.Call(t.Context(), c))
			}
		})
	}
	wg.Wait()
	causes := map[string]int{}
	for line, a := range answers {
		causes[a.Cause]++
		if n := served[line].Load(); n > 1 {
			t.Errorf("line %d reached the server %d times", line, n)
		}
		if key := fmt.Sprintf("batch_1-%d", line); a.Signal.Kind != limit.Served && !wrote.keys[key] {
			t.Errorf("line %d was not written, and yet its call ended as %v %s", line, a.Signal.Kind, a.Cause)
		}
	}
	// A server's farewell may be under way while we write: those calls are lost, and it cannot be helped.
	if causes["ok"]+causes["reset"] != callers*each || causes["reset"] > callers*each/10 {
		t.Errorf("calls ended as %v", causes)
	}
}
