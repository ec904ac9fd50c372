// Package oneshot takes one input file to its result files without a server, and goes on where an earlier process was
// interrupted. It owns the record of a run, which says what belongs to it, and the files that users see; batches and
// calls are an engine's, over which it is handed an interface. It never overwrites a file that no run of its own made,
// and sends no line again whose result is there.
package oneshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"batchd/internal/batch"
	"batchd/internal/dialect/openai"
)

// observeEvery is how often the progress of a run is looked at: often enough for a bar that moves, seldom enough for a query
// of the store each time.
const observeEvery = 150 * time.Millisecond

// Job is what a run is asked to do. Empty paths stand for names beside the input: for IN.jsonl these are IN.output.jsonl,
// IN.errors.jsonl and the directory IN.batchd.
type Job struct {
	Input  string
	Output string
	Errors string
	// Endpoint is where the lines go; "" is the url that the first line names.
	Endpoint string
	// State is the directory that the run works in and resumes from.
	State string
	// Restart forgets what an earlier run in the same directory did.
	Restart bool
	// Wait goes on trying upstreams that refuse every call from the first one on.
	Wait bool
}

// complete fills in the paths that were not given, and makes all of them absolute.
func (j Job) complete() (Job, error) {
	if j.Input == "-" {
		return j, invalid("a run reads a file, not standard input: it must be able to read it again to resume")
	}
	base := strings.TrimSuffix(j.Input, ".jsonl")
	for _, p := range []struct {
		path *string
		name string
	}{{&j.Input, j.Input}, {&j.Output, base + ".output.jsonl"}, {&j.Errors, base + ".errors.jsonl"}, {&j.State, base + ".batchd"}} {
		if *p.path == "" {
			*p.path = p.name
		}
		abs, err := filepath.Abs(*p.path)
		if err != nil {
			return j, fmt.Errorf("resolve path %s: %w", *p.path, err)
		}
		*p.path = abs
	}
	if j.Output == j.Errors || j.Output == j.Input || j.Errors == j.Input || j.State == j.Input {
		return j, invalid("input, output, errors and state must be four different paths")
	}
	return j, nil
}

// Engine takes batches from their input to their results, in a directory that is its own. Its methods but Close may be
// called concurrently.
type Engine interface {
	// Submit stores an input and its batch under the ids that s names, unless that was done, and returns the batch as it
	// is.
	Submit(ctx context.Context, s Submission) (batch.Batch, error)
	// Wait works until the batch has ended or ctx ends; then it stops in order and returns the batch as it is. That ctx
	// has ended is no error. It is called once.
	Wait(ctx context.Context, batchID string) (batch.Batch, error)
	// Progress returns how far a batch is.
	Progress(ctx context.Context, batchID string) (Progress, error)
	// Open opens a result file for reading from its beginning.
	Open(ctx context.Context, fileID string) (io.ReadCloser, error)
	// Close gives the directory back. Wait must have returned.
	Close() error
}

// Submission is an input and what is to become of it.
type Submission struct {
	// File and Batch are the ids of the objects.
	File  string
	Batch string
	// Name is what the input is called.
	Name     string
	Endpoint string
	// Lines is how many lines the input has.
	Lines int64
	// Input opens the input, to be read to its end once. Where reading it fails, nothing of it is kept.
	Input func() (io.ReadCloser, error)
}

// Progress says how far a batch is.
type Progress struct {
	Status batch.Status
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
	// Refusals is what each upstream that lines go to has said to every call; the Kind is "" for one that has not refused
	// every one.
	Refusals []Refusal
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

// invalid says why a job cannot be done as it was asked for. Nothing was sent, and no file was changed.
func invalid(format string, args ...any) error {
	return batch.Invalidf("", "invalid_job", format, args...)
}

// Options configures a run. All fields are required.
type Options struct {
	// Endpoints are those that lines may go to.
	Endpoints []string
	// Open opens the engine that works in the directory dir.
	Open func(ctx context.Context, dir string) (Engine, error)
	// Observe is called with the progress several times a second, by the goroutine that called Run.
	Observe func(Progress)
}

// Run takes one input file to its result files. A job that was interrupted, however that was, goes on where it was: a line
// that has its result is never sent again. A job that is done makes no call and returns the same summary. One that cannot be
// done as it was asked for is a *batch.Error of class batch.Invalid; nothing was sent then, and no file was changed.
func Run(ctx context.Context, o Options, job Job) (Summary, error) {
	job, err := job.complete()
	if err != nil {
		return Summary{}, err
	}
	id, lines, err := identify(ctx, job)
	if err != nil {
		return Summary{}, err
	}
	if !slices.Contains(o.Endpoints, batch.EndpointPath(id.Endpoint)) {
		return Summary{}, invalid("%s is not an endpoint; use one of %s", id.Endpoint, strings.Join(o.Endpoints, ", "))
	}
	r, err := openRun(job, id)
	if err != nil {
		return Summary{}, err
	}
	r.lines = lines
	if done, ok, err := r.done(); ok || err != nil {
		return done, err
	}
	if err := r.begin(); err != nil {
		return Summary{}, err
	}
	r.observe = o.Observe
	if r.engine, err = o.Open(ctx, job.State); err != nil {
		return Summary{}, err
	}
	summary, err := r.take(ctx)
	return summary, errors.Join(err, r.engine.Close())
}

// take takes the run's batch to its end and copies its results out.
func (r *run) take(ctx context.Context) (Summary, error) {
	b, err := r.engine.Submit(ctx, r.submission(ctx))
	if err == nil && b.Status == batch.Failed {
		// An earlier run's batch, which validation refused. What is known of models may have changed since.
		r.record.Batch = openai.New(openai.Options{}).NewBatchID()
		if err := r.store(); err != nil {
			return Summary{}, err
		}
		b, err = r.engine.Submit(ctx, r.submission(ctx))
	}
	if err != nil {
		return Summary{}, err
	}
	// The context of what has to be said and kept after an interrupt, too.
	last := context.WithoutCancel(ctx)
	if !b.Status.Terminal() {
		p, err := r.engine.Progress(last, b.ID)
		if err != nil {
			return Summary{}, err
		}
		r.observe(p) // a first look, so that what earlier processes did does not count as speed
		if b, err = r.await(ctx, b.ID); err != nil {
			p, progressErr := r.engine.Progress(last, b.ID)
			return Summary{State: r.job.State, Progress: p}, errors.Join(err, progressErr)
		}
	}
	summary := Summary{
		State: r.job.State, Output: r.job.Output, Unrun: b.Counts.Total - b.Counts.Completed - b.Counts.Failed,
		Faults: b.Errors, FaultCount: b.ErrorsTotal,
	}
	if summary.Progress, err = r.engine.Progress(last, b.ID); err != nil {
		return summary, err
	}
	r.observe(summary.Progress)
	if b.Status == batch.Failed {
		return summary, ErrInvalidInput
	}
	// The results are all there: an interrupt that comes now would only put off copying them.
	if summary.Errors, err = r.publish(last, b); err != nil {
		return summary, err
	}
	r.record.Done = &doneRecord{
		Status: string(summary.Status), Total: summary.Total, Completed: summary.Completed, Failed: summary.Failed,
		OutputTokens: summary.OutputTokens,
	}
	return summary, r.store()
}

// await lets the engine work until the batch has ended, and returns it as it then is. Unless the job is to wait, it also
// ends once every call has been refused for long enough, with a *RefusedError.
func (r *run) await(ctx context.Context, batchID string) (b batch.Batch, err error) {
	working, stop := context.WithCancel(ctx)
	defer stop()
	var worker sync.WaitGroup
	ended := make(chan struct{})
	worker.Go(func() {
		b, err = r.engine.Wait(working, batchID)
		close(ended)
	})
	refused := r.watch(ctx, batchID, ended, stop)
	worker.Wait()
	switch {
	case err != nil || b.Status.Terminal():
		return b, err
	case refused != nil:
		return b, refused
	default:
		return b, ErrInterrupted
	}
}

// watch observes the progress until the engine has ended. Once every call has been refused for long enough it stops the engine
// and returns why.
func (r *run) watch(ctx context.Context, batchID string, ended <-chan struct{}, stop func()) *RefusedError {
	tick := time.NewTicker(observeEvery)
	defer tick.Stop()
	var sending time.Time
	var refused *RefusedError
	for {
		select {
		case <-tick.C:
		case <-ended:
			return refused
		}
		p, err := r.engine.Progress(context.WithoutCancel(ctx), batchID)
		if err != nil || refused != nil {
			continue // a store that fails ends the engine as well, whose error says more
		}
		r.observe(p)
		if sending.IsZero() && p.Status == batch.InProgress {
			sending = time.Now()
		}
		if r.job.Wait || sending.IsZero() || ctx.Err() != nil {
			continue
		}
		if refused = refusal(p, time.Since(sending)); refused != nil {
			stop()
		}
	}
}
