package httpapi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/store"
)

func TestUploadTakesPartsInAnyOrder(t *testing.T) {
	t.Parallel()
	file, purpose := part{"file", "in.jsonl", goodLine}, part{"purpose", "", "batch"}
	anchor, seconds := part{"expires_after[anchor]", "", "created_at"}, part{"expires_after[seconds]", "", "7200"}
	for name, parts := range map[string][]part{
		"Go SDK":   {anchor, seconds, file, purpose},
		"Node SDK": {file, purpose, anchor, seconds},
		"curl":     {purpose, anchor, file, seconds},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, nil)
			got := object(t, f.want(f.upload(parts), 200))
			if got["expires_at"] != float64(now.Unix()+7200) || got["bytes"] != float64(len(goodLine)) {
				t.Errorf("file %v", got)
			}
			w := f.do("GET", "/v1/files/"+as[string](t, got["id"])+"/content", "")
			if body := f.want(w, 200); body != goodLine {
				t.Errorf("content %q", body)
			}
		})
	}
}

func TestUploadCountsLinesThatAreNotBlank(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		content string
		lines   int64
	}{
		"one":                  {goodLine, 1},
		"no line break at end": {"{}\n{}", 2},
		"trailing blank lines": {"{}\n{}\n\n \t\r\n", 2},
		"interior blank line":  {"{}\n\n{}\n", 2},
		"CRLF and a mark":      {"\ufeff{}\r\n{}\r\n", 2},
		"across many reads":    {strings.Repeat(goodLine, 3000), 3000},
		"long lines":           {`{"a":"` + strings.Repeat("x", 200_000) + "\"}\n{}\n", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, nil)
			id := f.mustUpload(tc.content)
			got, err := f.store.File(t.Context(), ours, id, now)
			if err != nil {
				t.Fatal(err)
			}
			if got.Lines != tc.lines || got.Bytes != int64(len(tc.content)) || got.Dialect != "openai" {
				t.Errorf("%d lines, %d bytes, dialect %s; want %d, %d", got.Lines, got.Bytes, got.Dialect, tc.lines, len(tc.content))
			}
		})
	}
}

func TestUploadOfOtherPurposesTakesAnyBytes(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	for _, content := range []string{"not json", "\x00\xff", ""} {
		w := f.upload([]part{{"file", "notes.txt", content}, {"purpose", "", "assistants"}})
		id := field(t, f.want(w, 200), "id")
		if got := f.want(f.do("GET", "/v1/files/"+id+"/content", ""), 200); got != content {
			t.Errorf("content %q, want %q", got, content)
		}
	}
	if n := f.objects.count(); n != 2 {
		t.Errorf("%d objects for two files that are not empty", n)
	}
}

func TestRefusedUploadLeavesNothing(t *testing.T) {
	t.Parallel()
	file := part{"file", "in.jsonl", goodLine}
	purpose := part{"purpose", "", "batch"}
	content := func(s string) []part { return []part{{"file", "in.jsonl", s}, purpose} }
	for name, tc := range map[string]struct {
		parts []part
		param string
	}{
		"empty file":            {content(""), "file"},
		"only line breaks":      {content("\n\n\n"), "file"},
		"only a byte mark":      {content("\ufeff"), "file"},
		"blank first line":      {content("\n{}\n"), "file"},
		"first line not JSON":   {content("hello\n{}\n"), "file"},
		"first line an array":   {content("[1]\n"), "file"},
		"first line cut":        {content(`{"a":1`), "file"},
		"duplicate key":         {content(`{"a":1,"a":2}`), "file"},
		"UTF-16":                {content("\xff\xfe{\x00}\x00"), "file"},
		"binary without breaks": {content(strings.Repeat("\x1f\x8b\x08", 1<<20)), "file"},
		"other name, no lines":  {[]part{{"file", "notes.txt", "hello"}, purpose}, "file"},
		"no purpose":            {[]part{file}, "purpose"},
		"unknown purpose":       {[]part{file, {"purpose", "", "batch_output"}}, "purpose"},
		"two files":             {[]part{file, file, purpose}, "file"},
		"field twice":           {[]part{file, purpose, purpose}, "purpose"},
		"TTL too short":         {[]part{file, purpose, {"expires_after[anchor]", "", "created_at"}, {"expires_after[seconds]", "", "3599"}}, "expires_after.seconds"},
		"TTL without anchor":    {[]part{file, purpose, {"expires_after[seconds]", "", "3600"}}, "expires_after.anchor"},
		"huge field":            {[]part{file, {"purpose", "", strings.Repeat("x", 5000)}}, "purpose"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, nil)
			w := f.upload(tc.parts)
			if got := faultOf(t, w); got.Status != 400 || got.Param != tc.param || got.Message == "" {
				t.Errorf("fault %+v, want 400 about %s", got, tc.param)
			}
			f.wantNothing()
		})
	}
}

// The SDKs give bytes in memory names of their own or none, and tools of users all sorts.
func TestUploadsAreTakenUnderAnyNameOrNone(t *testing.T) {
	t.Parallel()
	const octets = "Content-Type: application/octet-stream\r\n"
	for name, tc := range map[string]struct{ purpose, header, want string }{
		"capitals":          {"batch", `; filename="IN.JSONL"` + "\r\n" + octets, "IN.JSONL"},
		"Python SDK, bytes": {"batch", `; filename="upload"` + "\r\n" + octets, "upload"},
		"Node SDK, bytes":   {"batch", `; filename="unknown_file"` + "\r\n" + octets, "unknown_file"},
		"other ending":      {"batch", `; filename="in.ndjson"` + "\r\n", "in.ndjson"},
		"space at the end":  {"batch", `; filename="in.jsonl "` + "\r\n", "in.jsonl "},
		"empty name":        {"batch", `; filename=""` + "\r\n" + octets, "upload.jsonl"},
		"no name":           {"batch", "\r\n" + octets, "upload.jsonl"},
		"no name, no input": {"assistants", "\r\n" + octets, "upload"},
	} {
		for _, order := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, purpose first %v", name, order), func(t *testing.T) {
				t.Parallel()
				f := newFixture(t, nil)
				purpose := "--X\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n" + tc.purpose + "\r\n"
				file := "--X\r\nContent-Disposition: form-data; name=\"file\"" + tc.header + "\r\n" + goodLine + "\r\n"
				body := purpose + file
				if !order {
					body = file + purpose
				}
				w := f.do("POST", "/v1/files", body+"--X--\r\n", "Content-Type", "multipart/form-data; boundary=X")
				got := object(t, f.want(w, 200))
				if got["filename"] != tc.want || got["bytes"] != float64(len(goodLine)) {
					t.Errorf("file %v, want the name %q", got, tc.want)
				}
			})
		}
	}
}

// A part without a file name, or under another name than a file's, is told what it lacks, whatever its length, and not that it is
// missing or long.
func TestF2_37PartInPlaceOfAFileIsToldWhatItLacks(t *testing.T) {
	t.Parallel()
	purpose, long := part{"purpose", "", "batch"}, strings.Repeat(goodLine, 200)
	text := "The part 'file' has neither a filename nor a Content-Type, so that it is no file. Send it with a filename."
	other := "The file is in a part named 'upload'. It must be in one named 'file'."
	missing := "Missing required parameter: 'file'."
	const codeMissing = "missing_required_parameter"
	for name, tc := range map[string]struct {
		parts                []part
		message, param, code string
	}{
		"text":                  {[]part{purpose, {"file", "", goodLine}}, text, "file", codeMissing},
		"long text":             {[]part{{"file", "", long}, purpose}, text, "file", ""},
		"another name":          {[]part{{"upload", "in.jsonl", goodLine}, purpose}, other, "file", codeMissing},
		"another name, long":    {[]part{purpose, {"upload", "in.jsonl", long}}, other, "upload", ""},
		"purpose like a file":   {[]part{{"purpose", "purpose", "batch"}}, missing, "file", codeMissing},
		"other text":            {[]part{purpose, {"note", "", "x"}}, missing, "file", codeMissing},
		"text beside the file":  {[]part{{"file", "", "x"}, {"file", "in.jsonl", goodLine}}, "Missing required parameter: 'purpose'.", "purpose", codeMissing},
		"a file beside the one": {[]part{{"more", "b.jsonl", "x"}, {"file", "in.jsonl", goodLine}}, "Missing required parameter: 'purpose'.", "purpose", codeMissing},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, nil)
			got := faultOf(t, f.upload(tc.parts))
			if got.Status != 400 || got.Message != tc.message || got.Param != tc.param || got.Code != tc.code {
				t.Errorf("fault %+v, want %q about %q, code %q", got, tc.message, tc.param, tc.code)
			}
			f.wantNothing()
		})
	}
}

// wantNothing fails the test if anything is stored.
func (f *fixture) wantNothing() {
	f.t.Helper()
	if n := f.objects.count(); n != 0 {
		f.t.Errorf("%d objects are left", n)
	}
	if got := ids(f.t, f.want(f.do("GET", "/v1/files", ""), 200)); len(got) != 0 {
		f.t.Errorf("files %v are left", got)
	}
}

func TestI13BrokenFormsAreRefusedAndNamesAreMadeSafe(t *testing.T) {
	t.Parallel()
	body, contentType := form(part{"purpose", "", "batch"}, part{"file", "in.jsonl", goodLine})
	many := make([]part, 10_000)
	for i := range many {
		many[i] = part{fmt.Sprintf("f%d", i), "", "x"}
	}
	manyBody, manyType := form(many...)
	nul, nulType := form(part{"purpose", "", "batch"}, part{"file", "a\x00b.jsonl", goodLine})
	for name, tc := range map[string]struct{ body, contentType string }{
		"NUL in the filename":          {nul, nulType},
		"cut before the last boundary": {body[:len(body)-10], contentType},
		"cut inside the file":          {body[:strings.Index(body, `"custom_id"`)], contentType},
		"cut inside a part's header":   {body[:strings.Index(body, "filename")], contentType},
		"empty body":                   {"", contentType},
		"no boundary":                  {body, "multipart/form-data"},
		"another boundary":             {body, "multipart/form-data; boundary=other"},
		"not a form":                   {body, "application/json"},
		"10k fields":                   {manyBody, manyType},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, nil)
			w := f.do("POST", "/v1/files", tc.body, "Content-Type", tc.contentType)
			if got := faultOf(t, w); got.Status != 400 || got.Param == "" {
				t.Errorf("fault %+v, want 400 with a param", got)
			}
			f.wantNothing()
		})
	}
	for name, tc := range map[string]struct{ filename, want string }{
		"path":          {"../../etc/in.jsonl", "in.jsonl"},
		"windows path":  {`C:\temp\in.jsonl`, "in.jsonl"},
		"4 KiB":         {strings.Repeat("n", 4096) + ".jsonl", strings.Repeat("n", 249) + ".jsonl"},
		"invalid UTF-8": {"a\xff.jsonl", "a\ufffd.jsonl"},
		"other letters": {"é日本.jsonl", "é日本.jsonl"},
	} {
		t.Run("filename with "+name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, nil)
			w := f.upload([]part{{"file", tc.filename, goodLine}, {"purpose", "", "batch"}})
			if got := field(t, f.want(w, 200), "filename"); got != tc.want {
				t.Errorf("filename %q, want %q", got, tc.want)
			}
		})
	}
}

func TestI13UploadOfDeclaredSizeThatDoesNotArriveIsCutShort(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	server := httptest.NewServer(f.handler)
	t.Cleanup(server.Close)
	body, contentType := form(part{"purpose", "", "batch"}, part{"file", "in.jsonl", goodLine})
	req, _ := http.NewRequestWithContext(t.Context(), "POST", server.URL+"/v1/files", strings.NewReader(body))
	req.Header.Set("Content-Type", contentType)
	req.ContentLength = int64(len(body)) - 20 // The client's own transport refuses to send more than it declared.
	resp, err := server.Client().Do(req)
	if err == nil {
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("status %d", resp.StatusCode)
		}
	}
	f.wantNothing()
}

func TestUploadOverTheLimitIsToldSoThoughTheClientKeepsSending(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	f := newFixture(t, func(o *options) { o.Mounts[0].Limits = batch.Limits{MaxFileBytes: limit} })
	server := httptest.NewServer(f.handler)
	t.Cleanup(server.Close)
	for name, size := range map[string]int{"a little over": limit + 1, "far over": 20 << 20} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, chunked %v", name, chunked), func(t *testing.T) {
				body, contentType := form(part{"file", "in.jsonl", strings.Repeat("{}\n", size/3+1)}, part{"purpose", "", "batch"})
				var src io.Reader = strings.NewReader(body)
				if chunked {
					src = io.MultiReader(src) // Hides the length.
				}
				req, _ := http.NewRequestWithContext(t.Context(), "POST", server.URL+"/v1/files", src)
				req.Header.Set("Content-Type", contentType)
				resp, err := server.Client().Do(req)
				if err != nil {
					t.Fatalf("the client saw no answer: %v", err)
				}
				defer resp.Body.Close()
				answer, _ := io.ReadAll(resp.Body)
				if resp.StatusCode != http.StatusRequestEntityTooLarge || !bytes.Contains(answer, []byte("File is too large.")) {
					t.Errorf("%d %s", resp.StatusCode, answer)
				}
				f.wantNothing()
			})
		}
	}
}

func TestUploadOfExactlyTheLimitPasses(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *options) { o.Mounts[0].Limits = batch.Limits{MaxFileBytes: int64(len(goodLine))} })
	f.mustUpload(goodLine)
}

func TestUploadWithoutSpaceIsRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ full, put error }{
		"before it starts":   {full: errors.New("1 GiB left of 500 GiB")},
		"while it is stored": {put: blob.ErrNoSpace},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, func(o *options) { o.StorageFull = func() error { return tc.full } })
			f.objects.putErr = tc.put
			w := f.upload([]part{{"file", "in.jsonl", goodLine}, {"purpose", "", "batch"}})
			got := faultOf(t, w)
			if got.Status != http.StatusInsufficientStorage || strings.Contains(got.Message, "GiB") {
				t.Errorf("fault %+v, want 507 without the operator's numbers", got)
			}
			if w.Header().Get("X-Should-Retry") != "false" {
				t.Error("SDKs would send the whole file again")
			}
			f.wantNothing()
		})
	}
}

func TestI16UploadWithAnEncodingIsRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	w := f.upload([]part{{"file", "in.jsonl", goodLine}, {"purpose", "", "batch"}}, "Content-Encoding", "gzip")
	if got := faultOf(t, w); got.Status != 400 {
		t.Errorf("fault %+v", got)
	}
	f.wantNothing()
}

// fullRows is a store on a disk that has no room for a row, but for those of parts.
type fullRows struct{ apiStore }

var errFullRows = fmt.Errorf("%w: disk I/O error", store.ErrNoSpace)

func (fullRows) CreateFile(context.Context, batch.File) error                { return errFullRows }
func (fullRows) DeleteFile(context.Context, string, string, time.Time) error { return errFullRows }
func (fullRows) CreateBatch(context.Context, batch.Batch) error              { return errFullRows }
func (fullRows) CreateUpload(context.Context, batch.Upload) error            { return errFullRows }
func (fullRows) CreateBatchOnce(context.Context, batch.Batch, store.IdempotencyKey) (batch.Batch, error) {
	return batch.Batch{}, errFullRows
}

func (fullRows) CancelBatch(context.Context, string, string, time.Time) (batch.Batch, error) {
	return batch.Batch{}, errFullRows
}

func (fullRows) CompleteUpload(context.Context, string, string, batch.File, time.Time) (batch.Upload, *batch.File, error) {
	return batch.Upload{}, nil, errFullRows
}

func (fullRows) CancelUpload(context.Context, string, string, time.Time) (batch.Upload, error) {
	return batch.Upload{}, errFullRows
}

func (fullRows) EditBatch(context.Context, string, string, store.Edit, time.Time) (batch.Batch, error) {
	return batch.Batch{}, errFullRows
}

// TestOnADiskWithoutRoomForARowEveryChangeIs507 calls what changes something; nothing of it may be sent again unasked.
func TestOnADiskWithoutRoomForARowEveryChangeIs507(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *options) { o.Store = fullRows{o.Store} })
	if err := f.store.CreateFile(t.Context(), batch.File{ID: "file-a", Tenant: ours, Purpose: batch.PurposeBatch, Lines: 1, CreatedAt: now}); err != nil {
		t.Fatal(err)
	}
	create := `{"input_file_id":"file-a","endpoint":"/v1/chat/completions","completion_window":"24h"}`
	announce := `{"filename":"in.jsonl","purpose":"batch","bytes":10,"mime_type":"application/jsonl"}`
	for name, w := range map[string]*httptest.ResponseRecorder{
		"delete a file":        f.do("DELETE", "/v1/files/file-a", ""),
		"create a batch":       f.do("POST", "/v1/batches", create),
		"create a batch, once": f.do("POST", "/v1/batches", create, "Idempotency-Key", "k"),
		"cancel a batch":       f.do("POST", "/v1/batches/batch_1/cancel", ""),
		"announce an upload":   f.do("POST", "/v1/uploads", announce),
		"upload a file":        f.upload([]part{{"file", "in.jsonl", goodLine}, {"purpose", "", "batch"}}),
	} {
		got := faultOf(t, w)
		if got.Status != http.StatusInsufficientStorage || strings.Contains(got.Message, "I/O") || w.Header().Get("X-Should-Retry") != "false" {
			t.Errorf("%s: %+v, headers %v; want 507 without the operator's words, and not again", name, got, w.Header())
		}
	}
	if f.objects.count() != 0 {
		t.Error("the bytes of the refused upload are left")
	}
}

// noRows is a store whose CreateFile fails, before or after it has stored the row.
type noRows struct {
	apiStore
	after bool
}

func (s noRows) CreateFile(ctx context.Context, f batch.File) error {
	if s.after {
		if err := s.apiStore.CreateFile(ctx, f); err != nil {
			return err
		}
	}
	return errors.New("disk I/O error")
}

func TestUploadWhoseRowFailsKeepsBytesOnlyIfTheRowIsThere(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]bool{"failed": false, "failed after it was stored": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, func(o *options) { o.Store = noRows{o.Store, after} })
			w := f.upload([]part{{"file", "in.jsonl", goodLine}, {"purpose", "", "batch"}})
			if got := faultOf(t, w); got.Status != 500 || strings.Contains(got.Message, "I/O") {
				t.Errorf("fault %+v, want 500 without the reason", got)
			}
			if diff := cmp.Diff(map[bool]int{true: 1, false: 0}[after], f.objects.count()); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
		})
	}
}
