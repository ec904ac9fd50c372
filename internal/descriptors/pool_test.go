package descriptors_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"batchd/internal/descriptors"
)

func TestAPoolGivesNoMoreThanItHas(t *testing.T) {
	t.Parallel()
	const most = 5
	p := descriptors.NewPool(most)
	var open, refused atomic.Int64
	var users sync.WaitGroup
	for range 20 {
		users.Go(func() {
			for range 1000 {
				if !p.Take() {
					refused.Add(1)
					continue
				}
				if n := open.Add(1); n > most {
					t.Errorf("%d are open", n)
				}
				open.Add(-1)
				p.Give()
			}
		})
	}
	users.Wait()
	for i := range most + 1 {
		if got, want := p.Take(), i < most; got != want {
			t.Errorf("take %d: %t after %d refusals, want %t", i, got, refused.Load(), want)
		}
	}
}
