package sdk_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/openai/openai-go/v3"

	"batchd/test/harness"
)

// uploadSteps is what every SDK must have done to have sent files in parts.
var uploadSteps = []string{"announce", "parts", "refusals", "complete", "cancel"}

func TestUploadsInParts(t *testing.T) {
	t.Parallel()
	t.Run("python", func(t *testing.T) {
		t.Parallel()
		// Only this SDK has a helper that cuts a file itself.
		drive(t, harness.Serve(t)+"/v1", python(t, "uploads.py"), slices.Concat(uploadSteps, []string{"helper"}))
	})
	t.Run("node", func(t *testing.T) {
		t.Parallel()
		drive(t, harness.Serve(t)+"/v1", node(t, "uploads.mjs"), uploadSteps)
	})
	t.Run("go", func(t *testing.T) {
		t.Parallel()
		j := &uploadJourney{user: newUser(harness.Serve(t) + "/v1"), content: requests(uploadLines)}
		walk(t, uploadSteps, []func(*testing.T){j.announce, j.parts, j.refusals, j.complete, j.cancel})
	})
}

const uploadLines = 60

// uploadJourney is what the user of the Go SDK who sends a file in parts knows after each step.
type uploadJourney struct {
	user
	content []byte
	upload  *openai.Upload
	partIDs []string
}

func (j *uploadJourney) announce(t *testing.T) {
	j.upload = j.mustAnnounce(t)
	u := j.upload
	if u.Status != openai.UploadStatusPending || u.Bytes != int64(len(j.content)) || u.ExpiresAt != u.CreatedAt+3600 {
		t.Errorf("unexpected upload: %s", u.RawJSON())
	}
}

// parts sends pieces that are cut in the middle of lines, all at once.
func (j *uploadJourney) parts(t *testing.T) {
	pieces := slices.Collect(slices.Chunk(j.content, len(j.content)/4+1))
	j.partIDs = make([]string, len(pieces))
	var all sync.WaitGroup
	for i, piece := range pieces {
		all.Go(func() {
			part, err := j.add(t, j.upload.ID, piece)
			if err != nil {
				t.Error(err)
				return
			}
			if part.UploadID != j.upload.ID {
				t.Errorf("unexpected part: %s", part.RawJSON())
			}
			j.partIDs[i] = part.ID
		})
	}
	all.Wait()
	if ids := slices.Sorted(slices.Values(j.partIDs)); len(slices.Compact(ids)) != 4 {
		t.Errorf("parts %q, want four", j.partIDs)
	}
}

func (j *uploadJourney) refusals(t *testing.T) {
	_, err := j.client.Uploads.Complete(t.Context(), j.upload.ID, openai.UploadCompleteParams{PartIDs: j.partIDs[:3]})
	wantError(t, err, fault{status: http.StatusBadRequest, param: "part_ids", message: strconv.Itoa(len(j.content))})
	// In the wrong order the parts make another file, which the digest tells.
	swapped := []string{j.partIDs[0], j.partIDs[2], j.partIDs[1], j.partIDs[3]}
	_, err = j.client.Uploads.Complete(t.Context(), j.upload.ID, openai.UploadCompleteParams{PartIDs: swapped, Md5: openai.String(j.digest())})
	wantError(t, err, fault{status: http.StatusBadRequest, param: "md5"})
}

func (j *uploadJourney) complete(t *testing.T) {
	done, err := j.client.Uploads.Complete(t.Context(), j.upload.ID, openai.UploadCompleteParams{PartIDs: j.partIDs, Md5: openai.String(j.digest())})
	if err != nil {
		t.Fatal(err)
	}
	if done.Status != openai.UploadStatusCompleted || done.File.Filename != "parts.jsonl" || done.File.Bytes != int64(len(j.content)) {
		t.Errorf("unexpected upload: %s", done.RawJSON())
	}
	if !bytes.Equal(j.mustRead(t, done.File.ID), j.content) {
		t.Error("the file is not what the parts make")
	}
	batch := j.waitFor(t, j.mustCreate(t, done.File.ID, nil).ID, openai.BatchStatusCompleted)
	checkAnswers(t, resultsIn(t, j.mustRead(t, batch.OutputFileID)), uploadLines)
}

func (j *uploadJourney) cancel(t *testing.T) {
	dropped := j.mustAnnounce(t)
	if _, err := j.add(t, dropped.ID, j.content[:10]); err != nil {
		t.Fatal(err)
	}
	cancelled, err := j.client.Uploads.Cancel(t.Context(), dropped.ID)
	if err != nil || cancelled.Status != openai.UploadStatusCancelled {
		t.Errorf("cancel: %v, %v", cancelled, err)
	}
	_, err = j.add(t, dropped.ID, j.content[10:])
	wantError(t, err, fault{status: http.StatusBadRequest, message: "cancelled"})
	_, err = j.client.Uploads.Complete(t.Context(), dropped.ID, openai.UploadCompleteParams{PartIDs: j.partIDs})
	wantError(t, err, fault{status: http.StatusBadRequest, message: "cancelled"})
	_, err = j.client.Uploads.Cancel(t.Context(), "upload_absent")
	wantError(t, err, fault{status: http.StatusNotFound})
}

func (j *uploadJourney) mustAnnounce(t *testing.T) *openai.Upload {
	t.Helper()
	upload, err := j.client.Uploads.New(t.Context(), openai.UploadNewParams{
		Filename: "parts.jsonl", Purpose: openai.FilePurposeBatch, Bytes: int64(len(j.content)), MimeType: "application/jsonl",
	})
	if err != nil {
		t.Fatal(err)
	}
	return upload
}

func (j *uploadJourney) add(t *testing.T, upload string, piece []byte) (*openai.UploadPart, error) {
	t.Helper()
	return j.client.Uploads.Parts.New(t.Context(), upload, openai.UploadPartNewParams{Data: bytes.NewReader(piece)})
}

func (j *uploadJourney) digest() string {
	sum := md5.Sum(j.content) // what the API asks for
	return hex.EncodeToString(sum[:])
}
