package dispatchbench

import (
	"os"
	"path/filepath"
	"testing"
)

// reportVariable names the document that the figures are written to; the plots go into a directory beside it.
const reportVariable = "BATCHD_DISPATCH_REPORT"

// TestBenchDispatch compares all contenders in all scenarios. It runs only when it is asked to. That a bar is missed is
// printed and fails nothing.
func TestBenchDispatch(t *testing.T) {
	path := os.Getenv(reportVariable)
	if path == "" {
		t.Skipf("takes minutes: run make bench-dispatch, which sets %s", reportVariable)
	}
	list := scenarios()
	all := make([]*comparison, len(list))
	t.Run("scenarios", func(t *testing.T) {
		for i := range list {
			t.Run(list[i].name, func(t *testing.T) {
				t.Parallel()
				inBubble(t, func() { all[i] = compare(t, &list[i], seeds) })
			})
		}
	})
	if t.Failed() {
		return
	}
	write(t, path, all)
}

// write writes the plots and the figures.
func write(t *testing.T, path string, all []*comparison) {
	dir := filepath.Join(filepath.Dir(path), "dispatch")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		if err := os.WriteFile(filepath.Join(dir, c.name+".svg"), []byte(newPlot(c).svg()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := replace(path, figures(all)); err != nil {
		t.Fatal(err)
	}
}
