package promise

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"batchd/test/harness"
)

const (
	// startWithin and endWithin are generous: the machine may be busy with other tests.
	startWithin = 30 * time.Second
	endWithin   = 60 * time.Second
	// shownOutput is how much of a process's output a failed test shows.
	shownOutput = 16 << 10
)

// address is how the server names itself once it takes calls.
var address = regexp.MustCompile(`http://127\.0\.0\.1:[1-9][0-9]*`)

// node is one data directory and the processes that work on it, one after the other. Its methods that start and end
// processes are for one goroutine; the API may be used by many.
type node struct {
	t      testing.TB
	engine *engine
	// upstream replaces the engine, by its base URL.
	upstream string
	dir      string
	args     []string
	env      []string
	// descriptors is how many the process may have open; 0 leaves it as many as the tests have.
	descriptors int
	// keys makes the server demand keys; key is the one that calls carry, "" for none.
	keys bool
	key  string

	// mu guards following fields.
	mu      sync.Mutex
	started int
	proc    *process
	// ends says how each process ended.
	ends []end
}

// process is one run of the server.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed once the process is gone and its output is complete
	ready  chan string   // gets the base URL, once
	http   *http.Client

	// mu guards following fields; base is set before ready is sent to.
	mu     sync.Mutex
	base   string
	output strings.Builder
	err    error
}

// end says how a process ended and what was in flight then, seen from the upstream.
type end struct {
	signal   os.Signal
	inFlight int
}

// newNode returns a node with an empty data directory behind the engine; nothing runs yet. Settings are written as in
// the environment, "BATCHD_CANCEL_GRACE=1s". A node without an engine needs its upstream set before it is started.
func newNode(t testing.TB, e *engine, concurrency int, settings ...string) *node {
	t.Helper()
	n := &node{t: t, engine: e, dir: t.TempDir(), env: settings, args: []string{"--concurrency", strconv.Itoa(concurrency)}}
	t.Cleanup(func() {
		if p := n.running(); p != nil {
			_ = p.cmd.Process.Kill()
			<-p.exited
		}
		if t.Failed() {
			n.showOutput()
		}
	})
	return n
}

// showOutput logs the end of what the last process printed.
func (n *node) showOutput() {
	n.mu.Lock()
	p := n.proc
	n.mu.Unlock()
	if p == nil {
		return
	}
	text := p.text()
	if len(text) > shownOutput {
		text = "...\n" + text[len(text)-shownOutput:]
	}
	n.t.Logf("output of the last process:\n%s", text)
}

// start starts a process and waits until it takes calls.
func (n *node) start(extra ...string) {
	n.t.Helper()
	if err := n.tryStart(extra...); err != nil {
		n.t.Fatal(err)
	}
}

// tryStart is start for a process that may refuse; the error then holds what it said. Further settings are for this
// process only.
func (n *node) tryStart(extra ...string) error {
	p, err := n.spawn(extra...)
	if err != nil {
		return err
	}
	timeout := time.NewTimer(startWithin)
	defer timeout.Stop()
	select {
	case <-p.ready:
		return nil
	case <-p.exited:
		return fmt.Errorf("the server ended (%w) before it was ready:\n%s", p.end(), p.text())
	case <-timeout.C:
		return fmt.Errorf("the server was not ready after %s:\n%s", startWithin, p.text())
	}
}

// spawn starts a process and does not wait for anything.
func (n *node) spawn(extra ...string) (*process, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	args := append([]string{"serve", "--listen", "127.0.0.1:0", "--data-dir", n.dir}, n.args...)
	if !n.keys {
		args = append(args, "--no-auth")
	}
	if n.upstream != "" {
		args = append(args, "--upstream", n.upstream)
	} else {
		args = append(args, "--upstream", n.engine.url(n.started))
	}
	binary := harness.Binary(n.t)
	if n.descriptors > 0 {
		args = append([]string{"-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, n.descriptors), binary}, args...)
		binary = "/bin/sh"
	}
	p, err := launch(binary, args, append(n.env, extra...))
	if err != nil {
		return nil, err
	}
	n.proc = p
	n.started++
	return p, nil
}

// launch starts the binary and keeps what it prints.
func launch(binary string, args, settings []string) (*process, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p := &process{
		cmd: exec.Command(binary, args...), exited: make(chan struct{}), ready: make(chan string, 1),
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16, DisableCompression: true}},
	}
	p.cmd.Env = append(os.Environ(), settings...)
	p.cmd.Stdout, p.cmd.Stderr = writer, writer
	err = p.cmd.Start()
	_ = writer.Close() // the child has its own; ours would keep the pipe open for ever
	if err != nil {
		return nil, errors.Join(err, reader.Close())
	}
	go p.collect(reader) // joined through exited
	return p, nil
}

// collect reads the output to its end, then reaps the process.
func (p *process) collect(r io.ReadCloser) {
	defer close(p.exited)
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		p.mu.Lock()
		p.output.WriteString(line)
		if found := address.FindString(line); found != "" && p.base == "" {
			p.base = found
			p.ready <- found
		}
		p.mu.Unlock()
		if err != nil {
			break
		}
	}
	_ = r.Close()
	err := p.cmd.Wait()
	p.http.CloseIdleConnections()
	p.mu.Lock()
	p.err = err
	p.mu.Unlock()
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

// end returns the error of a process that has exited; nil for code 0.
func (p *process) end() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// running returns the process that was started last, or nil if it is gone.
func (n *node) running() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.proc == nil {
		return nil
	}
	select {
	case <-n.proc.exited:
		return nil
	default:
		return n.proc
	}
}

// processes returns how many processes there have been.
func (n *node) processes() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.started
}

// kill ends the process as kill -9 does and waits until it is gone.
func (n *node) kill() {
	n.t.Helper()
	n.signal(syscall.SIGKILL)
	_ = n.await(endWithin) // that it was killed is no news
}

// stop ends the process with SIGTERM; it must exit with code 0.
func (n *node) stop() {
	n.t.Helper()
	n.signal(syscall.SIGTERM)
	if err := n.await(endWithin); err != nil {
		n.t.Fatalf("SIGTERM: got %v, want exit code 0", err)
	}
}

// signal sends a signal and notes what was in flight then.
func (n *node) signal(s syscall.Signal) {
	n.t.Helper()
	p := n.running()
	if p == nil {
		n.t.Fatal("the process has ended by itself")
	}
	ended := end{signal: s}
	if n.engine != nil {
		ended.inFlight = n.engine.inFlight()
	}
	if err := p.cmd.Process.Signal(s); err != nil {
		n.t.Fatalf("send %s: %v", s, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if s == syscall.SIGKILL || s == syscall.SIGTERM {
		n.ends = append(n.ends, ended)
	}
}

// await waits until the process is gone and returns how it ended; one that stays is killed and fails the test.
func (n *node) await(within time.Duration) error {
	n.t.Helper()
	n.mu.Lock()
	p := n.proc
	n.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	select {
	case <-p.exited:
	case <-ctx.Done():
		_ = p.cmd.Process.Kill()
		<-p.exited
		n.t.Fatalf("the process was still there after %s", within)
	}
	return p.end()
}

// files returns the files of the data directory whose names match a pattern such as "journals/*".
func (n *node) files(pattern string) []string {
	n.t.Helper()
	found, err := filepath.Glob(filepath.Join(n.dir, pattern))
	if err != nil {
		n.t.Fatal(err)
	}
	return found
}

// pause waits in real time, for what happens in other processes.
func pause(d time.Duration) { <-time.After(d) }

// until polls a condition and fails the test if it does not come true.
func until(t testing.TB, within time.Duration, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !done(); pause(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s", what, within)
		}
	}
}
