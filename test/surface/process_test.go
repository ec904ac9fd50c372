package surface

import (
	"bytes"
	"os"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	"batchd/internal/cli"
)

// soon is how long anything may take that a node is waited for.
const soon = 60 * time.Second

// process is a command that runs until it is stopped.
type process struct {
	signals chan os.Signal
	done    chan struct{} // closed by the goroutine that runs the command
	code    int

	// mu guards said, all that the command has printed.
	mu   sync.Mutex
	said bytes.Buffer
}

// start starts a command and stops it when the test ends.
func start(t *testing.T, environ []string, args ...string) *process {
	t.Helper()
	p := &process{signals: make(chan os.Signal, 2), done: make(chan struct{})}
	go func() { // joined by stop
		defer close(p.done)
		p.code = cli.Main(cli.Process{
			Args: args, Environ: environ, Stdout: p, Stderr: p, Signals: p.signals, Exit: func(int) {}, Version: "v0",
		})
	}()
	t.Cleanup(func() { p.stop(t) })
	return p
}

// Write takes what the command prints.
func (p *process) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.Write(text)
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

// stop ends the command in order, and demands that it ends well.
func (p *process) stop(t *testing.T) {
	t.Helper()
	select {
	case p.signals <- syscall.SIGTERM:
	default: // it was told before
	}
	<-p.done
	if p.code != 0 {
		t.Errorf("a command ended with %d:\n%s", p.code, p.output())
	}
}

// address waits for the address that the command listens on.
func (p *process) address(t *testing.T) string {
	t.Helper()
	pattern := regexp.MustCompile(`http://127\.0\.0\.1:[1-9][0-9]*`)
	until(t, "the command listens", func() bool { return pattern.MatchString(p.output()) || p.ended() })
	found := pattern.FindString(p.output())
	if found == "" {
		t.Fatalf("the command does not listen:\n%s", p.output())
	}
	return found
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// until waits until something holds.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(soon)
	defer deadline.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for !holds() {
		select {
		case <-again.C:
		case <-deadline.C:
			t.Fatalf("waited %s until %s", soon, what)
		}
	}
}
