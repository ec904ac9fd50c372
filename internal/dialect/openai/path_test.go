package openai_test

import (
	"errors"
	"fmt"
	"testing"

	"batchd/internal/dialect"
	"batchd/internal/dialect/openai"
)

// An endpoint and the urls of lines name the same with and without the version, in any mix, and are shown as they were
// written. A strict dialect takes none without.
func TestEndpointsAndURLsMayLackTheVersion(t *testing.T) {
	t.Parallel()
	const full, short = "/v1/chat/completions", "/chat/completions"
	for _, d := range []struct {
		name    string
		dialect *openai.Dialect
		exact   bool
	}{
		{"as is", openai.New(openai.Options{}), false},
		{"strict", openai.New(openai.Options{Strict: true}), true},
		{"strict vendor", like(openai.Variant{ExactPaths: true}), true},
	} {
		got, err := d.dialect.ParseCreateBatch(
			[]byte(`{"input_file_id":"f","endpoint":"`+short+`","completion_window":"24h"}`),
			dialect.CreateRules{Endpoints: []string{full}, Windows: []string{"24h"}})
		if refused := err != nil; refused != d.exact || !refused && got.Endpoint != short {
			t.Errorf("%s: endpoint %q, %v", d.name, got.Endpoint, err)
		}
		for _, c := range [][2]string{{full, full}, {full, short}, {short, full}, {short, short}} {
			line := fmt.Appendf(nil, `{"custom_id":"a","method":"POST","url":%q,"body":{"model":"m","messages":[]}}`, c[1])
			_, err := d.dialect.ParseLine(line, dialect.LineRules{Endpoint: c[0]})
			if refused := err != nil; refused != (d.exact && c[0] != c[1]) {
				t.Errorf("%s: endpoint %s, url %s: %v", d.name, c[0], c[1], err)
			}
		}
		var fault *dialect.LineFault
		_, err = d.dialect.ParseLine(
			[]byte(`{"custom_id":"a","method":"POST","url":"`+short+`","body":{"model":"m"}}`), dialect.LineRules{Endpoint: short})
		if !errors.As(err, &fault) || fault.Param != "body.messages" {
			t.Errorf("%s: a chat without messages: %v", d.name, err)
		}
	}
}
