package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// bench is one run of the program: a directory, the input files, the binary.
type bench struct {
	binary string
	// versus is a binary to compare with; "" for none.
	versus string
	self   string
	dir    string
	pairs  int
	report report
}

// newBench returns a bench over a binary that exists. Its directory is below the system's for temporary files: set TMPDIR to
// measure another disk.
func newBench(binary string, pairs int) (*bench, error) {
	path, err := filepath.Abs(binary)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("%w: build it first, with make build", err)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "batchd-bench")
	return &bench{binary: path, self: self, dir: dir, pairs: pairs}, err
}

func (b *bench) close() { _ = os.RemoveAll(b.dir) }

// input returns a file of n chat requests of about 1 KB each, made once.
func (b *bench) input(n int) (string, error) {
	filler := text(800)
	return b.write(fmt.Sprintf("in-%d.jsonl", n), func(w io.Writer) {
		for i := range n {
			fmt.Fprintf(w, `{"custom_id":"request-%d","method":"POST","url":"/v1/chat/completions","body":{"model":"bench","messages":[{"role":"system","content":"You are a careful assistant."},{"role":"user","content":"%s %d"}],"max_tokens":200}}`+"\n", i, filler, i)
		}
	})
}

// write returns a file of the bench's directory, which is made if it is not there.
func (b *bench) write(name string, lines func(w io.Writer)) (string, error) {
	path := filepath.Join(b.dir, name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	lines(w)
	if err := w.Flush(); err != nil { // says so if any write failed
		return "", err
	}
	return path, f.Close()
}

// process is a child whose use of the machine can be read at any time.
type process struct {
	cmd *exec.Cmd
	url string
}

var addressPattern = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// start runs a program and waits for the address it prints, on whichever stream.
func start(name string, args ...string) (*process, error) {
	cmd := exec.Command(name, args...)
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = write, write
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	_ = write.Close() // the child has its own
	found := make(chan string, 1)
	go func() { // ends when the child does and its streams close
		scanner := bufio.NewScanner(read)
		for scanner.Scan() {
			if a := addressPattern.FindString(scanner.Text()); a != "" {
				select {
				case found <- a:
				default:
				}
			}
		}
	}()
	select {
	case url := <-found:
		return &process{cmd: cmd, url: url}, nil
	case <-time.After(20 * time.Second):
		_ = cmd.Process.Kill()
		return nil, fmt.Errorf("start %s: no address after 20 s", name)
	}
}

// stop ends the process and waits for it.
func (p *process) stop(sig os.Signal) {
	_ = p.cmd.Process.Signal(sig)
	_ = p.cmd.Wait() // killed: always an error
}

// cpu returns the process's user and system time so far. The kernel counts it in hundredths of a second, so a run must take
// seconds for its figure to mean something.
func (p *process) cpu() (time.Duration, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * time.Second / 100, nil
}

// peak returns the most memory the process has ever held resident, in MB.
func (p *process) peak() (float64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for _, l := range strings.Split(string(raw), "\n") {
		if rest, ok := strings.CutPrefix(l, "VmHWM:"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1000, err
		}
	}
	return 0, errors.New("no VmHWM")
}

// cost is what one run took.
type cost struct {
	wall time.Duration
	cpu  time.Duration
}

// runLoop runs the loop over a file to its end.
func (b *bench) runLoop(ctx context.Context, in, url string, concurrency int) (cost, error) {
	cmd := exec.CommandContext(ctx, b.self, "loop", "-in", in, "-out", filepath.Join(b.dir, "loop.out"),
		"-url", url+"/v1/chat/completions", "-concurrency", strconv.Itoa(concurrency))
	cmd.Stderr = os.Stderr
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return cost{}, fmt.Errorf("run loop: %w", err)
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return cost{}, errors.New("this system does not tell what a process used")
	}
	return cost{wall: time.Since(began), cpu: time.Duration(usage.Utime.Nano() + usage.Stime.Nano())}, nil
}
