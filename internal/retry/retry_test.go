package retry_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/blob/blobtest"
	"batchd/internal/retry"
	"batchd/internal/store"
)

// shelf takes in files and lets them go; refuse is what it answers to a new one.
type shelf struct {
	kept   map[string]batch.File
	refuse error
}

func (s *shelf) CreateFile(_ context.Context, f batch.File) error {
	if s.refuse == nil {
		s.kept[f.ID] = f
	}
	return s.refuse
}

func (s *shelf) DeleteFile(ctx context.Context, tenant, id string, _ time.Time) error {
	if f, ok := s.kept[id]; !ok || f.Tenant != tenant {
		return store.ErrNotFound
	}
	if ctx.Err() == nil {
		delete(s.kept, id)
	}
	return ctx.Err()
}

// world has a retrier to which one line of every batch is unfinished.
type world struct {
	*retry.Retrier
	shelf   *shelf
	backend *blobtest.Memory
	// copied is the key of the blob with that line.
	copied string
}

func newWorld() *world {
	w := &world{shelf: &shelf{kept: map[string]batch.File{}}, backend: blobtest.NewMemory()}
	blobs := blob.NewStore(w.backend, blob.Options{})
	w.Retrier = retry.New(retry.Options{
		Files: w.shelf, Blobs: blobs, Now: func() time.Time { return now }, Logger: slog.New(slog.DiscardHandler),
		CopyUnfinished: func(ctx context.Context, _ batch.Batch) (batch.Blob, int64, error) {
			out, err := blobs.Put(ctx, "files/1", strings.NewReader("{}\n"))
			w.copied = out.Key
			return out, 1, err
		},
	})
	return w
}

// copyLeft reports whether the blob with the unfinished line is still there.
func (w *world) copyLeft(t *testing.T) bool {
	t.Helper()
	_, err := w.backend.Stat(t.Context(), w.copied)
	if err != nil && !errors.Is(err, blob.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

// partly is a batch of which one line has no good result.
var partly = batch.Batch{
	ID: "batch_1", Tenant: "t", KeyID: "key_old", Dialect: "openai", Endpoint: endpoint, InputFileID: "file-old",
	Window: "24h", Metadata: []byte(`{"a":1}`), OutputTTL: time.Hour, Remark: "nightly", CallbackURL: "https://public.example/x",
	Status: batch.Expired, Stop: batch.StopExpire, Counts: batch.Counts{Total: 3, Completed: 2},
}

func request(create func(batch.Batch) (batch.Batch, error)) retry.Request {
	return retry.Request{
		Ended: partly, FileID: "file-new", BatchID: "batch_2", KeyID: "key_new", InputTTL: 48 * time.Hour, Create: create,
	}
}

func TestRetryTakesOverWhatTheEndedBatchWasMadeWith(t *testing.T) {
	t.Parallel()
	w := newWorld()
	got, err := w.Retry(t.Context(), request(func(next batch.Batch) (batch.Batch, error) {
		if _, ok := w.shelf.kept[next.InputFileID]; !ok {
			t.Error("the batch is created before its input file")
		}
		return next, nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := batch.Batch{
		ID: "batch_2", Tenant: "t", KeyID: "key_new", Dialect: "openai", Endpoint: endpoint, InputFileID: "file-new",
		Window: "24h", Metadata: []byte(`{"a":1}`), OutputTTL: time.Hour, Remark: "nightly", CallbackURL: "https://public.example/x",
		ContinuedFrom: "batch_1", Status: batch.Validating, Stop: batch.StopNone, CreatedAt: now, ExpiresAt: now.Add(24 * time.Hour),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("batch (-want +got):\n%s", diff)
	}
	file := w.shelf.kept["file-new"]
	file.Content = nil
	wantFile := batch.File{
		ID: "file-new", Tenant: "t", Dialect: "openai", Name: "batch_1_retry.jsonl", Purpose: batch.PurposeBatch,
		Bytes: 3, Lines: 1, CreatedAt: now, ExpiresAt: now.Add(48 * time.Hour),
	}
	if diff := cmp.Diff(wantFile, file); diff != "" {
		t.Errorf("input file (-want +got):\n%s", diff)
	}
}

func TestRefusedRetryLeavesNeitherFileNorBlob(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	for name, create := range map[string]func(batch.Batch) (batch.Batch, error){
		"the batch is refused":        func(batch.Batch) (batch.Batch, error) { return batch.Batch{}, refused },
		"another call was faster":     func(batch.Batch) (batch.Batch, error) { return batch.Batch{ID: "batch_other"}, nil },
		"refused and the client left": nil,
	} {
		w := newWorld()
		ctx, leave := context.WithCancel(t.Context())
		if create == nil {
			create = func(batch.Batch) (batch.Batch, error) { leave(); return batch.Batch{}, refused }
		}
		if _, err := w.Retry(ctx, request(create)); err != nil && !errors.Is(err, refused) {
			t.Errorf("%s: %v", name, err)
		}
		if len(w.shelf.kept) != 0 {
			t.Errorf("%s: files %v are left", name, w.shelf.kept)
		}
		leave()
	}
}

// A row that may have been stored after all may refer to the blob, so only a refusal that is certain removes it.
func TestBlobOfARefusedFileGoesOnlyIfNoRowCanReferToIt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		refuse error
		left   bool
	}{
		"quota":         {&store.QuotaError{Quota: store.QuotaFiles, Limit: 1, Used: 1}, false},
		"unknown fault": {errors.New("disk I/O error"), true},
	} {
		w := newWorld()
		w.shelf.refuse = test.refuse
		_, err := w.Retry(t.Context(), request(func(batch.Batch) (batch.Batch, error) {
			t.Errorf("%s: a batch is created without its input file", name)
			return batch.Batch{}, nil
		}))
		if !errors.Is(err, test.refuse) || w.copyLeft(t) != test.left {
			t.Errorf("%s: error %v, blob left %t, want %t", name, err, w.copyLeft(t), test.left)
		}
	}
}

func TestOnlyABatchWithUnfinishedLinesThatHasEndedCanBeRetried(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*batch.Batch)
		code   string
	}{
		"ended with a line left": {func(*batch.Batch) {}, ""},
		"running":                {func(b *batch.Batch) { b.Status = batch.InProgress }, "batch_not_ended"},
		"cancelling":             {func(b *batch.Batch) { b.Status = batch.Cancelling }, "batch_not_ended"},
		"failed validation":      {func(b *batch.Batch) { b.Status = batch.Failed }, "batch_failed"},
		"never read":             {func(b *batch.Batch) { b.Counts = batch.Counts{} }, "nothing_to_retry"},
		"all good":               {func(b *batch.Batch) { b.Counts.Completed = 3 }, "nothing_to_retry"},
	} {
		b := partly
		test.change(&b)
		err := retry.Check(b)
		var fault *batch.Error
		switch {
		case test.code == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case test.code != "" && (!errors.As(err, &fault) || fault.Class != batch.Conflict || fault.Code != test.code):
			t.Errorf("%s: %v, want a conflict with code %s", name, err, test.code)
		}
	}
}
