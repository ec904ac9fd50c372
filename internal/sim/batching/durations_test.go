package batching_test

import (
	"testing"
	"time"

	"batchd/internal/sim/batching"
)

func TestDurationsAreExactToTwoPercent(t *testing.T) {
	t.Parallel()
	var d batching.Durations
	if d.Mean() != 0 || d.Quantile(0.5) != 0 {
		t.Errorf("an empty histogram has mean %v and median %v", d.Mean(), d.Quantile(0.5))
	}
	for i := range 1000 {
		d.Add(time.Duration(i+1) * 10 * time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0: 10 * time.Millisecond, 0.5: 5 * time.Second, 0.99: 9900 * time.Millisecond, 1: 10 * time.Second} {
		if got := d.Quantile(q); got < want || float64(got) > 1.021*float64(want) {
			t.Errorf("quantile %v = %v, want %v to 2%% more", q, got, want)
		}
	}
	if d.Count() != 1000 || d.Mean() != 5005*time.Millisecond || d.Max() != 10*time.Second {
		t.Errorf("count %d, mean %v, max %v", d.Count(), d.Mean(), d.Max())
	}
	d.Add(-time.Second)
	d.Add(100 * time.Hour)
	if d.Quantile(0) > time.Millisecond || d.Quantile(1) < 24*time.Hour {
		t.Errorf("the ends are %v and %v", d.Quantile(0), d.Quantile(1))
	}
	if d.Reset(); d.Count() != 0 {
		t.Errorf("%d times after Reset", d.Count())
	}
}
