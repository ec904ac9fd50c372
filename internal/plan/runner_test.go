package plan_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/blob/blobtest"
	"batchd/internal/dialect"
	"batchd/internal/dialect/openai"
	"batchd/internal/plan"
	"batchd/internal/store"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// fakeStore is the metadata store and the listener of a runner: it notes its calls.
type fakeStore struct {
	file    batch.File
	fileErr error
	// startErr and failErr are what StartBatch and FailBatch return.
	startErr, failErr error

	started *store.Start
	failed  *store.Failure
	closed  *store.Close
	calls   []string
}

func (d *fakeStore) InputFile(context.Context, string) (batch.File, error) { return d.file, d.fileErr }

func (d *fakeStore) StartBatch(_ context.Context, s store.Start) error {
	d.started = &s
	return d.startErr
}

func (d *fakeStore) FailBatch(_ context.Context, f store.Failure) error {
	d.failed = &f
	return d.failErr
}

func (d *fakeStore) CloseBatch(_ context.Context, c store.Close) (batch.Batch, error) {
	d.closed = &c
	return batch.Batch{}, nil
}

// run uploads a file and validates a batch of it.
func (d *fakeStore) run(t *testing.T, file string, b batch.Batch) error {
	t.Helper()
	backend := blobtest.NewMemory()
	blobs := blob.NewStore(backend, blob.Options{})
	d.file.Content = upload(t, blobs, strings.NewReader(file), 100)
	if d.file.Name == "damaged" {
		damage(t, backend, "upload/0", 3)
	}
	_, temp := newTemp()
	r := plan.NewRunner(plan.RunnerOptions{
		Store: d, Blobs: blobs, Temp: temp,
		Dialect:    func(string) (dialect.Dialect, error) { return openai.New(openai.Options{}), nil },
		Limits:     func(string) batch.Limits { return batch.DefaultLimits() },
		KnownModel: func(context.Context) func(string) bool { return nil },
		Started:    func(id string) { d.calls = append(d.calls, "started "+id) },
		Closed:     func(id string) { d.calls = append(d.calls, "closed "+id) },
		Now:        func() time.Time { return now },
		Logger:     slog.New(slog.DiscardHandler),
	})
	b.ID, b.Endpoint = "batch_1", endpoint
	return r.Run(t.Context(), b, batch.LeaseID{7})
}

func (d *fakeStore) wantCalls(t *testing.T, want ...string) {
	t.Helper()
	if diff := gocmp.Diff(want, d.calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestRunnerStartsABatchWhoseLinesAreGood(t *testing.T) {
	t.Parallel()
	d := &fakeStore{}
	if err := d.run(t, requests(1500, oneModel), batch.Batch{Stop: batch.StopNone}); err != nil {
		t.Fatal(err)
	}
	s := d.started
	if s == nil || s.Batch != "batch_1" || s.Lease != (batch.LeaseID{7}) || !s.Now.Equal(now) || s.Total != 1500 || len(s.Units) != 2 {
		t.Fatalf("started with %+v", s)
	}
	if !strings.Contains(s.Plan.Key, s.Lease.String()) {
		t.Errorf("plan's key %s does not carry the lease", s.Plan.Key)
	}
	d.wantCalls(t, "started batch_1")
}

func TestRunnerFailsABatchWithBadLines(t *testing.T) {
	t.Parallel()
	d := &fakeStore{}
	if err := d.run(t, "{\n", batch.Batch{Stop: batch.StopNone}); err != nil {
		t.Fatal(err)
	}
	if d.started != nil || d.failed == nil || d.failed.Total != 1 || d.failed.Errors[0].Code != "invalid_json_line" {
		t.Errorf("failed with %+v", d.failed)
	}
	d.wantCalls(t, "closed batch_1")
}

func TestRunnerFailsABatchThatItsTenantHasNoRoomFor(t *testing.T) {
	t.Parallel()
	d := &fakeStore{startErr: &store.QuotaError{Quota: store.QuotaEnqueuedTokens, Limit: 7000}}
	file := requests(1500, oneModel)
	if err := d.run(t, file, batch.Batch{Stop: batch.StopNone}); err != nil {
		t.Fatal(err)
	}
	if f := d.failed; f == nil || f.Total != 1 || f.Errors[0].Code != "token_limit_exceeded" || !strings.Contains(f.Errors[0].Message, "7000") {
		t.Errorf("failed with %+v", f)
	}
	if got, most := d.started.Tokens, int64(len(file)/4); got > most || got < most*9/10 {
		t.Errorf("%d tokens for %d bytes, want about a quarter", got, len(file))
	}
	d.wantCalls(t, "closed batch_1")
}

func TestRunnerFailsABatchWhoseInputIsGoneOrDamaged(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		store *fakeStore
		code  string
	}{
		"gone":    {&fakeStore{fileErr: store.ErrNotFound}, "invalid_request"},
		"damaged": {&fakeStore{file: batch.File{Name: "damaged"}}, string(batch.CodeInputUnreadable)},
	} {
		if err := c.store.run(t, requests(1, oneModel), batch.Batch{Stop: batch.StopNone}); err != nil {
			t.Fatal(err)
		}
		if f := c.store.failed; f == nil || f.Total != 1 || f.Errors[0].Code != c.code {
			t.Errorf("%s: failed with %+v", name, f)
		}
	}
}

func TestRunnerClosesAStoppedBatchWithoutFiles(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		store *fakeStore
		stop  batch.Stop
		file  string
	}{
		"stopped before":                        {&fakeStore{}, batch.StopCancel, ""},
		"stopped while its lines were read":     {&fakeStore{startErr: store.ErrConflict}, batch.StopNone, requests(1, oneModel)},
		"stopped while bad lines were reported": {&fakeStore{failErr: store.ErrConflict}, batch.StopNone, "{"},
	} {
		if err := c.store.run(t, c.file, batch.Batch{Stop: c.stop}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if cl := c.store.closed; cl == nil || cl.Output != nil || cl.Error != nil || cl.Lease != (batch.LeaseID{7}) {
			t.Errorf("%s: closed with %+v", name, cl)
		}
		c.store.wantCalls(t, "closed batch_1")
	}
}

func TestRunnerDecidesNothingOnOtherErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("database is gone")
	for name, d := range map[string]*fakeStore{"find": {fileErr: broken}, "start": {startErr: broken}} {
		if err := d.run(t, requests(1, oneModel), batch.Batch{Stop: batch.StopNone}); !errors.Is(err, broken) {
			t.Errorf("%s: error = %v, want the store's", name, err)
		}
		if d.failed != nil || d.closed != nil {
			t.Errorf("%s: failed %v, closed %v", name, d.failed, d.closed)
		}
		d.wantCalls(t)
	}
	d := &fakeStore{startErr: store.ErrLeaseLost}
	if err := d.run(t, requests(1, oneModel), batch.Batch{Stop: batch.StopNone}); !errors.Is(err, store.ErrLeaseLost) {
		t.Errorf("error = %v, want store.ErrLeaseLost", err)
	}
}
