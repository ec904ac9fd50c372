package upstream_test

import (
	"io"
	"net/http"
	"sync"
	"testing"

	"batchd/internal/descriptors"
	"batchd/internal/limit"
	"batchd/internal/upstream"
)

func TestUpstreamsShareTheConnectionsThatThereMayBe(t *testing.T) {
	t.Parallel()
	const most = 3
	pool := descriptors.NewPool(most)
	arrived, release := make(chan struct{}), make(chan struct{})
	at := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		arrived <- struct{}{}
		<-release
		_, _ = io.WriteString(w, `{"a":1}`)
	})
	first := newUpstream(t, upstream.Config{URL: at}, upstream.Options{Connections: pool})
	second := newUpstream(t, upstream.Config{URL: at + "/other"}, upstream.Options{Connections: pool})
	var calls sync.WaitGroup
	for i := range most {
		calls.Go(func() {
			if a, _ := call(t, []*upstream.Upstream{first, second}[i%2]); a.Signal.Kind != limit.Served {
				t.Errorf("a call within the bound: %+v", a)
			}
		})
		<-arrived
	}
	for _, u := range []*upstream.Upstream{first, second} {
		if a, _ := call(t, u); a.Signal.Kind != limit.Unreachable || a.Signal.Detail != "descriptors" {
			t.Errorf("a call beyond the bound: %+v", a)
		}
	}
	close(release)
	calls.Wait()
	first.Close()
	second.Close()
	for range most {
		if !pool.Take() {
			t.Fatal("a closed connection keeps its place")
		}
	}
}
