package tenant_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"batchd/internal/store"
	"batchd/internal/tenant"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func limited(id string, perMinute int64) tenant.Identity {
	return tenant.Identity{Tenant: id, Limits: store.Limits{RequestsPerMinute: perMinute}}
}

func TestAMinutesRequestsPassAtOnceAndThenOneByOne(t *testing.T) {
	t.Parallel()
	var b tenant.Buckets
	who := limited("a", 4)
	for i, want := range []tenant.Rate{
		{Limit: 4, Remaining: 3, Reset: 15 * time.Second},
		{Limit: 4, Remaining: 2, Reset: 30 * time.Second},
		{Limit: 4, Remaining: 1, Reset: 45 * time.Second},
		{Limit: 4, Remaining: 0, Reset: 60 * time.Second},
		{Limit: 4, Remaining: 0, Reset: 60 * time.Second, Wait: 15 * time.Second},
		{Limit: 4, Remaining: 0, Reset: 60 * time.Second, Wait: 15 * time.Second}, // a refused one takes nothing
	} {
		if diff := cmp.Diff(want, b.Take(who, noon)); diff != "" {
			t.Errorf("request %d (-want +got):\n%s", i+1, diff)
		}
	}
	if r := b.Take(who, noon.Add(15*time.Second-1)); r.Wait != 1 {
		t.Errorf("just before the wait is over: %+v", r)
	}
	if r := b.Take(who, noon.Add(15*time.Second)); r.Wait != 0 || r.Remaining != 0 {
		t.Errorf("when the wait is over: %+v", r)
	}
	if r := b.Take(who, noon.Add(time.Hour)); r.Remaining != 3 || r.Reset != 15*time.Second {
		t.Errorf("after an hour: %+v", r)
	}
}

func TestWithoutALimitNothingIsCounted(t *testing.T) {
	t.Parallel()
	var b tenant.Buckets
	for range 1000 {
		if r := b.Take(limited("a", 0), noon); r != (tenant.Rate{}) {
			t.Fatalf("got %+v", r)
		}
	}
}

func TestTenantsDoNotUseUpEachOthersRequests(t *testing.T) {
	t.Parallel()
	var b tenant.Buckets
	for range 3 {
		b.Take(limited("a", 1), noon)
	}
	if r := b.Take(limited("b", 1), noon); r.Wait != 0 {
		t.Errorf("got %+v", r)
	}
}

func TestANewLimitCountsFromTheNextRequest(t *testing.T) {
	t.Parallel()
	var b tenant.Buckets
	for range 10 {
		b.Take(limited("a", 10), noon)
	}
	if r := b.Take(limited("a", 10), noon); r.Wait == 0 {
		t.Fatalf("got %+v", r)
	}
	// Used up stays used up, but it refills at the new speed.
	if r := b.Take(limited("a", 600), noon.Add(time.Second)); r.Wait != 0 || r.Limit != 600 || r.Remaining != 9 {
		t.Errorf("raised: got %+v", r)
	}
	if r := b.Take(limited("a", 1), noon.Add(time.Second)); r.Wait < 58*time.Second || r.Limit != 1 {
		t.Errorf("lowered: got %+v", r)
	}
	if r := b.Take(limited("a", 0), noon.Add(time.Second)); r != (tenant.Rate{}) {
		t.Errorf("lifted: got %+v", r)
	}
}

func TestAClockThatIsSetBackLocksNobodyOutForLong(t *testing.T) {
	t.Parallel()
	var b tenant.Buckets
	b.Take(limited("a", 2), noon)
	if r := b.Take(limited("a", 2), noon.Add(-24*time.Hour)); r.Wait != 30*time.Second {
		t.Errorf("got %+v", r)
	}
}

// Whatever the limit and the times: no more passes than a full bucket and its refill, a request that waited as long as
// it was answered passes, and what is shown as remaining does pass.
func TestBucketsKeepTheirWord(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var b tenant.Buckets
		who := limited("a", rapid.OneOf(rapid.Int64Range(1, 100), rapid.Int64Range(1, 1<<62)).Draw(t, "limit"))
		limit, now, passed := who.Limits.RequestsPerMinute, noon, int64(0)
		for range rapid.IntRange(1, 200).Draw(t, "requests") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(2*time.Second)).Draw(t, "pause")))
			r := b.Take(who, now)
			if r.Limit != limit || r.Remaining < 0 || r.Remaining > limit || r.Reset < 0 || r.Reset > time.Minute {
				t.Fatalf("got %+v", r)
			}
			if r.Wait < 0 || r.Wait > time.Minute || r.Wait > 0 && r.Remaining > 0 {
				t.Fatalf("got %+v", r)
			}
			now = now.Add(r.Wait)
			if r.Wait > 0 && b.Take(who, now).Wait != 0 {
				t.Fatalf("a request that waited %s does not pass", r.Wait)
			}
			passed++
		}
		if refill := limit * now.Sub(noon).Milliseconds() / 60_000; limit <= 100 && passed > limit+refill+1 {
			t.Fatalf("%d requests passed within %s", passed, now.Sub(noon))
		}
		for left := min(b.Take(who, now).Remaining, 100); left > 0; left-- {
			if r := b.Take(who, now); r.Wait != 0 {
				t.Fatalf("a remaining request did not pass: %+v", r)
			}
		}
	})
}

func TestBucketsMayBeUsedConcurrently(t *testing.T) {
	t.Parallel()
	var b tenant.Buckets
	var mu sync.Mutex
	passed := make(map[string]int)
	var running sync.WaitGroup
	for range 8 {
		running.Go(func() {
			for n := range 2000 {
				id := fmt.Sprint(n % 200)
				if b.Take(limited(id, 30), noon).Wait == 0 {
					mu.Lock()
					passed[id]++
					mu.Unlock()
				}
			}
		})
	}
	running.Wait()
	for id, n := range passed {
		if n != 30 {
			t.Errorf("%d requests of tenant %s passed, want 30", n, id)
		}
	}
}
