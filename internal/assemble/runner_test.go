package assemble_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"batchd/internal/assemble"
	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/dialect/openai"
	"batchd/internal/store"
)

// closing is a finished batch whose closing is noted.
type closing struct {
	*finished
	got *store.Close
	err error
}

// CloseBatch is the store's method.
func (c *closing) CloseBatch(_ context.Context, got store.Close) (batch.Batch, error) {
	c.got = &got
	return batch.Batch{}, c.err
}

// run finalizes the batch and returns the ids that were reported as closed.
func (c *closing) run(t *testing.T) (closed []string, err error) {
	t.Helper()
	r := assemble.NewRunner(assemble.RunnerOptions{
		Store: c, Blobs: c.blobs, Temp: c.in.Temp, OutputTTL: time.Minute,
		Dialect: func(string) (dialect.Dialect, error) { return openai.New(openai.Options{}), nil },
		Closed:  func(id string) { closed = append(closed, id) },
		Now:     func() time.Time { return now },
		Logger:  slog.New(slog.DiscardHandler),
	})
	err = r.Run(t.Context(), c.in.Batch, batch.LeaseID{7})
	return closed, err
}

func TestRunnerClosesABatchWithItsFiles(t *testing.T) {
	t.Parallel()
	c := &closing{finished: seal(t, ordered(3, 4))}
	closed, err := c.run(t)
	if err != nil || !slices.Equal(closed, []string{"batch_1"}) {
		t.Fatalf("closed %v, %v", closed, err)
	}
	got := c.got
	if got.Batch != "batch_1" || got.Lease != (batch.LeaseID{7}) || !got.Now.Equal(now) || got.Output == nil || got.Error == nil {
		t.Fatalf("closed with %+v", got)
	}
	if got.Output.File.ID == got.Error.File.ID || got.Output.File.Lines != 9 || got.Error.File.Lines != 3 {
		t.Errorf("files are %+v and %+v", got.Output.File, got.Error.File)
	}
}

func TestRunnerGivesFilesTheBatchsTTLOrElseTheServers(t *testing.T) {
	t.Parallel()
	for own, want := range map[time.Duration]time.Duration{0: time.Minute, time.Hour: time.Hour} {
		c := &closing{finished: seal(t, ordered(1, 4))}
		c.in.Batch.OutputTTL = own
		if _, err := c.run(t); err != nil {
			t.Fatal(err)
		}
		if got := c.got.Output.File.ExpiresAt; !got.Equal(now.Add(want)) {
			t.Errorf("own TTL %s: expires at %s, want %s later than now", own, got, want)
		}
	}
}

func TestRunnerClosesNothingWhenTheFilesCannotBeMade(t *testing.T) {
	t.Parallel()
	c := &closing{finished: seal(t, ordered(3, 4))}
	c.seals = c.seals[:1]
	if closed, err := c.run(t); err == nil || c.got != nil || closed != nil {
		t.Errorf("closed %v with %+v, %v", closed, c.got, err)
	}
}

func TestRunnerReportsALostLease(t *testing.T) {
	t.Parallel()
	c := &closing{finished: seal(t, ordered(3, 4)), err: store.ErrLeaseLost}
	if closed, err := c.run(t); !errors.Is(err, store.ErrLeaseLost) || closed != nil {
		t.Errorf("closed %v, error = %v, want store.ErrLeaseLost", closed, err)
	}
}
