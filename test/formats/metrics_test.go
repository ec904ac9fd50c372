package formats_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"batchd/test/harness"
)

// family is what a page or a server says of a metric.
type family struct {
	Type   string
	Labels []string
}

// familyRow is a row of docs/metrics.md: name, type, labels.
var familyRow = regexp.MustCompile("(?m)^\\| `(batchd_[a-z_]+)` \\| (\\w+) \\| ([^|]*)\\|")

func TestMetricsAreThoseOfThePage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(harness.Root(t), "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]family{}
	for _, row := range familyRow.FindAllStringSubmatch(string(page), -1) {
		labels := strings.FieldsFunc(row[3], func(r rune) bool { return r == ' ' || r == ',' })
		slices.Sort(labels)
		if len(labels) == 0 {
			labels = nil
		}
		documented[row[1]] = family{row[2], labels}
	}

	base := harness.Serve(t)
	harness.Run(t, "batches", "create", filepath.Join(harness.Root(t), "examples", "reviews.jsonl"), "--server", base, "--watch")
	shown := scrape(t, base)
	for name, have := range shown {
		if diff := cmp.Diff(documented[name], have); diff != "" {
			t.Errorf("%s: docs/metrics.md and the server differ (-page +server):\n%s", name, diff)
		}
	}
	if len(shown) < 8 {
		t.Errorf("only %d families are shown", len(shown))
	}
}

// scrape returns batchd's own families as a server shows them.
func scrape(t *testing.T, base string) map[string]family {
	t.Helper()
	response, err := http.Get(base + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }() // it is only read
	parser := expfmt.NewTextParser(model.UTF8Validation)
	parsed, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	families := map[string]family{}
	for name, f := range parsed {
		if !strings.HasPrefix(name, "batchd_") {
			continue
		}
		var labels []string
		for _, pair := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, pair.GetName())
		}
		slices.Sort(labels)
		families[name] = family{strings.ToLower(f.GetType().String()), labels}
	}
	return families
}
