package openai_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/dialect/openai"
)

// announce returns a good create call for an upload, with more members.
func announce(more string) string {
	return `{"filename":"in.jsonl","purpose":"batch","bytes":1000,"mime_type":"text/jsonl"` + more + `}`
}

func TestUploadsAreAnnouncedLikeFiles(t *testing.T) {
	t.Parallel()
	const month = 30 * 86400
	good := dialect.CreateUpload{
		Upload: dialect.Upload{Purpose: batch.PurposeBatch, Filename: "in.jsonl"}, Bytes: 1000, MIMEType: "text/jsonl",
	}
	with := func(change func(*dialect.CreateUpload)) dialect.CreateUpload {
		c := good
		change(&c)
		return c
	}
	for name, tc := range map[string]struct {
		body   string
		strict bool
		want   dialect.CreateUpload
	}{
		"least":       {announce(""), false, good},
		"unknown":     {announce(`,"x":[{}],"expires_after":null`), false, good},
		"TTL":         {announce(`,"expires_after":{"anchor":"created_at","seconds":3600}`), true, with(func(c *dialect.CreateUpload) { c.TTLSeconds = 3600 })},
		"strict":      {announce(""), true, with(func(c *dialect.CreateUpload) { c.TTLSeconds = month })},
		"longest":     {strings.Replace(announce(""), "1000", "5000", 1), false, with(func(c *dialect.CreateUpload) { c.Bytes = 5000 })},
		"bytes":       {strings.Replace(announce(""), "in.jsonl", "upload", 1), true, with(func(c *dialect.CreateUpload) { c.Filename, c.TTLSeconds = "upload", month })},
		"other name":  {strings.Replace(announce(""), "in.jsonl", "in.csv", 1), false, with(func(c *dialect.CreateUpload) { c.Filename = "in.csv" })},
		"unsafe name": {strings.Replace(announce(""), "in.", `..\\x\/\u0007in.`, 1), false, good},
		"other": {
			`{"filename":"a","purpose":"vision","bytes":1,"mime_type":"image/png"}`, true,
			dialect.CreateUpload{Upload: dialect.Upload{Purpose: "vision", Filename: "a"}, Bytes: 1, MIMEType: "image/png"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := openai.New(openai.Options{Strict: tc.strict}).ParseCreateUpload([]byte(tc.body), 5000)
			if err != nil {
				t.Fatalf("ParseCreateUpload: %v", err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("call (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFaultsOfUploadCallsAreInOpenAIsWords(t *testing.T) {
	t.Parallel()
	d := openai.New(openai.Options{})
	create := func(body string) error { _, err := d.ParseCreateUpload([]byte(body), 5000); return err }
	change := func(from, to string) error { return create(strings.Replace(announce(""), from, to, 1)) }
	complete := func(body string) error { _, err := d.ParseCompleteUpload([]byte(body)); return err }
	_, strictly := openai.New(openai.Options{Strict: true}).ParseCreateUpload([]byte(strings.Replace(announce(""), "in.jsonl", "in.json", 1)), 5000)
	longID := strings.Repeat("p", 100)
	for name, tc := range map[string]struct {
		err                  error
		param, code, message string
	}{
		"not json":        {create("{"), "", "", "The request body is not valid JSON: an object is expected."},
		"no filename":     {change(`"filename"`, `"file"`), "filename", "missing_required_parameter", "Missing required parameter: 'filename'."},
		"only a path":     {change("in.jsonl", "in.jsonl/"), "filename", "invalid_value", "Invalid 'filename': the name is empty."},
		"no purpose":      {change(`"purpose"`, `"p"`), "purpose", "missing_required_parameter", "Missing required parameter: 'purpose'."},
		"purpose":         {change(`"batch"`, `"batch_output"`), "purpose", "invalid_value", "Invalid value: 'batch_output'. Supported values are: 'assistants', 'batch', 'fine-tune', 'vision', 'user_data', and 'evals'."},
		"no bytes":        {change(`"bytes"`, `"b"`), "bytes", "missing_required_parameter", "Missing required parameter: 'bytes'."},
		"bytes as text":   {change("1000", `"1000"`), "bytes", "invalid_type", "Invalid type for 'bytes': expected an integer, but got a string instead."},
		"bytes a decimal": {change("1000", "1e3"), "bytes", "invalid_type", "Invalid type for 'bytes': expected an integer, but got a decimal instead."},
		"no bytes at all": {change("1000", "0"), "bytes", "integer_below_min_value", "Invalid 'bytes': integer below minimum value. Expected a value >= 1, but got 0 instead."},
		"too many bytes":  {change("1000", "5001"), "bytes", "integer_above_max_value", "Invalid 'bytes': integer above maximum value. Expected a value <= 5000, but got 5001 instead."},
		"beyond int64":    {change("1000", "99999999999999999999"), "bytes", "integer_above_max_value", "Invalid 'bytes': integer above maximum value. Expected a value <= 5000, but got 99999999999999999999 instead."},
		"no mime type":    {change(`"mime_type"`, `"m"`), "mime_type", "missing_required_parameter", "Missing required parameter: 'mime_type'."},
		"empty mime type": {change("text/jsonl", ""), "mime_type", "invalid_value", "Invalid 'mime_type': the string is empty."},
		"header in mime":  {change("text/jsonl", `a\r\nX: y`), "mime_type", "invalid_value", "Invalid 'mime_type': control characters are not allowed."},
		"long mime type":  {change("text/jsonl", strings.Repeat("x", 256)), "mime_type", "string_above_max_length", "Invalid 'mime_type': string too long. Expected a string with maximum length 255, but got a string with length 256 instead."},
		"extension":       {strictly, "filename", "", "Invalid file format for Batch API. Must be .jsonl, but the name is 'in.json'."},
		"short TTL":       {create(announce(`,"expires_after":{"anchor":"created_at","seconds":1}`)), "expires_after.seconds", "integer_below_min_value", "Invalid 'expires_after.seconds': integer below minimum value. Expected a value >= 3600, but got 1 instead."},
		"no parts member": {complete(`{}`), "part_ids", "missing_required_parameter", "Missing required parameter: 'part_ids'."},
		"null parts":      {complete(`{"part_ids":null}`), "part_ids", "missing_required_parameter", "Missing required parameter: 'part_ids'."},
		"parts a string":  {complete(`{"part_ids":"p"}`), "part_ids", "invalid_type", "Invalid type for 'part_ids': expected an array, but got a string instead."},
		"no parts":        {complete(`{"part_ids":[]}`), "part_ids", "empty_array", "Invalid 'part_ids': empty array. Expected an array with minimum length 1, but got an empty array instead."},
		"a part a number": {complete(`{"part_ids":["a",7]}`), "part_ids[1]", "invalid_type", "Invalid type for 'part_ids[1]': expected a string, but got an integer instead."},
		"a part twice":    {complete(`{"part_ids":["` + longID + `","b","\u0070` + longID[1:] + `"]}`), "part_ids", "invalid_value", "Invalid 'part_ids': '" + longID[:64] + "…' is named twice."},
		"too many parts":  {complete(`{"part_ids":[` + strings.Repeat(`"",`, 10_000) + `""]}`), "part_ids", "array_above_max_length", "Invalid 'part_ids': array too long. Expected an array with maximum length 10000, but got an array with length 10001 instead."},
		"md5 a number":    {complete(`{"part_ids":["a"],"md5":1}`), "md5", "invalid_type", "Invalid type for 'md5': expected a string, but got an integer instead."},
		"md5 too short":   {complete(`{"part_ids":["a"],"md5":"0f"}`), "md5", "invalid_value", "Invalid 'md5': expected 32 hexadecimal digits."},
		"md5 no digits":   {complete(`{"part_ids":["a"],"md5":"` + strings.Repeat("g", 32) + `"}`), "md5", "invalid_value", "Invalid 'md5': expected 32 hexadecimal digits."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got *batch.Error
			if !errors.As(tc.err, &got) {
				t.Fatalf("%v, want a fault", tc.err)
			}
			want := &batch.Error{Param: tc.param, Code: tc.code, Message: tc.message}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("fault (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPartsAreCompletedInTheOrderThatIsNamed(t *testing.T) {
	t.Parallel()
	d := openai.New(openai.Options{})
	most := make([]string, 10_000)
	for i := range most {
		most[i] = fmt.Sprintf("part_%d", i)
	}
	const digest = "d41d8cd98f00b204e9800998ecf8427e"
	for name, tc := range map[string]struct {
		body string
		want dialect.CompleteUpload
	}{
		"one":     {`{"part_ids":["b"]}`, dialect.CompleteUpload{PartIDs: []string{"b"}}},
		"order":   {`{"part_ids":["b","a","c"],"md5":null,"x":1}`, dialect.CompleteUpload{PartIDs: []string{"b", "a", "c"}}},
		"digest":  {`{"md5":"` + digest + `","part_ids":["b"]}`, dialect.CompleteUpload{PartIDs: []string{"b"}, MD5: digest}},
		"capital": {`{"md5":"` + strings.ToUpper(digest) + `","part_ids":["b"]}`, dialect.CompleteUpload{PartIDs: []string{"b"}, MD5: digest}},
		"most":    {`{"part_ids":["` + strings.Join(most, `","`) + `"]}`, dialect.CompleteUpload{PartIDs: most}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := d.ParseCompleteUpload([]byte(tc.body))
			if err != nil {
				t.Fatalf("ParseCompleteUpload: %v", err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("call (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUploadsAreShownAsTheyAreNow(t *testing.T) {
	t.Parallel()
	d := openai.New(openai.Options{})
	u := batch.Upload{
		ID: "upload_1", Name: "in.jsonl", Purpose: batch.PurposeBatch, MIMEType: "text/jsonl", Bytes: 7,
		Status: batch.UploadPending, CreatedAt: at(0), ExpiresAt: at(3600),
	}
	completed := u
	completed.Status, completed.FileID = batch.UploadCompleted, "file-1"
	file := batch.File{ID: "file-1", Name: "in.jsonl", Purpose: batch.PurposeBatch, Bytes: 7, CreatedAt: at(9)}
	shown := func(status, file string) string {
		return `{"id":"upload_1","object":"upload","bytes":7,"created_at":1790000000,"filename":"in.jsonl","purpose":"batch","status":"` +
			status + `","expires_at":1790003600,"file":` + file + `}`
	}
	for name, tc := range map[string]struct {
		upload batch.Upload
		file   *batch.File
		now    time.Time
		want   string
	}{
		"pending":   {u, nil, at(3599), shown("pending", "null")},
		"expired":   {u, nil, at(3600), shown("expired", "null")},
		"completed": {completed, &file, at(9999), shown("completed", `{"id":"file-1","object":"file","bytes":7,"created_at":1790000009,"expires_at":null,"filename":"in.jsonl","purpose":"batch","status":"processed","status_details":null}`)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := string(d.Upload(tc.upload, tc.file, tc.now)); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
	const part = `{"id":"part_1","object":"upload.part","created_at":1790000003,"upload_id":"upload_1"}`
	if got := string(d.UploadPart(batch.Part{ID: "part_1", Upload: "upload_1", CreatedAt: at(3)})); got != part {
		t.Errorf("got  %s\nwant %s", got, part)
	}
}
