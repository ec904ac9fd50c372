package harness

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	startWithin = 30 * time.Second // a loaded two-core machine starts a binary in well under a second
	stopWithin  = 40 * time.Second // longer than the server's own shutdown grace
)

// Process is a child process whose output is kept. Its methods may be called concurrently.
type Process struct {
	command *exec.Cmd
	exited  chan struct{} // closed by the goroutine that waits for the child

	lines chan string // one per line of output; collect sends and closes

	mu     sync.Mutex // guards output and err
	output strings.Builder
	err    error
}

// Start starts command, joins its standard output and standard error, and arranges for it to be stopped when the
// test ends; what it printed is shown if the test failed.
func Start(t testing.TB, command *exec.Cmd) *Process {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stdout, command.Stderr = writer, writer
	if err := command.Start(); err != nil {
		t.Fatalf("start %s: %v", command.Path, err)
	}
	_ = writer.Close() // the child holds its own copy; ours would keep the pipe from ending
	p := &Process{command: command, exited: make(chan struct{}), lines: make(chan string, 1024)}
	go p.collect(reader) // joined through exited, by Stop
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Errorf("stop %s: %v", command.Path, err)
		}
		if t.Failed() {
			t.Logf("output of %s:\n%s", strings.Join(command.Args, " "), p.Output())
		}
	})
	return p
}

// collect keeps the child's output until the pipe ends, then reaps the child.
func (p *Process) collect(reader io.ReadCloser) {
	defer close(p.exited)
	buffered := bufio.NewReader(reader)
	for {
		line, err := buffered.ReadString('\n')
		p.mu.Lock()
		p.output.WriteString(line)
		p.mu.Unlock()
		select {
		case p.lines <- strings.TrimRight(line, "\n"):
		default: // nobody waits for a line any more, and the text is kept above
		}
		if err != nil { // the child, and whatever it started, has closed its end
			break
		}
	}
	close(p.lines)
	_ = reader.Close()
	err := p.command.Wait()
	p.mu.Lock()
	p.err = err
	p.mu.Unlock()
}

// Await returns the first submatch of pattern in a line of the child's output, the whole match if pattern has no
// group. It fails the test if the child ends, or half a minute passes, without one. Only one goroutine may call it.
func (p *Process) Await(t testing.TB, pattern *regexp.Regexp) string {
	t.Helper()
	timeout := time.NewTimer(startWithin)
	defer timeout.Stop()
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				t.Fatalf("%s ended before it printed %s:\n%s", p.command.Path, pattern, p.Output())
			}
			if found := pattern.FindStringSubmatch(line); found != nil {
				return found[len(found)-1]
			}
		case <-timeout.C:
			t.Fatalf("%s did not print %s within %s:\n%s", p.command.Path, pattern, startWithin, p.Output())
		}
	}
}

// Output returns what the child has printed so far.
func (p *Process) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

// Stop asks the child to end with SIGTERM, kills it if it does not, and reports any end but a clean one. A second
// call reports the same.
func (p *Process) Stop() error {
	_ = p.command.Process.Signal(syscall.SIGTERM) // fails only if the child is gone, which is what is wanted
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	select {
	case <-p.exited:
	case <-ctx.Done():
		_ = p.command.Process.Kill()
		<-p.exited
		return errors.New("had to be killed: it did not end after SIGTERM")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}
