package openai_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/badline"
	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/dialect/openai"
)

func TestCheckUpload(t *testing.T) {
	t.Parallel()
	fields := func(pairs ...string) map[string]string {
		m := make(map[string]string)
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	const month = 30 * 86400
	for name, tc := range map[string]struct {
		fields   map[string]string
		filename string
		strict   bool
		want     dialect.Upload
		param    string
	}{
		"batch":            {fields("purpose", "batch"), "in.jsonl", false, dialect.Upload{Purpose: "batch", Filename: "in.jsonl"}, ""},
		"strict batch":     {fields("purpose", "batch"), "in.jsonl", true, dialect.Upload{Purpose: "batch", Filename: "in.jsonl", TTLSeconds: month}, ""},
		"strict other":     {fields("purpose", "evals"), "in", true, dialect.Upload{Purpose: "evals", Filename: "in"}, ""},
		"TTL":              {fields("purpose", "vision", "expires_after[anchor]", "created_at", "expires_after[seconds]", "3600"), "i.png", false, dialect.Upload{Purpose: "vision", Filename: "i.png", TTLSeconds: 3600}, ""},
		"unsafe name":      {fields("purpose", "batch"), "a/../\x00\x1b[31mb\u0085.jsonl", false, dialect.Upload{Purpose: "batch", Filename: "[31mb.jsonl"}, ""},
		"no file":          {fields("purpose", "batch"), "", false, dialect.Upload{}, "file"},
		"no purpose":       {fields(), "in.jsonl", false, dialect.Upload{}, "purpose"},
		"reserved purpose": {fields("purpose", "batch_output"), "in.jsonl", false, dialect.Upload{}, "purpose"},
		"extension":        {fields("purpose", "batch"), "in.jsonl.txt", false, dialect.Upload{Purpose: "batch", Filename: "in.jsonl.txt"}, ""},
		"strict extension": {fields("purpose", "batch"), "in.jsonl.txt", true, dialect.Upload{}, "file"},
		"strict space":     {fields("purpose", "batch"), "in.jsonl ", true, dialect.Upload{}, "file"},
		"strict capitals":  {fields("purpose", "batch"), "IN.JsonL", true, dialect.Upload{Purpose: "batch", Filename: "IN.JsonL", TTLSeconds: month}, ""},
		"strict bytes":     {fields("purpose", "batch"), "upload", true, dialect.Upload{Purpose: "batch", Filename: "upload", TTLSeconds: month}, ""},
		"name of a path":   {fields("purpose", "batch"), "in.jsonl/", false, dialect.Upload{}, "file"},
		"no seconds":       {fields("purpose", "batch", "expires_after[anchor]", "created_at"), "in.jsonl", false, dialect.Upload{}, "expires_after.seconds"},
		"other anchor":     {fields("purpose", "batch", "expires_after[anchor]", "now", "expires_after[seconds]", "3600"), "in.jsonl", false, dialect.Upload{}, "expires_after.anchor"},
		"seconds a word":   {fields("purpose", "batch", "expires_after[anchor]", "created_at", "expires_after[seconds]", "soon"), "in.jsonl", false, dialect.Upload{}, "expires_after.seconds"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := openai.New(openai.Options{Strict: tc.strict}).CheckUpload(tc.fields, tc.filename)
			var fault *batch.Error
			switch {
			case tc.param == "" && err != nil:
				t.Fatalf("CheckUpload: %v", err)
			case tc.param != "" && (!errors.As(err, &fault) || fault.Param != tc.param):
				t.Errorf("CheckUpload: %v, want a fault about %s", err, tc.param)
			case tc.param == "":
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("upload (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestLongNamesAreCutBetweenCharactersWithTheirExtension(t *testing.T) {
	t.Parallel()
	d := openai.New(openai.Options{})
	for _, name := range []string{strings.Repeat("é", 300) + ".jsonl", strings.Repeat("日", 100) + "x.jsonl"} {
		got, err := d.CheckUpload(map[string]string{"purpose": "batch"}, name)
		if err != nil || len(got.Filename) > 255 || !strings.HasSuffix(got.Filename, ".jsonl") || !utf8.ValidString(got.Filename) {
			t.Errorf("%q, %v", got.Filename, err)
		}
	}
}

func TestRefusedFilesAreToldWhy(t *testing.T) {
	t.Parallel()
	d := openai.New(openai.Options{})
	for _, tc := range []struct {
		got  error
		want *batch.Error
	}{
		{d.UploadTooLarge(1000), &batch.Error{
			Class: batch.TooLarge, Param: "file", Message: "File is too large. The largest file that is accepted has 1000 bytes.",
		}},
		{d.BadFirstLine("in.jsonl", badline.Fault{Reason: badline.Empty}), &batch.Error{
			Param: "file", Message: "Invalid file format. 'in.jsonl' is empty; a batch file has one JSON object on each line.",
		}},
		{d.BadFirstLine("in.jsonl", badline.Fault{Reason: badline.Blank}), &batch.Error{
			Param: "file", Message: "Invalid file format. The first line of 'in.jsonl' is blank; a batch file has one JSON object on each line.",
		}},
		{d.BadFirstLine("in.jsonl", badline.Fault{Reason: badline.NotANumber, Found: "NaN", Byte: 7, Excerpt: `{"a":NaN}`}), &batch.Error{
			Param: "file", Message: "Invalid file format. The first line of 'in.jsonl' is not parseable as valid JSON. " +
				`In it, NaN is no JSON value (null is one), at byte 7, near '{"a":NaN}'.`,
		}},
		{d.BadFirstLine("a/"+strings.Repeat("x", 101), badline.Fault{Reason: badline.NotObject}), &batch.Error{
			Param:   "file",
			Message: "Invalid file format. The first line of '" + strings.Repeat("x", 100) + "…' is not a JSON object; a batch file has one JSON object on each line.",
		}},
	} {
		if diff := cmp.Diff(tc.want, tc.got); diff != "" {
			t.Errorf("fault (-want +got):\n%s", diff)
		}
	}
}

func TestFileFaultsNameWhatIsWrongAndStayShort(t *testing.T) {
	t.Parallel()
	d := openai.New(openai.Options{})
	long := strings.Repeat("x", 10_000)
	for want, got := range map[string]batch.LineError{
		"duplicate_custom_id":  d.DuplicateCustomID(long, 41),
		"mismatched_model":     d.MismatchedModel(long),
		"model_not_found":      d.ModelNotFound(long),
		"line_too_long":        d.LineTooLong(16 << 20),
		"invalid_json_line":    d.BlankLine(),
		"too_many_tasks":       d.TooManyLines(50_000),
		"empty_file":           d.EmptyFile(),
		"too_many_models":      d.TooManyModels(100),
		"too_many_errors":      d.MoreErrors(12345),
		"token_limit_exceeded": d.TokenLimit(long, 1, 1_000_000),
		"invalid_request":      d.InputMissing(long),
	} {
		if got.Code != want || got.Line != 0 || len(got.Message) == 0 || len(got.Message) > 400 {
			t.Errorf("%s: %+v", want, got)
		}
	}
	if got := d.DuplicateCustomID("a", 41); !strings.Contains(got.Message, "'a'") || !strings.Contains(got.Message, "line 41") {
		t.Errorf("a duplicate must name both lines: %s", got.Message)
	}
	for _, tc := range []struct{ got, want batch.LineError }{
		{d.TokenLimit("m", 90, 90), batch.LineError{
			Code:    "token_limit_exceeded",
			Message: "Enqueued token limit reached for 'm'. Limit: 90 enqueued tokens. Please try again once some in_progress batches have been completed.",
		}},
		{d.TokenLimit("", 91, 90), batch.LineError{
			Code:    "token_limit_exceeded",
			Message: "Enqueued token limit reached. Limit: 90 enqueued tokens. This batch alone has about 91; split its input file.",
		}},
		{d.InputMissing("file-1"), batch.LineError{
			Code: "invalid_request", Param: "file_id", Message: "Cannot find file file-1, or you do not have access to it.",
		}},
	} {
		if diff := cmp.Diff(tc.want, tc.got); diff != "" {
			t.Errorf("fault (-want +got):\n%s", diff)
		}
	}
}
