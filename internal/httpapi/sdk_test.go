package httpapi_test

import (
	"errors"
	"io"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/blob/disk"
	vendor "batchd/internal/dialect/openai"
	"batchd/internal/vfs"
)

// sdk is OpenAI's own client of a fixture's server.
type sdk struct {
	*fixture
	openai.Client
}

// newSDK starts a server as it is run, with its blobs on disk, behind a real listener.
func newSDK(t *testing.T) *sdk {
	t.Helper()
	f := newFixture(t, func(o *options) {
		o.Mounts[0].Dialect = vendor.New(vendor.Options{})
		o.Blobs = onDisk(t)
	})
	server := httptest.NewServer(f.handler)
	t.Cleanup(server.Close)
	return &sdk{fixture: f, Client: openai.NewClient(
		option.WithBaseURL(server.URL+"/v1"), option.WithAPIKey("anything"), option.WithHTTPClient(server.Client()))}
}

// onDisk returns a blob store in a directory that is the test's own.
func onDisk(t *testing.T) blob.Store {
	t.Helper()
	fsys, err := vfs.NewOS(t.TempDir(), vfs.OSOptions{})
	if err != nil {
		t.Fatal(err)
	}
	backend, err := disk.New(fsys, "blobs", disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return blob.NewStore(backend, blob.Options{})
}

func (c *sdk) upload(content string) string {
	c.t.Helper()
	file, err := c.Files.New(c.t.Context(), openai.FileNewParams{
		File:         openai.File(strings.NewReader(content), "in.jsonl", "application/jsonl"),
		Purpose:      openai.FilePurposeBatch,
		ExpiresAfter: openai.FileNewParamsExpiresAfter{Seconds: 3600},
	})
	if err != nil {
		c.t.Fatalf("upload: %v", err)
	}
	if file.ExpiresAt != now.Unix()+3600 || file.Bytes != int64(len(content)) {
		c.t.Errorf("uploaded file %s", file.RawJSON())
	}
	return file.ID
}

func (c *sdk) create(file string, opts ...option.RequestOption) string {
	c.t.Helper()
	b, err := c.Batches.New(c.t.Context(), openai.BatchNewParams{
		InputFileID: file, Endpoint: openai.BatchNewParamsEndpointV1ChatCompletions,
		CompletionWindow: openai.BatchNewParamsCompletionWindow24h, Metadata: map[string]string{"team": "search"},
	}, opts...)
	if err != nil {
		c.t.Fatalf("create: %v", err)
	}
	if b.Status != openai.BatchStatusValidating || b.CreatedAt != now.Unix() || b.ExpiresAt != now.Unix()+86400 || b.Metadata["team"] != "search" {
		c.t.Errorf("created batch %s", b.RawJSON())
	}
	return b.ID
}

// wantAPIError fails the test unless err is the server's answer of that status, and returns it.
func (c *sdk) wantAPIError(err error, status int) *openai.Error {
	c.t.Helper()
	var answer *openai.Error
	if !errors.As(err, &answer) || answer.StatusCode != status {
		c.t.Fatalf("got error %v, want an answer of status %d", err, status)
	}
	return answer
}

func TestGoSDKUploadsReadsAndDeletesFiles(t *testing.T) {
	t.Parallel()
	c, ctx := newSDK(t), t.Context()
	long := strings.Repeat(goodLine, 30_000) // several blocks
	id := c.upload(long)
	content, err := c.Files.Content(ctx, id)
	if err != nil {
		t.Fatalf("content: %v", err)
	}
	raw, err := io.ReadAll(content.Body)
	_ = content.Body.Close()
	if err != nil || string(raw) != long {
		t.Errorf("content of %d bytes, want %d; %v", len(raw), len(long), err)
	}
	deleted, err := c.Files.Delete(ctx, id)
	if err != nil || !deleted.Deleted || deleted.ID != id {
		t.Errorf("deleted file %v, %v", deleted, err)
	}
	_, err = c.Files.Get(ctx, id)
	if answer := c.wantAPIError(err, 404); answer.Param != "id" {
		t.Errorf("reading a deleted file: %v", answer)
	}
}

func TestGoSDKPagesThroughLists(t *testing.T) {
	t.Parallel()
	c, ctx := newSDK(t), t.Context()
	var files, batches []string
	for range 5 {
		files = append(files, c.upload(goodLine))
	}
	for _, id := range files {
		batches = append(batches, c.create(id))
	}
	var listed []string
	pages := c.Files.ListAutoPaging(ctx, openai.FileListParams{Limit: openai.Int(2), Order: openai.FileListParamsOrderAsc})
	for pages.Next() {
		listed = append(listed, pages.Current().ID)
	}
	if err := pages.Err(); err != nil || !slices.Equal(listed, files) {
		t.Errorf("listed files %v, %v; want %v", listed, err, files)
	}
	listed = nil
	all := c.Batches.ListAutoPaging(ctx, openai.BatchListParams{Limit: openai.Int(2)})
	for all.Next() {
		listed = append(listed, all.Current().ID)
	}
	slices.Reverse(listed)
	if err := all.Err(); err != nil || !slices.Equal(listed, batches) {
		t.Errorf("listed batches %v, %v; want %v", listed, err, batches)
	}
}

func TestGoSDKReadsAndCancelsBatches(t *testing.T) {
	t.Parallel()
	c, ctx := newSDK(t), t.Context()
	bad, good := c.create(c.upload(goodLine)), c.create(c.upload(goodLine))
	c.advance(bad, batch.Failed)
	failed, err := c.Batches.Get(ctx, bad)
	if err != nil || failed.Status != openai.BatchStatusFailed || len(failed.Errors.Data) != 1 || failed.Errors.Data[0].Line != 3 {
		t.Errorf("failed batch %s, %v", failed.RawJSON(), err)
	}
	cancelled, err := c.Batches.Cancel(ctx, good)
	if err != nil || cancelled.Status != openai.BatchStatusCancelling || cancelled.CancellingAt != now.Unix() {
		t.Errorf("cancelled batch %s, %v", cancelled.RawJSON(), err)
	}
	_, err = c.Batches.Cancel(ctx, bad)
	if answer := c.wantAPIError(err, 409); answer.Message != "Cannot cancel a batch with status 'failed'." {
		t.Errorf("cancelling a failed batch: %v", answer)
	}
}

func TestI28GoSDKCreatesABatchOnceUnderItsKey(t *testing.T) {
	t.Parallel()
	c := newSDK(t)
	file, key := c.upload(goodLine), option.WithHeader("Idempotency-Key", "order-7")
	if first, again := c.create(file, key), c.create(file, key); first != again {
		t.Errorf("two batches %s and %s", first, again)
	}
	_, err := c.Batches.New(t.Context(), openai.BatchNewParams{
		InputFileID: file, Endpoint: openai.BatchNewParamsEndpointV1ChatCompletions, CompletionWindow: "48h",
	}, key)
	if answer := c.wantAPIError(err, 409); answer.Code != "idempotency_key_reused" {
		t.Errorf("another call under the key: %v", answer)
	}
}
