package dispatch_test

import (
	"testing"

	"batchd/internal/dispatch"
)

func TestControlsAreAFewLinesFromAllOverTheBatch(t *testing.T) {
	t.Parallel()
	for _, total := range []int64{1, 3, 4, 7, 19, 20, 63, 64, 65, 300, 1000, 4095, 100_000} {
		want := min(16, total/4)
		var kept []int64
		for at := range total {
			if dispatch.KeptBack(at, total) {
				kept = append(kept, at)
			}
		}
		if int64(len(kept)) != want {
			t.Errorf("of %d lines %d are kept back, want %d: %v", total, len(kept), want, kept)
			continue
		}
		for i, at := range kept {
			if part := at * want / total; part != int64(i) {
				t.Errorf("of %d lines, control %d is line %d, in part %d", total, i, at, part)
			}
		}
	}
}
