package httpapi_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/openai/openai-go/v3"

	"batchd/internal/batch"
	"batchd/internal/blob"
	vendor "batchd/internal/dialect/openai"
)

func digestOf(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

// cut adds content to a new upload in pieces of n bytes and returns its id and theirs.
func (f *fixture) cut(content string, n int) (upload string, parts []string) {
	f.t.Helper()
	upload = f.mustAnnounce(int64(len(content)))
	for piece := range slices.Chunk([]byte(content), n) {
		parts = append(parts, f.mustAddPart(upload, string(piece)))
	}
	return upload, parts
}

func TestI15CompletionTakesExactlyTheAnnouncedFile(t *testing.T) {
	t.Parallel()
	content := goodLine + "\n" + goodLine + "{}"
	for name, tc := range map[string]struct {
		digest string
		pick   func(parts []string, foreign string) []string
		param  string
	}{
		"missing part":              {"", func(p []string, _ string) []string { return p[1:] }, "part_ids"},
		"part twice":                {"", func(p []string, _ string) []string { return append(p, p[0]) }, "part_ids"},
		"unknown part":              {"", func(p []string, _ string) []string { return append(p, "part_x") }, "part_ids"},
		"part of another upload":    {"", func(p []string, foreign string) []string { return append(p, foreign) }, "part_ids"},
		"part that is no id at all": {"", func(p []string, _ string) []string { return append(p, strings.Repeat("\x00", 999)) }, "part_ids"},
		"no parts":                  {"", func([]string, string) []string { return nil }, "part_ids"},
		"out of order":              {digestOf(content), func(p []string, _ string) []string { p[0], p[1] = p[1], p[0]; return p }, ""},
		"wrong digest":              {digestOf("x"), func(p []string, _ string) []string { return p }, "md5"},
		"malformed digest":          {"d41d8cd9", func(p []string, _ string) []string { return p }, "md5"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, nil)
			_, foreign := f.cut(goodLine, len(goodLine))
			id, parts := f.cut(content, 50)
			got := faultOf(t, f.complete(id, tc.digest, tc.pick(slices.Clone(parts), foreign[0])...))
			if got.Status != 400 || tc.param != "" && got.Param != tc.param || len(got.Message) > 300 {
				t.Errorf("fault %+v, want 400 about %q", got, tc.param)
			}
			// The upload is still pending, and can be completed as it should have been.
			first := f.want(f.complete(id, strings.ToUpper(digestOf(content)), parts...), 200)
			if again := f.want(f.complete(id, digestOf(content), parts...), 200); again != first {
				t.Errorf("answered %s, then %s", first, again)
			}
			if other := f.want(f.complete(id, "", "part_x"), 200); other != first {
				t.Errorf("another call was answered %s", other)
			}
			if n := len(ids(t, f.want(f.do("GET", "/v1/files", ""), 200))); n != 1 {
				t.Errorf("%d files", n)
			}
			file := as[map[string]any](t, object(t, first)["file"])
			if got := f.want(f.do("GET", fmt.Sprintf("/v1/files/%s/content", file["id"]), ""), 200); got != content {
				t.Errorf("content %q, want %q", got, content)
			}
		})
	}
}

func TestLinesOfAFileInPartsAreCountedAcrossCuts(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]int64{
		"{}\n{}\n{}":               3,
		"{}\r\n \r\n\t\n{\"a\":1}": 2,
		"\ufeff{\"a\":1}\n\n\n":    1,
	} {
		for n := 1; n <= 5; n++ {
			t.Run(fmt.Sprintf("%q by %d", content, n), func(t *testing.T) {
				t.Parallel()
				f := newFixture(t, nil)
				id, parts := f.cut(content, n)
				file := as[map[string]any](t, object(t, f.want(f.complete(id, "", parts...), 200))["file"])
				got, err := f.store.File(t.Context(), ours, as[string](t, file["id"]), now)
				if err != nil || got.Lines != want {
					t.Errorf("%d lines, %v; want %d", got.Lines, err, want)
				}
			})
		}
	}
}

func TestFirstLineOfAFileInPartsIsChecked(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		content string
		status  int
	}{
		"object across parts":       {"{\"custom_id\":\n1}", 400},
		"no object":                 {"hello\n{}\n", 400},
		"blank first":               {"\n{}\n", 400},
		"one line":                  {"{\"custom_id\":1}", 200},
		"longer than is looked at":  {`{"a":"` + strings.Repeat("x", 2<<20) + `"}`, 200},
		"longer, and of no object":  {`["` + strings.Repeat("x", 2<<20) + `"]`, 400},
		"short before a large rest": {"{}\n" + strings.Repeat("x", 2<<20), 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, nil)
			id, parts := f.cut(tc.content, max(7, len(tc.content)/5))
			w := f.complete(id, "", parts...)
			if w.Code != tc.status {
				t.Fatalf("%d %s, want %d", w.Code, w.Body, tc.status)
			}
			if tc.status == 400 {
				if got := faultOf(t, w); got.Param != "part_ids" || !strings.Contains(got.Message, "first line") {
					t.Errorf("fault %+v", got)
				}
			}
		})
	}
}

func TestManyPartsAreListedInAnObjectOfTheirOwn(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *options) { o.Mounts[0].Dialect = vendor.New(vendor.Options{}) })
	const pieces = 1500
	content := strings.Repeat("{}\n", pieces)
	id := f.mustAnnounce(int64(len(content)))
	parts := make([]string, pieces)
	var sending sync.WaitGroup
	for w := range 8 {
		sending.Go(func() {
			for i := w; i < pieces; i += 8 {
				w := f.addPart(id, content[i*3:i*3+3])
				if w.Code != 200 {
					t.Errorf("part %d: %d %s", i, w.Code, w.Body)
					return
				}
				parts[i] = field(t, w.Body.String(), "id")
			}
		})
	}
	sending.Wait()
	file := as[map[string]any](t, object(t, f.want(f.complete(id, digestOf(content), parts...), 200))["file"])
	fileID := as[string](t, file["id"])
	stored, err := f.store.File(t.Context(), ours, fileID, now)
	if err != nil || stored.ContentBlob.Zero() || stored.Content != nil || stored.Lines != pieces {
		t.Errorf("file %+v, %v", stored, err)
	}
	if got := f.want(f.do("GET", "/v1/files/"+fileID+"/content", ""), 200); got != content {
		t.Errorf("%d bytes, want %d", len(got), len(content))
	}
	if unused := f.unreferenced(); len(unused) != 0 {
		t.Errorf("nothing refers to %d objects of the file", len(unused))
	}
}

func TestCompletedUploadOutlivesItsFile(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	id, parts := f.cut(goodLine, 40)
	file := as[map[string]any](t, object(t, f.want(f.complete(id, "", parts...), 200))["file"])
	f.want(f.do("DELETE", "/v1/files/"+as[string](t, file["id"]), ""), 200)
	got := object(t, f.want(f.complete(id, "", parts...), 200))
	if got["status"] != "completed" || got["file"] != nil {
		t.Errorf("upload %v", got)
	}
}

// unreferenced returns the objects that sweeping would remove.
func (f *fixture) unreferenced() []string {
	f.t.Helper()
	var keys []string
	err := f.objects.List(f.t.Context(), "", func(i blob.Info) error { keys = append(keys, i.Key); return nil })
	if err == nil {
		keys, err = f.store.Unreferenced(f.t.Context(), keys)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return keys
}

func TestCompletionsAtTheSameTimeMakeOneFile(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	content := strings.Repeat(goodLine, 50)
	id, parts := f.cut(content, 500)
	answers := make([]string, 8)
	var calls sync.WaitGroup
	for i := range answers {
		calls.Go(func() {
			if w := f.complete(id, digestOf(content), parts...); w.Code == 200 {
				answers[i] = w.Body.String()
			}
		})
	}
	calls.Wait()
	if same := slices.Compact(slices.Clone(answers)); len(same) != 1 || same[0] == "" {
		t.Errorf("answers %q", same)
	}
	if n := len(ids(t, f.want(f.do("GET", "/v1/files", ""), 200))); n != 1 {
		t.Errorf("%d files", n)
	}
}

func TestDamagedPartIsAnErrorOfTheServer(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	id, parts := f.cut(goodLine, len(goodLine))
	f.objects.damage(3)
	if got := faultOf(t, f.complete(id, "", parts...)); got.Status != 500 || !strings.Contains(got.Message, "req_") {
		t.Errorf("fault %+v", got)
	}
}

func TestFileOverALimitThatWasLoweredMeanwhileIsRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *options) {
		small := o.Mounts[0]
		small.Prefix, small.Limits = "/small", batch.Limits{MaxFileBytes: 10}
		o.Mounts = append(o.Mounts, small)
	})
	id, parts := f.cut(goodLine, len(goodLine))
	w := f.do("POST", "/small/uploads/"+id+"/complete", `{"part_ids":["`+parts[0]+`"]}`)
	if got := faultOf(t, w); got.Status != 413 {
		t.Errorf("fault %+v", got)
	}
}

func TestGoSDKUploadsAFileInParts(t *testing.T) {
	t.Parallel()
	c, ctx := newSDK(t), t.Context()
	content := strings.Repeat(goodLine, 20_000)
	up, err := c.Uploads.New(ctx, openai.UploadNewParams{
		Bytes: int64(len(content)), Filename: "in.jsonl", MimeType: "text/jsonl", Purpose: openai.FilePurposeBatch,
		ExpiresAfter: openai.UploadNewParamsExpiresAfter{Seconds: 3600},
	})
	if err != nil || up.Status != openai.UploadStatusPending {
		t.Fatalf("create: %s, %v", up.RawJSON(), err)
	}
	var parts []string
	for piece := range slices.Chunk([]byte(content), 1<<20) {
		p, err := c.Uploads.Parts.New(ctx, up.ID, openai.UploadPartNewParams{Data: bytes.NewReader(piece)})
		if err != nil || p.UploadID != up.ID {
			t.Fatalf("add part: %v", err)
		}
		parts = append(parts, p.ID)
	}
	done, err := c.Uploads.Complete(ctx, up.ID, openai.UploadCompleteParams{PartIDs: parts, Md5: openai.String(digestOf(content))})
	if err != nil || done.Status != openai.UploadStatusCompleted || done.File.Bytes != int64(len(content)) || done.File.ExpiresAt != now.Unix()+3600 {
		t.Fatalf("complete: %s, %v", done.RawJSON(), err)
	}
	c.create(done.File.ID)
	_, err = c.Uploads.Cancel(ctx, up.ID)
	if answer := c.wantAPIError(err, 400); !strings.Contains(answer.Message, "is completed") {
		t.Errorf("cancelling a completed upload: %v", answer)
	}
}
