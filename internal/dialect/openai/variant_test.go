package openai_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"batchd/internal/batch"
	"batchd/internal/dialect"
	"batchd/internal/dialect/openai"
)

// like returns OpenAI's dialect with a vendor's differences.
func like(v openai.Variant) *openai.Dialect { return openai.New(openai.Options{Variant: v}) }

// paramOf returns the parameter that a fault is about, "none" for no error.
func paramOf(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return "none"
	}
	var fault *batch.Error
	if !errors.As(err, &fault) {
		t.Fatalf("%v is not a fault of the client", err)
	}
	return fault.Param
}

func TestDefaultWindowStandsInForAMissingOne(t *testing.T) {
	t.Parallel()
	d := like(openai.Variant{DefaultWindow: "7d"})
	const head = `{"input_file_id":"f","endpoint":"/v1/a"`
	for more, want := range map[string]string{
		"}": "7d", `,"completion_window":null}`: "7d", `,"completion_window":"24h"}`: "24h",
	} {
		got, err := d.ParseCreateBatch([]byte(head+more), rules())
		if err != nil || got.Window != want {
			t.Errorf("%s: %q, %v; want %q", more, got.Window, err, want)
		}
	}
	if _, err := d.ParseCreateBatch([]byte(head+`,"completion_window":""}`), rules()); paramOf(t, err) != "completion_window" {
		t.Errorf("an empty window is a wrong one, not a missing one: %v", err)
	}
	if _, err := like(openai.Variant{DefaultWindow: "48h"}).ParseCreateBatch([]byte(head+"}"), rules()); paramOf(t, err) != "completion_window" {
		t.Errorf("a default that the server does not offer was taken: %v", err)
	}
}

func TestPurposesAreTheVendors(t *testing.T) {
	t.Parallel()
	d := like(openai.Variant{Purposes: []string{"batch", "poetry"}})
	for purpose, want := range map[string]string{"batch": "none", "poetry": "none", "vision": "purpose"} {
		if _, err := d.CheckUpload(map[string]string{"purpose": purpose}, "in.jsonl"); paramOf(t, err) != want {
			t.Errorf("%s: %v", purpose, err)
		}
	}
}

func TestMetadataOfAnyValuesIsBoundBySize(t *testing.T) {
	t.Parallel()
	const limit = 1000
	d := like(openai.Variant{MetadataBytes: limit})
	fill := func(n int) string { return `{"k":"` + strings.Repeat("x", n-len(`{"k":""}`)) + `"}` }
	for name, tc := range map[string]struct{ metadata, want, param string }{
		"any values":      {` { "a" : [1, {"b": null}], "c\u0064": 1.50, "e" : true } `, `{"a":[1,{"b":null}],"c\u0064":1.50,"e":true}`, "none"},
		"empty":           {`{ }`, `{}`, "none"},
		"null":            {`null`, ``, "none"},
		"control":         {`{"a":"\u0007"}`, `{"a":"\u0007"}`, "none"},
		"many pairs":      {`{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1,"k":1,"l":1,"m":1,"n":1,"o":1,"p":1,"q":1}`, `{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1,"k":1,"l":1,"m":1,"n":1,"o":1,"p":1,"q":1}`, "none"},
		"as much as fits": {fill(limit), fill(limit), "none"},
		"space is free":   {strings.Repeat(" ", limit) + fill(limit), fill(limit), "none"},
		"one byte more":   {fill(limit + 1), "", "metadata"},
		"a list":          {`[]`, "", "metadata"},
		"a key twice":     {`{"a":{"b":1,"b":2}}`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := d.ParseCreateBatch([]byte(create(`,"metadata":`+tc.metadata)), rules())
			if param := paramOf(t, err); param != tc.param || param == "none" && string(got.Metadata) != tc.want {
				t.Errorf("%s, %v; want %s, a fault about %q", got.Metadata, err, tc.want, tc.param)
			}
		})
	}
}

func TestBareLinesNeedNoMethodAndNoURL(t *testing.T) {
	t.Parallel()
	bare, full := like(openai.Variant{BareLines: true}), like(openai.Variant{})
	const body = `"body":{"model":"m","messages":[]}}`
	for name, tc := range map[string]struct{ line, bare, full string }{
		"neither":      {`{"custom_id":"a",` + body, "none", "method"},
		"nulls":        {`{"custom_id":"a","method":null,"url":null,` + body, "none", "method"},
		"both":         {`{"custom_id":"a","method":"POST","url":"/v1/chat/completions",` + body, "none", "none"},
		"only method":  {`{"custom_id":"a","method":"POST",` + body, "none", "url"},
		"wrong method": {`{"custom_id":"a","method":"GET",` + body, "method", "url"},
		"wrong url":    {`{"custom_id":"a","url":"/v1/embeddings",` + body, "url", "method"},
		"url a number": {`{"custom_id":"a","url":1,` + body, "url", "method"},
		"no custom_id": {`{` + body, "custom_id", "custom_id"},
		"no body":      {`{"custom_id":"a"}`, "body", "method"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for d, want := range map[*openai.Dialect]string{bare: tc.bare, full: tc.full} {
				_, err := d.ParseLine([]byte(tc.line), dialect.LineRules{Endpoint: chat})
				got := "none"
				var fault *dialect.LineFault
				if errors.As(err, &fault) {
					got = fault.Param
				}
				if got != want {
					t.Errorf("bare %v: %v, want a fault about %s", d == bare, err, want)
				}
			}
		})
	}
}

func TestURLPrefixMayStandBeforeEndpoints(t *testing.T) {
	t.Parallel()
	d := like(openai.Variant{URLPrefix: "/vendor"})
	for endpoint, param := range map[string]string{
		"/vendor/v1/a": "none", "/v1/a": "none", "/vendor/vendor/v1/a": "endpoint", "vendor/v1/a": "endpoint", "/vendor": "endpoint",
	} {
		got, err := d.ParseCreateBatch([]byte(strings.Replace(create(""), "/v1/a", endpoint, 1)), rules())
		if paramOf(t, err) != param || param == "none" && got.Endpoint != "/v1/a" {
			t.Errorf("%s: %q, %v", endpoint, got.Endpoint, err)
		}
	}
	for url, good := range map[string]bool{
		"/vendor/v1/chat/completions": true, "/v1/chat/completions": true, "/vendor/vendor/v1/chat/completions": false, "/vendor": false,
	} {
		line := `{"custom_id":"a","method":"POST","url":"` + url + `","body":{"model":"m","messages":[]}}`
		if _, err := d.ParseLine([]byte(line), dialect.LineRules{Endpoint: chat}); (err == nil) != good {
			t.Errorf("%s: %v", url, err)
		}
		if _, err := like(openai.Variant{}).ParseLine([]byte(line), dialect.LineRules{Endpoint: chat}); (err == nil) != (url == chat) {
			t.Errorf("%s without a prefix: %v", url, err)
		}
	}
}

func TestAdditionsOfTheVendorAreReadUnlessItIsStrict(t *testing.T) {
	t.Parallel()
	v := openai.Variant{Additions: func(members map[string]jsontext.Value, c *dialect.CreateBatch) error {
		if members["remark"].Kind() != jsontext.KindString {
			return dialect.UnknownParameter("remark")
		}
		c.Remark = string(members["remark"])
		return nil
	}, Members: []string{"remark"}}
	for name, tc := range map[string]struct {
		d             *openai.Dialect
		remark        string
		want, problem string
	}{
		"taken":     {like(v), `"night run"`, `"night run"`, "none"},
		"refused":   {like(v), `7`, "", "remark"},
		"not known": {like(openai.Variant{}), `7`, "", "remark"},
		"strict":    {openai.New(openai.Options{Strict: true, Variant: v}), `7`, "", "remark"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := tc.d.ParseCreateBatch([]byte(create(`,"remark":`+tc.remark)), rules())
			if param := paramOf(t, err); param != tc.problem || param == "none" && got.Remark != tc.want {
				t.Errorf("%q, %v", got.Remark, err)
			}
		})
	}
}

func TestServerTTLGivesFilesNoneOfTheirOwn(t *testing.T) {
	t.Parallel()
	d := openai.New(openai.Options{Strict: true, Variant: openai.Variant{ServerTTL: true}})
	c, err := d.ParseCreateBatch([]byte(create("")), rules())
	if err != nil || c.OutputTTLSeconds != 0 {
		t.Errorf("results have a TTL of %d s, %v", c.OutputTTLSeconds, err)
	}
	u, err := d.CheckUpload(map[string]string{"purpose": "batch"}, "in.jsonl")
	if err != nil || u.TTLSeconds != 0 {
		t.Errorf("inputs have a TTL of %d s, %v", u.TTLSeconds, err)
	}
}
