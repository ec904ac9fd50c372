package webhook

import (
	"fmt"
	"testing"
	"time"

	"batchd/internal/store"

	"pgregory.net/rapid"
)

// leasedTo returns what add takes.
func leasedTo(tenant, host string, until time.Time) (store.Delivery, time.Time) {
	return store.Delivery{Tenant: tenant, URL: "https://" + host + "/hook"}, until
}

// take takes what may be sent, at most n.
func take(q *queue, n int) []leased {
	var taken []leased
	for len(taken) < n {
		d, ok := q.next()
		if !ok {
			break
		}
		taken = append(taken, d)
	}
	return taken
}

func TestReceiversTakeTurnsAndHaveOneCallUntilTheyAreKnownToBeWell(t *testing.T) {
	t.Parallel()
	q := newQueue(64)
	for range 100 {
		q.add(leasedTo("a", "one", time.Time{}))
	}
	q.add(leasedTo("a", "two", time.Time{}))
	q.add(leasedTo("b", "one", time.Time{}))
	if got, want := names(take(q, 100)), "[a/one a/two b/one]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	q.release(receiver{"a", "one"}, healthy)
	q.add(leasedTo("c", "one", time.Time{}))
	if got, want := names(take(q, 100)), "[a/one c/one a/one a/one a/one]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func names(taken []leased) string {
	var all []string
	for _, d := range taken {
		all = append(all, d.to.tenant+"/"+d.to.host)
	}
	return fmt.Sprint(all)
}

func TestATenantGetsHalfOfTheSlots(t *testing.T) {
	t.Parallel()
	q := newQueue(10)
	for i := range 20 {
		q.add(leasedTo("greedy", fmt.Sprint("host", i), time.Time{}))
	}
	if n := len(take(q, 100)); n != 5 {
		t.Errorf("one tenant got %d of 10 slots", n)
	}
	for i := range 20 {
		q.add(leasedTo("other", fmt.Sprint("host", i), time.Time{}))
	}
	if n := len(take(q, 100)); n != 5 {
		t.Errorf("the other got %d", n)
	}
}

func TestAnUnwellReceiverGetsOneCallAndLittleRoom(t *testing.T) {
	t.Parallel()
	q := newQueue(64)
	for range 100 {
		q.add(leasedTo("t", "h", time.Time{}))
	}
	for _, d := range take(q, 100) {
		q.release(d.to, unhealthy)
	}
	if q.held != waitingUnhealthy {
		t.Errorf("%d are held, want %d", q.held, waitingUnhealthy)
	}
	q.add(leasedTo("t", "h", time.Time{}))
	if q.held != waitingUnhealthy {
		t.Errorf("%d are held after one more", q.held)
	}
	taken := take(q, 100)
	if len(taken) != 1 {
		t.Errorf("%d calls, want 1", len(taken))
	}
	q.release(taken[0].to, healthy)
	if n := len(take(q, 100)); n != 3 {
		t.Errorf("%d calls after a success, want the 3 that wait", n)
	}
}

func TestWhatWaitsPastItsLeaseIsDropped(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	q := newQueue(64)
	q.add(leasedTo("t", "h", now))
	q.add(leasedTo("t", "h", now.Add(time.Second)))
	q.add(leasedTo("t", "other", now))
	q.drop(now.Add(time.Millisecond))
	if taken := take(q, 100); len(taken) != 1 || !taken[0].until.After(now) {
		t.Errorf("got %v", taken)
	}
	if q.held != 1 || len(q.lanes) != 1 || len(q.turns) != 1 {
		t.Errorf("%d are held in %d lanes with %d turns, want 1 each", q.held, len(q.lanes), len(q.turns))
	}
}

// Whatever happens, no limit is passed, the sums agree with what there is, and nothing is left when all is done.
func TestQueueKeepsItsLimits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		q := newQueue(rapid.IntRange(1, 12).Draw(t, "slots"))
		var running []leased
		now := time.Unix(0, 0)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				host := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "host")
				tenant := rapid.SampledFrom([]string{"t", "u"}).Draw(t, "tenant")
				for range rapid.IntRange(1, 20).Draw(t, "n") {
					q.add(leasedTo(tenant, host, now.Add(time.Minute)))
				}
			},
			"next": func(*rapid.T) { running = append(running, take(q, 3)...) },
			"leave": func(t *rapid.T) {
				if len(running) > 0 {
					q.release(running[0].to, rapid.SampledFrom([]health{unknown, healthy, unhealthy}).Draw(t, "health"))
					running = running[1:]
				}
			},
			"drop": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "seconds")) * time.Second)
				q.drop(now)
			},
			"": func(t *rapid.T) { checkQueue(t, q, running) },
		})
		for _, d := range running {
			q.release(d.to, healthy)
		}
		q.drop(now.Add(time.Hour))
		if q.held != 0 || q.running != 0 || len(q.lanes) != 0 || len(q.turns) != 0 || len(q.calls) != 0 {
			t.Fatalf("left over: %+v", q)
		}
	})
}

func checkQueue(t *rapid.T, q *queue, running []leased) {
	waiting, calls, tenants := 0, 0, map[string]int{}
	for to, l := range q.lanes {
		waiting += len(l.waiting)
		calls += l.running
		tenants[to.tenant] += l.running
		if l.running > callsHealthy || len(l.waiting) > waitingEach || l.empty() {
			t.Fatalf("%v has %d calls and %d that wait", to, l.running, len(l.waiting))
		}
	}
	for tenant, n := range tenants {
		if n != q.calls[tenant] || n > max(1, q.slots/2) {
			t.Fatalf("tenant %s has %d calls, counted %d", tenant, n, q.calls[tenant])
		}
	}
	if calls != len(running) || calls != q.running || calls > q.slots || waiting+calls != q.held || len(q.turns) != len(q.lanes) {
		t.Fatalf("%d calls of %d wait with %d: %+v", calls, len(running), waiting, q)
	}
}
