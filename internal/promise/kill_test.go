//go:build !failpoint

package promise

import (
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// campaign is a series of blows against a node while a client keeps it busy with one batch after the other.
type campaign struct {
	t           testing.TB
	node        *node
	in          input
	concurrency int
	rand        *rand.Rand
}

// tally is what a campaign did and saw.
type tally struct {
	blows    int
	batches  int
	lines    int
	calls    int
	repeats  int
	inFlight int
	elapsed  time.Duration
}

// newCampaign prepares a node with an engine that takes about the given time for each line.
func newCampaign(t testing.TB, in input, concurrency int, latency time.Duration) *campaign {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	e := newEngine(t, func(line string, _ int) reply {
		n := in.number(line) // some lines are quick and some slow, always the same
		return reply{after: latency/2 + latency*time.Duration(n%16)/16}
	})
	return &campaign{
		t: t, node: newNode(t, e, concurrency), in: in, concurrency: concurrency, rand: rand.New(rand.NewPCG(seed, 0)),
	}
}

// run strikes that many times, at random moments 5 to 400 ms after the node is ready, while batches are run; then it
// lets everything end in peace, audits every batch there is, and returns the tally.
func (c *campaign) run(blows int, strike func()) tally {
	c.t.Helper()
	began := time.Now()
	c.node.start()
	over := make(chan struct{})
	client := make(chan error, 1)
	go func() { client <- c.client(over) }() // joined below
	for range blows {
		pause(5*time.Millisecond + c.upTo(395*time.Millisecond))
		strike()
	}
	close(over)
	if err := <-client; err != nil {
		c.t.Error(err)
	}
	sum := c.account()
	sum.blows, sum.elapsed = blows, time.Since(began)
	return sum
}

// upTo returns a random time below the limit.
func (c *campaign) upTo(limit time.Duration) time.Duration {
	return time.Duration(c.rand.Int64N(int64(limit)))
}

// client uploads, creates, watches and audits batches until it is told that the blows are over.
func (c *campaign) client(over <-chan struct{}) error {
	for {
		if err := c.one(); err != nil {
			return err
		}
		select {
		case <-over:
			return nil
		default:
		}
	}
}

// one takes one batch from its upload to its audit, as a client does that repeats a call that got no answer.
func (c *campaign) one() error {
	uploaded, err := persist(c.node, func() (file, error) { return c.node.upload("input.jsonl", c.in.write) })
	if err != nil {
		return err
	}
	created, err := persist(c.node, func() (job, error) { return c.node.create(uploaded.ID, "24h") })
	if err != nil {
		return err
	}
	s := c.node.watch(created.ID)
	if err := errors.Join(s.ended(10*endWithin), s.finish()); err != nil {
		return err
	}
	if err := s.shownAndKept(c.in.lines); err != nil {
		return err
	}
	_, err = persist(c.node, func() (audited, error) { return c.node.audit(created.ID, c.in) })
	return err
}

// account audits every batch that exists, also those whose id the client never got, and the calls of all processes.
func (c *campaign) account() tally {
	c.t.Helper()
	all, err := c.node.batches()
	if err != nil {
		c.t.Fatal(err)
	}
	sum := tally{batches: len(all), lines: len(all) * c.in.lines}
	for _, j := range all {
		if !j.terminal() {
			c.node.watch(j.ID).await(c.t, 10*endWithin)
		}
		if _, err := c.node.audit(j.ID, c.in); err != nil {
			c.t.Error(err)
		}
	}
	sum.calls = c.node.engine.count()
	for _, e := range c.node.ends {
		sum.inFlight += e.inFlight
	}
	if sum.repeats, err = c.node.repeats(c.concurrency); err != nil {
		c.t.Error(err)
	}
	if want := sum.lines + sum.repeats; sum.calls != want {
		c.t.Errorf("D7: %d calls for %d lines and %d repeats", sum.calls, sum.lines, sum.repeats)
	}
	c.t.Logf("%d batches, %d lines, %d calls, %d of them repeats; %d calls were in flight when processes ended",
		sum.batches, sum.lines, sum.calls, sum.repeats, sum.inFlight)
	return sum
}

// killed ends the process by kill -9 and starts the next.
func (c *campaign) killed() {
	c.node.kill()
	c.node.start()
}

// terminated ends the process by SIGTERM and starts the next.
func (c *campaign) terminated() {
	c.node.stop()
	c.node.start()
}

// frozen stops the process for a moment, as a sleeping machine does, and lets it go on.
func (c *campaign) frozen() {
	c.node.signal(syscall.SIGSTOP)
	pause(c.upTo(600 * time.Millisecond))
	c.node.signal(syscall.SIGCONT)
}

func TestD7(t *testing.T) {
	in := input{lines: 2500, bad: func(n int) bool { return n%50 == 0 }}
	t.Run("F01 kill -9 at random moments", func(t *testing.T) {
		c := newCampaign(t, in, 16, 20*time.Millisecond)
		c.run(30, c.killed)
	})
	t.Run("F17 SIGTERM at random moments", func(t *testing.T) {
		c := newCampaign(t, in, 16, 20*time.Millisecond)
		if sum := c.run(10, c.terminated); sum.repeats != 0 {
			t.Errorf("%d calls were repeated after clean stops", sum.repeats)
		}
	})
	t.Run("F18 SIGSTOP and SIGCONT at random moments", func(t *testing.T) {
		c := newCampaign(t, in, 16, 20*time.Millisecond)
		if sum := c.run(10, c.frozen); sum.repeats != 0 {
			t.Errorf("%d calls were repeated though the process never ended", sum.repeats)
		}
	})
}

// persist repeats a call until the server answers it, as a client does whose server is restarted. What the server
// refuses is not tried again.
func persist[T any](n *node, call func() (T, error)) (T, error) {
	for deadline := time.Now().Add(endWithin); ; pause(10 * time.Millisecond) {
		v, err := call()
		if err == nil || statusOf(err) != 0 || time.Now().After(deadline) {
			return v, err
		}
	}
}

// shownAndKept checks that no result that was ever shown was lost: after a process had shown n results of the batch,
// at most the other lines are called by later processes.
func (s *sampler) shownAndKept(total int) error {
	shown := map[int]int{}
	for _, x := range s.samples {
		shown[x.process] = max(shown[x.process], x.job.RequestCounts.Completed+x.job.RequestCounts.Failed)
	}
	calls := s.node.engine.log()
	f := &findings{of: "batch " + s.id}
	for _, process := range slices.Sorted(maps.Keys(shown)) {
		later := map[string]bool{}
		for _, c := range calls {
			if c.process > process && keyOf(s.id, c.key) {
				later[c.key] = true
			}
		}
		if len(later) > total-shown[process] {
			f.addf("D7: process %d showed %d results of %d, later ones called %d lines", process, shown[process], total, len(later))
		}
	}
	return f.err()
}

// keyOf reports whether an idempotency key is that of a line of the batch.
func keyOf(batchID, key string) bool { return strings.HasPrefix(key, batchID+"-") }

// statusOf returns the HTTP status that an error of the API carries; 0 if no answer came.
func statusOf(err error) int {
	var r *refusal
	if errors.As(err, &r) {
		return r.status
	}
	return 0
}
