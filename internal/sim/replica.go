package sim

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"batchd/internal/sim/batching"
)

// errStopped is the cause of ending a request when Run ends.
var errStopped = errors.New("engine was stopped")

const (
	// maxLag is how late a step may begin and still be made up for. A machine that was suspended for longer has not
	// computed meanwhile, so the engine's time stands still for as long.
	maxLag = time.Second
	// never is a time that does not come.
	never = time.Duration(math.MaxInt64)
)

// A replica is a batching.Engine in real time. One goroutine, that of run, steps it and owns its clock; each request
// submits its sequences and waits until a step has finished the last of them.
type replica struct {
	now     func() time.Time
	down    func(time.Time) bool
	wake    chan struct{} // of one place; sent by submit, received by run while there is nothing to step
	stopped chan struct{} // closed by run at its end

	mu     sync.Mutex // guards the fields below
	engine *batching.Engine
	// traffic is what others send, nil for none; theirs are those of it that are in the engine.
	traffic *batching.Arrivals
	theirs  map[batching.ID]struct{}
	// ours are the tickets of sequences in the engine.
	ours map[batching.ID]*ticket
	// start is when the engine's time was 0, began the time of the last step, due the end of it or, between steps, of the
	// next arrival.
	start      time.Time
	began, due time.Duration
	stepping   bool // the last look at the engine found something to do
	// promptTokens are those of prompts that were read to their end, counted once; served are requests of traffic.
	promptTokens, served int64
}

// A ticket is a request that waits for its sequences.
type ticket struct {
	ids  []batching.ID
	left int           // how many of them are not finished; guarded by the replica's mutex
	done chan struct{} // closed by run when none is left
}

// newReplica returns a replica that nobody steps yet. The error names the option that is wrong.
func newReplica(opts *Options, down func(time.Time) bool) (*replica, error) {
	constants := *opts.Batching
	constants.Queue, constants.ByPriority = opts.Queue, opts.ByPriority
	engine, err := batching.New(constants)
	if err != nil {
		return nil, err
	}
	r := &replica{
		now: opts.Now, down: down, wake: make(chan struct{}, 1), stopped: make(chan struct{}), engine: engine,
		theirs: make(map[batching.ID]struct{}), ours: make(map[batching.ID]*ticket), start: opts.Now(), due: never,
	}
	if opts.Online.Rate > 0 {
		r.traffic = opts.Online.Arrivals(rand.New(rand.NewPCG(opts.Seed, 0)))
		r.due = r.traffic.Next()
	}
	return r, nil
}

// run steps the engine until ctx ends.
func (r *replica) run(ctx context.Context) {
	defer close(r.stopped)
	for r.rest(ctx) {
		for _, t := range r.step() {
			if !r.rest(ctx) {
				return
			}
			close(t.done)
		}
	}
}

// rest waits until the time that is due, or between steps until a request comes. It is false when ctx has ended.
func (r *replica) rest(ctx context.Context) bool {
	r.mu.Lock()
	due, left, wake := r.due, r.due-r.elapsed(), r.wake
	if r.stepping {
		wake = nil // the step has begun; who comes now is looked at in the next one
	}
	r.mu.Unlock()
	if left <= 0 {
		return ctx.Err() == nil
	}
	var alarm <-chan time.Time
	if due != never {
		timer := time.NewTimer(left)
		defer timer.Stop()
		alarm = timer.C
	}
	select {
	case <-alarm:
	case <-wake:
	case <-ctx.Done():
		return false
	}
	return true
}

// elapsed is the engine's time now. The mutex is held.
func (r *replica) elapsed() time.Duration { return r.now().Sub(r.start) }

// step begins the next step if there is anything to do, and returns the tickets whose last sequence it finishes: at the
// time that is due then.
func (r *replica) step() []*ticket {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.elapsed()
	if late := now - r.due; late > maxLag {
		r.start = r.start.Add(late)
		now = r.due
	}
	if r.stepping {
		now = r.due // one step follows the other without a gap, however late a timer is
	}
	for r.traffic != nil { // what others have sent by now; who is refused goes away
		at, request, ok := r.traffic.Due(now)
		if !ok {
			break
		}
		if r.down(r.start.Add(at)) {
			continue
		}
		if id, err := r.engine.Submit(max(at, r.began), request); err == nil {
			r.theirs[id] = struct{}{}
		}
	}
	g := r.engine.Gauges(now)
	if r.stepping = g.Running+g.Waiting > 0; !r.stepping {
		r.due = never
		if r.traffic != nil {
			r.due = r.traffic.Next()
		}
		return nil
	}
	it := r.engine.Step(now)
	r.began, r.due = now, now+it.Took
	return r.account(it)
}

// account notes what a step did, and returns the tickets that it completes.
func (r *replica) account(it batching.Iteration) (completed []*ticket) {
	for i := range it.First {
		r.promptTokens += int64(it.First[i].Request.PromptTokens)
	}
	for i := range it.Finished {
		id := it.Finished[i].ID
		if _, ok := r.theirs[id]; ok {
			delete(r.theirs, id)
			r.served++
			continue
		}
		t := r.ours[id]
		delete(r.ours, id)
		if t.left--; t.left == 0 {
			completed = append(completed, t)
		}
	}
	return completed
}

// serve takes sequences through the engine, and returns when the last of them is finished. The error is
// batching.ErrQueueFull, batching.ErrNeverFits, errStopped or the context's; then the engine has forgotten all of them.
func (r *replica) serve(ctx context.Context, sequences []batching.Request) error {
	t, err := r.submit(sequences)
	if err != nil {
		return err
	}
	select {
	case <-t.done:
		return nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-r.stopped:
		err = errStopped
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(t)
	return err
}

// submit puts all sequences into the queue, or none.
func (r *replica) submit(sequences []batching.Request) (*ticket, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := &ticket{left: len(sequences), done: make(chan struct{})}
	for _, s := range sequences {
		id, err := r.engine.Submit(max(r.elapsed(), r.began), s)
		if err != nil {
			r.forget(t)
			return nil, err
		}
		t.ids = append(t.ids, id)
		r.ours[id] = t
	}
	select {
	case r.wake <- struct{}{}:
	default: // somebody else has woken it
	}
	return t, nil
}

// forget takes a ticket's sequences out of the engine. The mutex is held.
func (r *replica) forget(t *ticket) {
	for _, id := range t.ids {
		if _, ok := r.ours[id]; ok {
			delete(r.ours, id)
			r.engine.Cancel(id)
		}
	}
}

// crash ends what others have in the engine. Our own requests end by their contexts.
func (r *replica) crash() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := range r.theirs {
		r.engine.Cancel(id)
	}
	clear(r.theirs)
}

// view is what the engine shows of itself.
func (r *replica) view() view {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.engine.Gauges(max(r.elapsed(), r.began))
	return view{
		running: g.Running, waiting: g.Waiting, preempted: g.Preemptions, kvUsage: g.KVUsage,
		promptTokens: r.promptTokens, outputTokens: g.OutputTokens, theirs: r.served, firstTokens: *r.engine.FirstTokens(true),
	}
}
