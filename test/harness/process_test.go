package harness_test

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"batchd/test/harness"
)

func TestAwaitReturnsWhatThePatternNames(t *testing.T) {
	t.Parallel()
	p := harness.Start(t, exec.Command("sh", "-c", "trap 'exit 0' TERM; echo starting; echo ready 7 >&2; while :; do sleep 0.1; done"))
	if got := p.Await(t, regexp.MustCompile(`^ready (\d+)$`)); got != "7" {
		t.Errorf("got %q, want 7", got)
	}
	if err := p.Stop(); err != nil {
		t.Errorf("a child that ends with code 0 on SIGTERM: %v", err)
	}
	if got := p.Output(); got != "starting\nready 7\n" {
		t.Errorf("got output %q", got)
	}
}

func TestStopReportsABadEnd(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"exit code":  "trap 'exit 3' TERM; echo ready; while :; do sleep 0.1; done",
		"no handler": "echo ready; while :; do sleep 0.1; done",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The recorder takes the complaint of Start's own clean-up, which is right and not this test's.
			recorder := &recorder{TB: t}
			p := harness.Start(recorder, exec.Command("sh", "-c", script))
			p.Await(t, regexp.MustCompile("ready"))
			if p.Stop() == nil {
				t.Error("the child's end was called clean")
			}
			for _, cleanup := range recorder.cleanups {
				cleanup()
			}
			if !strings.Contains(recorder.complaint, "stop") {
				t.Errorf("got complaint %q, want one about the stop", recorder.complaint)
			}
		})
	}
}

// recorder is a test that keeps complaints and clean-ups instead of failing and running them.
type recorder struct {
	testing.TB
	complaint string
	cleanups  []func()
}

func (r *recorder) Errorf(format string, _ ...any) { r.complaint = format }
func (r *recorder) Cleanup(f func())               { r.cleanups = append(r.cleanups, f) }
