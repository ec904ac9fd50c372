package novita_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/dialect/novita"
)

func rules() dialect.CreateRules {
	return dialect.CreateRules{Endpoints: []string{chat, "/v1/completions"}, Windows: []string{"24h", "48h"}}
}

func TestCreateCallsAreRead(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		body string
		want dialect.CreateBatch
	}{
		"of the guide, without a window": {
			`{"input_file_id":"file_1","endpoint":"/v1/chat/completions"}`,
			dialect.CreateBatch{InputFileID: "file_1", Endpoint: chat, Window: "48h"},
		},
		"with the window of the reference": {
			`{"input_file_id":"file_1","endpoint":"/v1/completions","completion_window":"48h"}`,
			dialect.CreateBatch{InputFileID: "file_1", Endpoint: "/v1/completions", Window: "48h"},
		},
		"with the window of the newest guide": {
			`{"input_file_id":"file_1","endpoint":"/v1/chat/completions","completion_window":"24h"}`,
			dialect.CreateBatch{InputFileID: "file_1", Endpoint: chat, Window: "24h"},
		},
		"with the endpoint as a path of Novita's server": {
			`{"input_file_id":"file_1","endpoint":"/openai/v1/chat/completions"}`,
			dialect.CreateBatch{InputFileID: "file_1", Endpoint: chat, Window: "48h"},
		},
		"with null and with what is meant for a proxy": {
			`{"input_file_id":"file_1","endpoint":"/v1/chat/completions","completion_window":null,"metadata":null,"remark":null,"priority":null,"custom_llm_provider":"novita"}`,
			dialect.CreateBatch{InputFileID: "file_1", Endpoint: chat, Window: "48h"},
		},
	} {
		for mode, d := range dialects() {
			t.Run(name+"/"+mode, func(t *testing.T) {
				t.Parallel()
				got, err := d.ParseCreateBatch([]byte(tc.body), rules())
				if diff := cmp.Diff(tc.want, got); err != nil || diff != "" {
					t.Errorf("error %v, differences (-want +got):\n%s", err, diff)
				}
			})
		}
	}
}

func TestBadCreateCallsAreRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ body, param string }{
		"no object":        {`[]`, ""},
		"name twice":       {`{"input_file_id":"a","input_file_id":"b"}`, ""},
		"no file":          {`{"endpoint":"/v1/chat/completions"}`, "input_file_id"},
		"no endpoint":      {`{"input_file_id":"file_1"}`, "endpoint"},
		"other endpoint":   {`{"input_file_id":"file_1","endpoint":"/v1/embeddings"}`, "endpoint"},
		"prefix twice":     {`{"input_file_id":"file_1","endpoint":"/openai/openai/v1/completions"}`, "endpoint"},
		"unknown window":   {`{"input_file_id":"file_1","endpoint":"/v1/completions","completion_window":"36h"}`, "completion_window"},
		"window no string": {`{"input_file_id":"file_1","endpoint":"/v1/completions","completion_window":48}`, "completion_window"},
	} {
		for mode, d := range dialects() {
			t.Run(name+"/"+mode, func(t *testing.T) {
				t.Parallel()
				got, err := d.ParseCreateBatch([]byte(tc.body), rules())
				if e := wantFault(t, err); e.Class != batch.Invalid || e.Param != tc.param {
					t.Errorf("%+v gave fault %+v, want one about %q", got, e, tc.param)
				}
			})
		}
	}
}

func TestWhatNovitaDoesNotDocumentIsAppliedAndRefusedWhenStrict(t *testing.T) {
	t.Parallel()
	all := dialects()
	const head = `{"input_file_id":"file_1","endpoint":"/v1/chat/completions",`
	for param, tc := range map[string]struct {
		body string
		want dialect.CreateBatch
	}{
		"metadata":             {`"metadata":{"a": "b"}}`, dialect.CreateBatch{Metadata: []byte(`{"a":"b"}`)}},
		"output_expires_after": {`"output_expires_after":{"anchor":"created_at","seconds":3600}}`, dialect.CreateBatch{OutputTTLSeconds: 3600}},
		"remark":               {`"remark":"nightly"}`, dialect.CreateBatch{Remark: "nightly"}},
		"callback_url":         {`"callback_url":"https://example.com/x"}`, dialect.CreateBatch{CallbackURL: "https://example.com/x"}},
	} {
		tc.want.InputFileID, tc.want.Endpoint, tc.want.Window = "file_1", chat, "48h"
		got, err := all["default"].ParseCreateBatch([]byte(head+tc.body), rules())
		if diff := cmp.Diff(tc.want, got); err != nil || diff != "" {
			t.Errorf("%s: error %v, differences (-want +got):\n%s", param, err, diff)
		}
		_, err = all["strict"].ParseCreateBatch([]byte(head+tc.body), rules())
		if e := wantFault(t, err); e.Class != batch.Invalid || e.Param != param || e.Code != "unknown_parameter" {
			t.Errorf("%s: strict gives fault %+v", param, e)
		}
	}
}

func TestUploads(t *testing.T) {
	t.Parallel()
	forBatch := map[string]string{"purpose": "batch"}
	living := map[string]string{"purpose": "batch", "expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
	for name, tc := range map[string]struct {
		fields   map[string]string
		filename string
		// param is what is wrong, strictly and otherwise; "" means the upload is good.
		param, strict string
	}{
		"input file":    {forBatch, "in.jsonl", "", ""},
		"no file":       {forBatch, "", "file", "file"},
		"not JSONL":     {forBatch, "in.json", "", "file"},
		"no purpose":    {nil, "in.jsonl", "purpose", "purpose"},
		"other purpose": {map[string]string{"purpose": "assistants"}, "in.jsonl", "purpose", "purpose"},
		"with a TTL":    {living, "in.jsonl", "", "expires_after"},
	} {
		for mode, d := range dialects() {
			t.Run(name+"/"+mode, func(t *testing.T) {
				t.Parallel()
				want := tc.param
				if mode == "strict" {
					want = tc.strict
				}
				got, err := d.CheckUpload(tc.fields, tc.filename)
				if want != "" {
					if e := wantFault(t, err); e.Class != batch.Invalid || e.Param != want {
						t.Errorf("%+v gave fault %+v, want one about %q", got, e, want)
					}
					return
				}
				if err != nil || got.Purpose != batch.PurposeBatch || got.Filename != tc.filename {
					t.Errorf("got %+v, %v", got, err)
				}
				if wantTTL := int64(3600) * int64(len(tc.fields)/3); got.TTLSeconds != wantTTL {
					t.Errorf("TTL of %d s, want %d", got.TTLSeconds, wantTTL)
				}
			})
		}
	}
}

func TestRetryCallsAreRead(t *testing.T) {
	t.Parallel()
	d := novita.New(novita.Options{})
	for body, want := range map[string]string{"": "", "{}": "", `{"completion_window":"24h"}`: "24h"} {
		got, err := d.ParseRetryBatch([]byte(body), rules())
		if err != nil || got.Window != want {
			t.Errorf("%s: window %q, %v", body, got.Window, err)
		}
	}
	_, err := d.ParseRetryBatch([]byte(`{"completion_window":"1h"}`), rules())
	if e := wantFault(t, err); e.Param != "completion_window" {
		t.Errorf("unknown window: fault %+v", e)
	}
}

func TestEditsSetTheRemark(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat("é", 512)
	for name, tc := range map[string]struct{ body, want string }{
		"text":                    {`{"remark":"a \u00e9 \"b\""}`, `a é "b"`},
		"nothing any more":        {`{"remark":""}`, ""},
		"null takes it away":      {` {"remark" : null} `, ""},
		"the longest there is":    {`{"remark":"` + longest + `"}`, longest},
		"unknown members besides": {`{"status":"COMPLETED","remark":"x","metadata":{"a":1}}`, "x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := novita.New(novita.Options{}).ParseEditBatch([]byte(tc.body))
			if err != nil || got.Remark == nil || *got.Remark != tc.want {
				t.Errorf("got %v, %v", got.Remark, err)
			}
		})
	}
}

func TestBadEditsAreRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ body, param string }{
		"no body":                  {"", ""},
		"not JSON":                 {`{"remark":`, ""},
		"more behind the object":   {`{"remark":"a"}{}`, ""},
		"no object":                {`"remark"`, ""},
		"null":                     {`null`, ""},
		"name twice":               {`{"remark":"a","remark":"b"}`, ""},
		"name twice further below": {`{"remark":"a","x":{"y":1,"y":2}}`, ""},
		"not UTF-8":                {"{\"remark\":\"\xff\"}", ""},
		"half a surrogate pair":    {`{"remark":"\ud800"}`, ""},
		"nothing to change":        {`{}`, "remark"},
		"only what cannot be":      {`{"status":"COMPLETED"}`, "remark"},
		"no string":                {`{"remark":7}`, "remark"},
		"object":                   {`{"remark":{}}`, "remark"},
		"too long":                 {`{"remark":"` + strings.Repeat("é", 513) + `"}`, "remark"},
		"line break":               {`{"remark":"a\nb"}`, "remark"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := novita.New(novita.Options{}).ParseEditBatch([]byte(tc.body))
			if e := wantFault(t, err); e.Class != batch.Invalid || e.Param != tc.param || got.Remark != nil {
				t.Errorf("got %v and fault %+v, want one about %q", got.Remark, e, tc.param)
			}
		})
	}
}

// A remark is either good both ways or neither.
func TestRemarksHaveTheSameRulesAtCreationAndLater(t *testing.T) {
	t.Parallel()
	d := novita.New(novita.Options{})
	for _, remark := range []string{
		`""`, `"a"`, `7`, `{}`, `[]`, `true`, `"\n"`, `"\u007f"`, `"\u0085"`, `"😀"`,
		`"` + strings.Repeat("😀", 512) + `"`, `"` + strings.Repeat("😀", 513) + `"`,
	} {
		created, errCreate := d.ParseCreateBatch([]byte(`{"input_file_id":"file_1","endpoint":"/v1/completions","remark":`+remark+`}`), rules())
		edited, errEdit := d.ParseEditBatch([]byte(`{"remark":` + remark + `}`))
		switch {
		case (errCreate == nil) != (errEdit == nil):
			t.Errorf("%.20s: at creation %v, later %v", remark, errCreate, errEdit)
		case errEdit == nil && created.Remark != *edited.Remark:
			t.Errorf("%.20s: at creation %q, later %q", remark, created.Remark, *edited.Remark)
		case errEdit != nil && wantFault(t, errEdit).Code != wantFault(t, errCreate).Code:
			t.Errorf("%.20s: at creation %v, later %v", remark, errCreate, errEdit)
		}
	}
}

func TestCreateCallTakesARemark(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat("é", 512)
	for name, tc := range map[string]struct{ remark, want, param string }{
		"text":       {`"night run é"`, "night run é", ""},
		"null":       {`null`, "", ""},
		"longest":    {`"` + longest + `"`, longest, ""},
		"too long":   {`"` + longest + `é"`, "", "remark"},
		"a number":   {`7`, "", "remark"},
		"line break": {`"a\nb"`, "", "remark"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := `{"input_file_id":"file_1","endpoint":"/v1/chat/completions","remark":` + tc.remark + `}`
			got, err := novita.New(novita.Options{}).ParseCreateBatch([]byte(body), dialect.CreateRules{
				Endpoints: []string{"/v1/chat/completions"}, Windows: []string{"48h"},
			})
			var fault *batch.Error
			if errors.As(err, &fault); (fault != nil) != (tc.param != "") || fault != nil && fault.Param != tc.param || got.Remark != tc.want {
				t.Errorf("remark %q, %v", got.Remark, err)
			}
		})
	}
}
