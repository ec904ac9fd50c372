package blobtest

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"batchd/internal/blob"
)

// concurrencyCases say that calls at the same time do not disturb one another. They are for the race detector, too.
var concurrencyCases = []test{
	{"concurrent use", func(t *testing.T, b blob.Backend) {
		const workers, each = 8, 6
		var all sync.WaitGroup
		for w := range workers {
			all.Go(func() {
				for i := range each {
					// The workers share directories, which come and go under them.
					key := fmt.Sprintf("segments/b%d/%d", i%2, w*each+i)
					want := Random(uint64(w*each+i), 1000)
					if _, err := b.Put(t.Context(), key, bytes.NewReader(want)); err != nil {
						t.Error(err)
					}
					wantObject(t, b, key, want)
					if err := b.Delete(t.Context(), key); err != nil {
						t.Error(err)
					}
					wantNoObject(t, b, key)
				}
			})
		}
		all.Wait()
		wantKeys(t, b, "")
	}},
	{"concurrent use of one key", func(t *testing.T, b blob.Backend) {
		want := Random(12, 100_000)
		put(t, b, "plans/a", want)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for range 5 {
					if _, err := b.Put(t.Context(), "plans/a", bytes.NewReader(want)); err != nil {
						t.Error(err)
					}
				}
			})
			all.Go(func() {
				for range 20 {
					wantObject(t, b, "plans/a", want)
				}
			})
		}
		all.Wait()
		wantKeys(t, b, "", "plans/a")
	}},
}
