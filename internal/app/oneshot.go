package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"batchd/internal/batch"
	"batchd/internal/config"
	"batchd/internal/dialect/openai"
)

// observeEvery is how often the progress of a run is looked at.
const observeEvery = 150 * time.Millisecond

// Job is what a one-shot run is asked to do. Empty paths stand for names beside the input: for IN.jsonl these are
// IN.output.jsonl, IN.errors.jsonl and the folder IN.batchd.
type Job struct {
	Input  string
	Output string
	Errors string
	// Endpoint is where the lines go; "" is the url that the first line names.
	Endpoint string
	// State is the folder that the run works in and resumes from.
	State string
	// Restart forgets what an earlier run in the same folder did.
	Restart bool
	// Wait goes on trying upstreams that refuse every call from the first one on.
	Wait bool
}

// Progress says how far a batch is.
type Progress struct {
	Status string
	Total  int64
	// Completed and Failed never go back.
	Completed int64
	Failed    int64
	// InFlight is how many calls are running.
	InFlight int
	// OutputTokens is the sum so far; it advances in steps, as units of the batch are sealed.
	OutputTokens int64
	// Waiting is why lines are not in flight. An upstream is called by its host, or nothing if it is the only one.
	Waiting []batch.Waiting
}

// Summary is how a run ended.
type Summary struct {
	Progress
	// Unrun counts the lines of the error file that were never really tried.
	Unrun int64
	// Output and Errors are the result files; Errors is "" if there are no such lines.
	Output string
	Errors string
	State  string
	// Faults are the first of what is wrong with the input; then nothing was sent. FaultCount counts all.
	Faults     []batch.LineError
	FaultCount int64
	// Repeated is set when an earlier run had done everything already.
	Repeated bool
}

// Errors of a run that callers branch on.
var (
	// ErrInterrupted means that ctx ended first. What was finished is kept: the same job goes on from there.
	ErrInterrupted = errors.New("interrupted")
	// ErrInvalidInput means that validation refused the input; the summary says why.
	ErrInvalidInput = errors.New("input is not valid")
)

// UsageError is a job that cannot be done as it was asked for. Nothing was sent, and no file was changed.
type UsageError struct {
	// Problem says what is wrong and what to do.
	Problem string
}

// Error returns the problem.
func (e *UsageError) Error() string { return e.Problem }

func misuse(format string, args ...any) error {
	return &UsageError{Problem: fmt.Sprintf(format, args...)}
}

// RunOnce takes one input file to its result files without a server: the same engine on a folder of its own. A job
// that was interrupted, however that was, goes on where it was: a line that has its result is never sent again. A
// job that is done calls nobody and returns the same summary. observe is told of the progress several times a second,
// always from the caller's goroutine.
func RunOnce(ctx context.Context, cfg config.Config, job Job, logger *slog.Logger, observe func(Progress)) (Summary, error) {
	job, err := job.complete()
	if err != nil {
		return Summary{}, err
	}
	identity, err := identify(ctx, job)
	if err != nil {
		return Summary{}, err
	}
	if known := append(openai.Endpoints(), cfg.Endpoints...); !slices.Contains(known, identity.Endpoint) {
		return Summary{}, misuse("%s is not an endpoint; use one of %s", identity.Endpoint, strings.Join(known, ", "))
	}
	r, err := openRun(job, identity)
	if err != nil {
		return Summary{}, err
	}
	if done, ok, err := r.done(); ok || err != nil {
		return done, err
	}
	if err := r.begin(); err != nil {
		return Summary{}, err
	}
	cfg.DataDir, cfg.Retention = job.State, config.Retention{}
	// What is waited for is in the progress; a log of it would be a second telling.
	e, err := open(ctx, cfg, logger, slog.New(slog.DiscardHandler))
	if err != nil {
		return Summary{}, err
	}
	summary, err := e.runOnce(ctx, r, observe)
	return summary, errors.Join(err, e.Close())
}

// runOnce takes the run's batch to its end and copies its results out.
func (e *Engine) runOnce(ctx context.Context, r *run, observe func(Progress)) (Summary, error) {
	b, err := e.batchOf(ctx, r)
	if err != nil {
		return Summary{}, err
	}
	if !b.Status.Terminal() {
		observe(e.progressOf(b)) // what is there already is not this process's speed
		if b, err = e.await(ctx, b.ID, r.job.Wait, observe); err != nil {
			return Summary{State: r.job.State, Progress: e.progressOf(b)}, err
		}
	}
	summary := Summary{
		State: r.job.State, Progress: e.progressOf(b), Output: r.job.Output,
		Unrun:  b.Counts.Total - b.Counts.Completed - b.Counts.Failed,
		Faults: b.Errors, FaultCount: b.ErrorsTotal,
	}
	observe(summary.Progress)
	if b.Status == batch.Failed {
		return summary, ErrInvalidInput
	}
	// The results are all there: an interrupt that comes now would only put off copying them.
	if summary.Errors, err = e.publish(context.WithoutCancel(ctx), r, b); err != nil {
		return summary, err
	}
	return summary, r.finish(summary)
}

// await runs the engine until the batch has ended, and returns it as it then is. Unless it is to wait, it also ends once
// every call has been refused for long enough, with a *RefusedError.
func (e *Engine) await(ctx context.Context, batchID string, wait bool, observe func(Progress)) (batch.Batch, error) {
	ended := e.watch(batchID)
	running, stop := context.WithCancel(ctx)
	defer stop()
	stopped := make(chan error, 1) // room for the one result, so that nobody need wait for it
	go func() { stopped <- e.Run(running) }()
	tick := time.NewTicker(observeEvery)
	defer tick.Stop()
	last := context.WithoutCancel(ctx)
	var sending time.Time
	var refused *RefusedError
	for {
		select {
		case <-tick.C:
			b, err := e.storage.store.BatchByID(last, batchID)
			if err != nil || refused != nil {
				continue
			}
			p := e.progressOf(b)
			observe(p)
			if sending.IsZero() && b.Status == batch.InProgress {
				sending = time.Now()
			}
			// Few lines that are left of a file whose others were served may be at fault themselves.
			few := p.Completed > 0 && p.Total-p.Completed-p.Failed < fewLeft
			if wait || few || sending.IsZero() || ctx.Err() != nil {
				continue
			}
			if refused = e.refusal(sending, time.Now()); refused != nil {
				stop()
			}
		case <-ended:
			ended = nil
			stop()
		case err := <-stopped:
			b, err := e.outcome(last, batchID, err)
			if refused != nil && errors.Is(err, ErrInterrupted) {
				err = refused
			}
			return b, err
		}
	}
}

// outcome reads a batch after the engine has stopped.
func (e *Engine) outcome(ctx context.Context, batchID string, stopped error) (batch.Batch, error) {
	b, err := e.storage.store.BatchByID(ctx, batchID)
	if err = errors.Join(stopped, err); err == nil && !b.Status.Terminal() {
		err = ErrInterrupted
	}
	return b, err
}

// watch returns a channel that is closed when the batch has reached its end.
func (e *Engine) watch(batchID string) <-chan struct{} {
	ended := make(chan struct{})
	e.mu.Lock()
	e.watchers[batchID] = append(e.watchers[batchID], ended)
	e.mu.Unlock()
	return ended
}

// progressOf returns what is to be shown of a batch that was just read.
func (e *Engine) progressOf(b batch.Batch) Progress {
	p := Progress{
		Status: string(b.Status), Total: b.Counts.Total, Completed: b.Counts.Completed, Failed: b.Counts.Failed,
		InFlight: e.dispatcher.InFlight(), OutputTokens: b.Usage.Output,
	}
	if live, ok := e.progress.Counts(b.ID); ok && !b.Status.Terminal() {
		p.Completed, p.Failed = live.Completed, live.Failed
	}
	p.Waiting = e.waitingAt(b.ID, func(place int) string {
		if place == 0 || len(e.ups.targets) == 1 {
			return ""
		}
		return e.ups.targets[place-1].Upstream.Name()
	})
	return p
}
