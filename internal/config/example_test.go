package config_test

import (
	"os"
	"regexp"
	"testing"

	"batchd/internal/config"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const example = "../../examples/batchd.yaml"

func TestTheExampleFileIsAccepted(t *testing.T) {
	t.Parallel()
	c := load(t, config.Source{File: example})
	if err := c.Validate(); err != nil {
		t.Errorf("refused: %v", err)
	}
}

// Every default that the example shows in a comment is the one that the server has.
func TestTheExampleFileShowsTheDefaults(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	// Sections at the left margin and what is indented below them; prose, and samples that are no defaults, stay out.
	text := regexp.MustCompile(`(?m)^# ((  )?[a-z_.]+:( (\d+[KMG]iB)?[^A-Z\n]*)?)$`).ReplaceAllString(string(raw), "$1")
	text = regexp.MustCompile(`(?m)^(tls|endpoints|windows|metrics|  cert|  key|  listen):.*$`).ReplaceAllString(text, "")
	want := config.Default()
	want.Upstreams = []config.Upstream{{URL: "sim", Concurrency: 0}}
	got := load(t, config.Source{File: write(t, text)})
	if diff := cmp.Diff(want, got, cmp.Transformer("fields", fields), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the example names other defaults (-default +example):\n%s\n%s", diff, text)
	}
}
