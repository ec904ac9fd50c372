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
	vendor "batchd/internal/dialect/openai"
	"batchd/internal/httpapi"
)

// TestGoSDKDrivesEveryCall is the conformance test of the dialect: OpenAI's own client against the server.
func TestGoSDKDrivesEveryCall(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *httpapi.Options) { o.Mounts[0].Dialect = vendor.New(vendor.Options{}) })
	server := httptest.NewServer(f.handler)
	t.Cleanup(server.Close)
	client := openai.NewClient(option.WithBaseURL(server.URL+"/v1"), option.WithAPIKey("anything"), option.WithHTTPClient(server.Client()))
	ctx := t.Context()

	var files []string
	for range 5 {
		file, err := client.Files.New(ctx, openai.FileNewParams{
			File:         openai.File(strings.NewReader(goodLine), "in.jsonl", "application/jsonl"),
			Purpose:      openai.FilePurposeBatch,
			ExpiresAfter: openai.FileNewParamsExpiresAfter{Seconds: 3600},
		})
		if err != nil {
			t.Fatalf("upload: %v", err)
		}
		if file.Status != openai.FileObjectStatusProcessed || file.ExpiresAt != now.Unix()+3600 || file.Bytes != int64(len(goodLine)) {
			t.Errorf("uploaded file %s", file.RawJSON())
		}
		files = append(files, file.ID)
	}
	var batches []string
	for _, id := range files {
		b, err := client.Batches.New(ctx, openai.BatchNewParams{
			InputFileID: id, Endpoint: openai.BatchNewParamsEndpointV1ChatCompletions,
			CompletionWindow: openai.BatchNewParamsCompletionWindow24h, Metadata: map[string]string{"team": "search"},
		})
		if err != nil {
			t.Fatalf("create: %v", err)
		}
		if b.Status != openai.BatchStatusValidating || b.CreatedAt != now.Unix() || b.ExpiresAt != now.Unix()+86400 || b.Metadata["team"] != "search" {
			t.Errorf("created batch %s", b.RawJSON())
		}
		batches = append(batches, b.ID)
	}

	var listed []string
	pages := client.Files.ListAutoPaging(ctx, openai.FileListParams{Limit: openai.Int(2), Order: openai.FileListParamsOrderAsc})
	for pages.Next() {
		listed = append(listed, pages.Current().ID)
	}
	if err := pages.Err(); err != nil || !slices.Equal(listed, files) {
		t.Errorf("listed files %v, %v; want %v", listed, err, files)
	}
	listed = nil
	all := client.Batches.ListAutoPaging(ctx, openai.BatchListParams{Limit: openai.Int(2)})
	for all.Next() {
		listed = append(listed, all.Current().ID)
	}
	slices.Reverse(listed)
	if err := all.Err(); err != nil || !slices.Equal(listed, batches) {
		t.Errorf("listed batches %v, %v; want %v", listed, err, batches)
	}

	content, err := client.Files.Content(ctx, files[0])
	if err != nil {
		t.Fatalf("content: %v", err)
	}
	raw, err := io.ReadAll(content.Body)
	_ = content.Body.Close()
	if err != nil || string(raw) != goodLine {
		t.Errorf("content %q, %v", raw, err)
	}
	f.advance(batches[0], batch.Failed)
	failed, err := client.Batches.Get(ctx, batches[0])
	if err != nil || failed.Status != openai.BatchStatusFailed || len(failed.Errors.Data) != 1 || failed.Errors.Data[0].Line != 3 {
		t.Errorf("failed batch %s, %v", failed.RawJSON(), err)
	}
	cancelled, err := client.Batches.Cancel(ctx, batches[1])
	if err != nil || cancelled.Status != openai.BatchStatusCancelling || cancelled.CancellingAt != now.Unix() {
		t.Errorf("cancelled batch %s, %v", cancelled.RawJSON(), err)
	}
	var apiError *openai.Error
	if _, err := client.Batches.Cancel(ctx, batches[0]); !errors.As(err, &apiError) || apiError.StatusCode != 409 ||
		apiError.Message != "Cannot cancel a batch with status 'failed'." {
		t.Errorf("cancelling a failed batch: %v", err)
	}
	deleted, err := client.Files.Delete(ctx, files[0])
	if err != nil || !deleted.Deleted || deleted.ID != files[0] {
		t.Errorf("deleted file %v, %v", deleted, err)
	}
	if _, err := client.Files.Get(ctx, files[0]); !errors.As(err, &apiError) || apiError.StatusCode != 404 || apiError.Param != "id" {
		t.Errorf("reading a deleted file: %v", err)
	}
}
