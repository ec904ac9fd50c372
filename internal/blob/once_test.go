package blob_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/blob"
)

func TestADamagedBlockIsReportedOnce(t *testing.T) {
	t.Parallel()
	var got []string
	report := blob.Once(func(key string, block int64) { got = append(got, fmt.Sprint(key, block)) })
	for range 2 {
		report("a", 0)
		report("a", 1)
		report("b", 0)
	}
	if diff := cmp.Diff([]string{"a0", "a1", "b0"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for i := range int64(2000) {
		report("c", i)
	}
	if len(got) != 1000 {
		t.Errorf("%d blocks were reported, want no more than 1000", len(got))
	}
}
