package plan_test

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/extsort"
	"batchd/internal/plan"
	"batchd/internal/vfs"
)

// found is what is asserted of an error: messages belong to the dialect.
type found struct {
	Code  string
	Line  int64
	Param string
}

func findings(errs []batch.LineError) []found {
	var all []found
	for _, e := range errs {
		all = append(all, found{e.Code, e.Line, e.Param})
	}
	return all
}

func TestEveryBadLineIsNamedByCodeAndNumber(t *testing.T) {
	t.Parallel()
	a, b := request("a", "m"), request("b", "m")
	line := func(id, body string) string {
		return fmt.Sprintf(`{"custom_id":%s,"method":"POST","url":"/v1/embeddings","body":%s}`, id, body)
	}
	body := `{"model":"m","input":"x"}`
	for name, c := range map[string]struct {
		file string
		want []found
	}{
		"empty file":              {"", []found{{"empty_file", 0, ""}}},
		"only newlines":           {"\n\r\n \n", []found{{"empty_file", 0, ""}}},
		"only a byte order mark":  {"\ufeff", []found{{"empty_file", 0, ""}}},
		"mark at the start":       {"\ufeff" + a, nil},
		"mark in the middle":      {a + "\n\ufeff" + b, []found{{"invalid_json_line", 2, ""}}},
		"CRLF":                    {a + "\r\n" + b + "\r\n", nil},
		"lone CR":                 {a + "\r" + b + "\n", []found{{"invalid_json_line", 1, ""}}},
		"U+2028 in a string":      {line(`"a"`, "{\"model\":\"m\",\"input\":\"x\u2028y\"}"), nil},
		"no newline at the end":   {a + "\n" + b, nil},
		"spaces at the end":       {a + "  \n" + b + "\t", nil},
		"trailing blank lines":    {a + "\n\n \r\n\n", nil},
		"interior blank lines":    {a + "\n\n \n" + b, []found{{"invalid_json_line", 2, ""}, {"invalid_json_line", 3, ""}}},
		"leading blank line":      {"\n" + a, []found{{"invalid_json_line", 1, ""}}},
		"invalid UTF-8":           {a + "\n" + line(`"b"`, "{\"model\":\"m\",\"input\":\"\xff\"}"), []found{{"invalid_json_line", 2, ""}}},
		"overlong UTF-8":          {line(`"b"`, "{\"model\":\"m\",\"input\":\"\xc0\xaf\"}"), []found{{"invalid_json_line", 1, ""}}},
		"UTF-16":                  {"\xff\xfe{\x00}\x00\n\x00", []found{{"invalid_json_line", 1, ""}, {"invalid_json_line", 2, ""}}},
		"NUL in a line":           {a + "\n\x00" + b, []found{{"invalid_json_line", 2, ""}}},
		"escaped NUL in an id":    {line(`"\u0000"`, body), nil},
		"line too long":           {a + "\n" + line(`"b"`, `{"model":"m","input":"`+strings.Repeat("x", 5000)+`"}`) + "\n" + b, []found{{"line_too_long", 2, ""}}},
		"duplicate id":            {a + "\n" + b + "\n" + a, []found{{"duplicate_custom_id", 3, "custom_id"}}},
		"duplicate by escape":     {a + "\n" + line(`"\u0061"`, body), []found{{"duplicate_custom_id", 2, "custom_id"}}},
		"ids that differ in case": {a + "\n" + request("A", "m"), nil},
		"id missing":              {`{"method":"POST","url":"/v1/embeddings","body":{}}`, []found{{"missing_required_parameter", 1, "custom_id"}}},
		"id empty":                {line(`""`, body), []found{{"invalid_request", 1, "custom_id"}}},
		"id a number":             {line(`1`, body), []found{{"invalid_request", 1, "custom_id"}}},
		"id of 10 KiB":            {line(`"`+strings.Repeat("x", 3000)+`"`, body), []found{{"invalid_request", 1, "custom_id"}}},
		"ids that look dangerous": {line(`"../../x"`, body) + "\n" + line(`"a\r\nX: y"`, body) + "\n" + line(`"🦊"`, body), nil},
		"another url":             {strings.Replace(a, endpoint, "/v1/completions", 1), []found{{"invalid_url", 1, "url"}}},
		"method GET":              {strings.Replace(a, "POST", "GET", 1), []found{{"invalid_request", 1, "method"}}},
		"stream":                  {line(`"a"`, `{"model":"m","stream":true}`), []found{{"streaming_unsupported", 1, "body.stream"}}},
		"key twice":               {line(`"a"`, `{"model":"m","model":"n"}`), []found{{"invalid_json_line", 1, ""}}},
		"NaN":                     {line(`"a"`, `{"model":"m","input":NaN}`), []found{{"invalid_json_line", 1, ""}}},
		"huge numbers":            {line(`"a"`, `{"model":"m","x":1e999,"y":123456789012345678901234567890}`), nil},
		"model missing":           {line(`"a"`, `{}`), []found{{"invalid_request", 1, "body.model"}}},
		"unknown model":           {a + "\n" + request("b", "nowhere"), []found{{"mismatched_model", 2, "body.model"}}},
		"only an unknown model":   {request("a", "nowhere") + "\n" + request("b", "nowhere"), []found{{"model_not_found", 1, "body.model"}, {"model_not_found", 2, "body.model"}}},
		"one error a line":        {request("a", "m") + "\n" + request("a", "n"), []found{{"mismatched_model", 2, "body.model"}}},
		"faulty line takes its id": {a + "\n" + request("b", "n") + "\n" + b, []found{
			{"mismatched_model", 2, "body.model"}, {"duplicate_custom_id", 3, "custom_id"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, c.file)
			b.in.Limits.MaxLineBytes = 4096
			b.in.KnownModel = func(model string) bool { return model != "nowhere" }
			got := b.validate(t)
			if diff := gocmp.Diff(c.want, findings(got.Errors)); diff != "" {
				t.Errorf("errors differ (-want +got):\n%s", diff)
			}
			if got.ErrorsTotal != int64(len(c.want)) {
				t.Errorf("total = %d, want %d", got.ErrorsTotal, len(c.want))
			}
		})
	}
}

func TestMixedModelsAreNumberedInOrderOfAppearance(t *testing.T) {
	t.Parallel()
	names := []string{"b", "a", "b", "C", "a"}
	b := newBench(t, requests(5, func(i int) string { return names[i] }))
	b.in.MixedModels = true
	asked := map[string]int{}
	b.in.KnownModel = func(model string) bool { asked[model]++; return true }
	got := b.validate(t)
	if diff := gocmp.Diff([]string{"b", "a", "C"}, got.Models); diff != "" || got.Model != "" || got.InLineOrder {
		t.Errorf("model %q, in line order %t, models (-want +got):\n%s", got.Model, got.InLineOrder, diff)
	}
	var lines []uint32
	for _, e := range b.entries(t, got) {
		lines = append(lines, e.Line)
	}
	if diff := gocmp.Diff([]uint32{1, 3, 2, 5, 4}, lines); diff != "" {
		t.Errorf("order of the plan (-want +got):\n%s", diff)
	}
	if diff := gocmp.Diff(map[string]int{"a": 1, "b": 1, "C": 1}, asked); diff != "" {
		t.Errorf("models asked for (-want +got):\n%s", diff)
	}
}

func TestUnknownModelAmongOthersIsReportedOnEachOfItsLines(t *testing.T) {
	t.Parallel()
	b := newBench(t, requests(6, func(i int) string { return fmt.Sprint("m", i%3) }))
	b.in.MixedModels = true
	b.in.KnownModel = func(model string) bool { return model != "m1" }
	want := []found{{"model_not_found", 2, "body.model"}, {"model_not_found", 5, "body.model"}}
	if diff := gocmp.Diff(want, findings(b.validate(t).Errors)); diff != "" {
		t.Errorf("errors differ (-want +got):\n%s", diff)
	}
}

func TestFileWithTooManyModelsIsReportedOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, requests(1100, func(i int) string { return fmt.Sprint("m", i) })+"{\n")
	b.in.MixedModels = true
	got := b.validate(t)
	want := []found{{"too_many_models", 0, "body.model"}, {"invalid_json_line", 1101, ""}}
	if diff := gocmp.Diff(want, findings(got.Errors)); diff != "" || len(got.Models) != 1000 {
		t.Errorf("%d models, errors differ (-want +got):\n%s", len(got.Models), diff)
	}
}

func TestFileWithTooManyLinesIsReadNoFurther(t *testing.T) {
	t.Parallel()
	b := newBench(t, requests(5, oneModel)+"{\n{\n{\n")
	b.in.Limits.MaxLines = 6
	want := []found{{"too_many_tasks", 0, ""}, {"invalid_json_line", 6, ""}}
	if diff := gocmp.Diff(want, findings(b.validate(t).Errors)); diff != "" {
		t.Errorf("errors differ (-want +got):\n%s", diff)
	}
	b = newBench(t, requests(6, oneModel)+"\n\n")
	b.in.Limits.MaxLines = 6
	if got := b.validate(t); got.ErrorsTotal != 0 {
		t.Errorf("a file of just as many lines as allowed has errors: %v", got.Errors)
	}
}

func TestHundredLowestErrorsAreListedAndAllCounted(t *testing.T) {
	t.Parallel()
	// Duplicates are found last, in the order of their hashes, and must push out what was listed before.
	b := newBench(t, strings.Repeat(request("same", "m")+"\n", 151)+strings.Repeat("{\n", 5000))
	got := b.validate(t)
	if got.ErrorsTotal != 5150 || len(got.Errors) != 101 {
		t.Fatalf("%d errors listed of %d", len(got.Errors), got.ErrorsTotal)
	}
	for i, e := range got.Errors[:100] {
		if e.Line != int64(i+2) || e.Code != "duplicate_custom_id" {
			t.Errorf("error %d is %+v", i, e)
		}
		if !strings.Contains(e.Message, "same") || !strings.Contains(e.Message, "line 1") {
			t.Errorf("error %d names neither id nor first line: %s", i, e.Message)
		}
	}
	if last := got.Errors[100]; last.Code != "too_many_errors" || last.Line != 0 || !strings.Contains(last.Message, "5150") {
		t.Errorf("last entry is %+v", last)
	}
}

func TestLongRunOfBlankLinesIsCounted(t *testing.T) {
	t.Parallel()
	b := newBench(t, "{\n"+strings.Repeat("\n", 100_000)+request("a", "m"))
	got := b.validate(t)
	if got.ErrorsTotal != 100_001 || len(got.Errors) != 101 || got.Errors[99].Line != 100 {
		t.Errorf("%d errors listed of %d, the last %+v", len(got.Errors), got.ErrorsTotal, got.Errors[99])
	}
}

func TestFaultsThatQuoteTheLineAreCutShort(t *testing.T) {
	t.Parallel()
	b := newBench(t, requests(3, func(i int) string { return strings.Repeat("ä", 256*(i+1)) }))
	b.in.Dialect = longWinded{b.in.Dialect}
	b.in.MixedModels = true
	b.in.KnownModel = func(string) bool { return false }
	got := b.validate(t)
	want := []found{{"model_not_found", 1, ""}, {"model_not_found", 2, ""}, {"invalid_request", 3, "body.model"}}
	if diff := gocmp.Diff(want, findings(got.Errors)); diff != "" {
		t.Errorf("errors differ (-want +got):\n%s", diff)
	}
	for _, e := range got.Errors {
		if len(e.Message) > 2048 || strings.ContainsRune(e.Message, '\ufffd') {
			t.Errorf("line %d: message of %d bytes", e.Line, len(e.Message))
		}
	}
}

// longWinded repeats every line in its faults.
type longWinded struct{ plan.Dialect }

func (d longWinded) ModelNotFound(model string) batch.LineError {
	return batch.LineError{Code: "model_not_found", Message: strings.Repeat(model, 1000)}
}

// TestMemoryDoesNotGrowWithTheFile validates files of very different lengths and kinds of trouble, and compares
// how much of the heap is in use while they are read.
func TestMemoryDoesNotGrowWithTheFile(t *testing.T) {
	const few, many = 10_000, 100_000
	for name, line := range map[string]func(i int) string{
		"good":         func(i int) string { return request(fmt.Sprint("r", i), fmt.Sprint("m", i%5)) },
		"all bad":      func(int) string { return "{}" },
		"all the same": func(int) string { return request("same", "m") },
	} {
		t.Run(name, func(t *testing.T) {
			small, large := peakHeap(t, few, line), peakHeap(t, many, line)
			if large > small+3<<20 {
				t.Errorf("%d lines use %d KiB, %d lines %d KiB", few, small>>10, many, large>>10)
			}
		})
	}
}

func peakHeap(t *testing.T, lines int, line func(i int) string) uint64 {
	disk, err := vfs.NewOS(t.TempDir(), vfs.OSOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var peak uint64
	input := madeInput{lines: lines, line: line, each: func(i int) {
		if i%(lines/10) == 0 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
		}
	}}
	b := newBench(t, "")
	b.in.Temp = extsort.Temp{FS: disk, Dir: tempDir}
	b.in.SortMemory = 1 << 20
	b.in.MixedModels = true
	b.in.Content = batch.Manifest(nil).Append(batch.Blob{Key: "made", Size: input.size()}, 0, input.size())
	b.in.Blobs = input
	if _, err := plan.Validate(t.Context(), b.in); err != nil {
		t.Fatal(err)
	}
	return peak
}

// madeInput is a blob store whose only object is made up line by line while it is read. It keeps nothing.
type madeInput struct {
	blob.Store
	lines int
	line  func(i int) string
	each  func(i int)
}

func (m madeInput) size() int64 {
	n := 0
	for i := range m.lines {
		n += len(m.line(i)) + 1
	}
	return int64(n)
}

func (m madeInput) Open(_ context.Context, _ batch.Blob, offset, length int64) io.ReadCloser {
	r, w := io.Pipe()
	go func() { // ends when the reader is closed
		for i := range m.lines {
			if offset == 0 {
				m.each(i)
			}
			if _, err := io.WriteString(w, m.line(i)+"\n"); err != nil {
				return
			}
		}
		_ = w.Close() // never fails
	}()
	_, _ = io.CopyN(io.Discard, r, offset)
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(r, length), r}
}

func (madeInput) Put(_ context.Context, key string, r io.Reader) (batch.Blob, error) {
	n, err := io.Copy(io.Discard, r)
	return batch.Blob{Key: key, Size: n}, err
}

func BenchmarkValidate(b *testing.B) {
	for _, lines := range []int{1000, 20_000} {
		b.Run(fmt.Sprint(lines, " lines of 1 KB"), func(b *testing.B) {
			padding := strings.Repeat("Tell me about it. ", 50)
			var file strings.Builder
			for i := range lines {
				fmt.Fprintf(&file, `{"custom_id":"request-%d","method":"POST","url":%q,"body":{"model":"m","input":%q}}`+"\n", i, endpoint, padding)
			}
			t := newBench(b, "")
			t.in.Content = upload(b, t.blobs, strings.NewReader(file.String()), 1<<30)
			b.SetBytes(int64(file.Len()))
			b.ReportAllocs()
			for b.Loop() {
				if r, err := plan.Validate(b.Context(), t.in); err != nil || r.ErrorsTotal > 0 {
					b.Fatal(r.Errors, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(lines), "ns/line")
		})
	}
}
