package app

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/config"
	"batchd/internal/sim"
)

// interrupted is a blob store in which something happens before an object is read.
type interrupted struct {
	blob.Store
	meanwhile func()
}

// Open implements blob.Store.
func (i *interrupted) Open(ctx context.Context, b batch.Blob, offset, length int64) io.ReadCloser {
	i.meanwhile()
	return i.Store.Open(ctx, b, offset, length)
}

// A batch is read, then its input is looked up, and only then does the dispatcher know it. A stop that is stored between
// finds nothing to stop, so it has to be looked for afterwards.
func TestAStopStoredWhileItsBatchIsStartedIsNotMissed(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	e := openBefore(t, func() { calls.Add(1) })
	b := storeBatch(t, e)
	e.storage.blobs = &interrupted{Store: e.storage.blobs, meanwhile: func() {
		if _, err := e.storage.store.CancelBatch(t.Context(), b.Tenant, b.ID, time.Now()); err != nil {
			t.Error(err)
		}
		e.Cancelled(b.ID)
	}}
	e.starter = e.newStarter() // over those blobs
	ended := e.watch(b.ID)
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1) // room for the one result
	go func() { stopped <- e.Run(ctx) }()
	<-ended
	stop()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	got, err := e.storage.store.BatchByID(t.Context(), b.ID)
	if err != nil {
		t.Fatal(err)
	}
	// A few calls may begin before the stop is found, but a stop that was missed would let all lines run.
	if got.Status != batch.Cancelled || got.Counts.Completed > batchLines/2 || calls.Load() > batchLines/2 {
		t.Errorf("the batch is %s, with %d lines done and %d calls made; want cancelled, and few of %d",
			got.Status, got.Counts.Completed, calls.Load(), batchLines)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// Results that come while the process stops are paid for like any others: the journals are synced after the last of them,
// which is when their counts are shown.
func TestAStopInOrderSyncsWhatCameInMeanwhile(t *testing.T) {
	t.Parallel()
	const concurrency = 4
	called, answer := make(chan struct{}, concurrency), make(chan struct{})
	e := openBefore(t, func() {
		called <- struct{}{}
		<-answer
	})
	b := storeBatch(t, e)
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1) // room for the one result
	go func() { stopped <- e.Run(ctx) }()
	for range concurrency {
		<-called
	}
	stop()
	close(answer)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if got, _ := e.progress.Counts(b.ID); got.Completed != concurrency {
		t.Errorf("%d results are shown after the stop, want %d", got.Completed, concurrency)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// openBefore opens an engine before an upstream that takes four calls at a time and does something for each.
func openBefore(t *testing.T, onCall func()) *Engine {
	t.Helper()
	simulated, err := sim.New(sim.Options{OnCall: func(sim.Call) { onCall() }})
	if err != nil {
		t.Fatal(err)
	}
	upstream := httptest.NewServer(simulated)
	t.Cleanup(upstream.Close)
	cfg := config.Default()
	cfg.DataDir = filepath.Join(t.TempDir(), "data")
	cfg.Upstreams = []config.Upstream{{URL: upstream.URL + "/v1", Concurrency: 4}}
	e, err := Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// batchLines is how many lines a stored batch has: many more than run in the time that one look into the store takes.
const batchLines = 1000

// storeBatch stores a batch. The manifest of its input is an object of its own, as that of a large file is.
func storeBatch(t *testing.T, e *Engine) batch.Batch {
	t.Helper()
	const line = `{"custom_id":"c","method":"POST","url":"/v1/embeddings","body":{"model":"m","input":"text"}}` + "\n"
	var input strings.Builder
	for i := range batchLines {
		input.WriteString(strings.Replace(line, `"c"`, strconv.Quote(strconv.Itoa(i)), 1))
	}
	content, err := e.storage.blobs.Put(t.Context(), "files/file-in", strings.NewReader(input.String()))
	if err != nil {
		t.Fatal(err)
	}
	manifest := batch.EncodeManifest(batch.Manifest{}.Append(content, 0, content.Size))
	stored, err := e.storage.blobs.Put(t.Context(), "manifests/file-in", bytes.NewReader(manifest))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	file := batch.File{
		ID: "file-in", Tenant: e.tenant, Dialect: "openai", Name: "in.jsonl", Purpose: batch.PurposeBatch,
		Bytes: content.Size, Lines: batchLines, CreatedAt: now, ContentBlob: stored,
	}
	if err := e.storage.store.CreateFile(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	b := batch.Batch{
		ID: "batch_1", Tenant: e.tenant, Dialect: "openai", Endpoint: "/v1/embeddings", InputFileID: file.ID, Window: "24h",
		Status: batch.Validating, Stop: batch.StopNone, CreatedAt: now, ExpiresAt: now.Add(24 * time.Hour),
	}
	if err := e.storage.store.CreateBatch(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	return b
}
