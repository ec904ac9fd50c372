package archtest

import (
	"go/ast"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	// metricName is a whole name; names are written out in the code, so that they can be searched for.
	metricName = regexp.MustCompile(`^batchd_[a-z_]+$`)
	// metricRow is a row of docs/metrics.md.
	metricRow = regexp.MustCompile("(?m)^\\| `(batchd_[a-z_]+)` \\|")
)

func TestEveryMetricIsOnItsPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(root, "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, row := range metricRow.FindAllStringSubmatch(string(page), -1) {
		documented = append(documented, row[1])
	}
	slices.Sort(documented)
	if registered := metricsOf(tree(t)); !slices.Equal(registered, documented) {
		t.Errorf("the code registers\n%s\ndocs/metrics.md lists\n%s", strings.Join(registered, "\n"), strings.Join(documented, "\n"))
	}
}

// metricsOf lists the names of metrics in the code that uses the Prometheus client.
func metricsOf(sources []source) []string {
	names := map[string]bool{}
	for _, s := range sources {
		if s.isTest() || !strings.HasPrefix(s.path, "internal/") || !s.imports("github.com/prometheus/client_golang/prometheus") {
			continue
		}
		ast.Inspect(s.file, func(node ast.Node) bool {
			literal, ok := node.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			if text, err := strconv.Unquote(literal.Value); err == nil && metricName.MatchString(text) {
				names[text] = true
			}
			return true
		})
	}
	return slices.Sorted(maps.Keys(names))
}
