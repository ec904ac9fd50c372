package dispatch_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"batchd/internal/batch"
	"batchd/internal/dispatch"
	"batchd/internal/limit"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// after is an upstream that serves each call after a while.
func after(d time.Duration) func(context.Context, dispatch.Call) dispatch.Answer {
	return func(ctx context.Context, _ dispatch.Call) dispatch.Answer {
		select {
		case <-ctx.Done():
			return dispatch.Answer{Signal: limit.Signal{Kind: limit.Abandoned}}
		case <-time.After(d):
			return served()
		}
	}
}

func noRoom(retryAfter time.Duration) dispatch.Answer {
	return dispatch.Answer{Signal: limit.Signal{Kind: limit.NoRoom, Status: 429, RetryAfter: retryAfter}, Cause: "status_429"}
}

func lost() dispatch.Answer {
	return dispatch.Answer{
		Signal: limit.Signal{Kind: limit.Broken, Lost: true}, Cause: "reset",
		Outcome: batch.Outcome{Code: batch.CodeUpstreamUnreachable},
	}
}

func TestEveryLineIsCalledOnceAndPermitsAreKeptBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, &upstreamFunc{name: "a", limit: 10, answer: after(time.Second)})
		start := time.Now()
		w.add("b", fakeUnitSpec{"m", 60}, fakeUnitSpec{"m", 40})
		w.wait("b")
		if got := time.Since(start); got != 10*time.Second {
			t.Errorf("100 calls of 1 s with 10 permits took %s, want 10 s", got)
		}
		for key, n := range w.callsOf() {
			if n != 1 {
				t.Errorf("line %s was called %d times", key, n)
			}
		}
		if got := len(w.result("b")); got != 100 {
			t.Errorf("got %d outcomes, want 100", got)
		}
	})
}

func TestSmallBatchIsNotHeldUpByABigOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, &upstreamFunc{name: "a", limit: 10, answer: after(time.Second)})
		w.add("big", fakeUnitSpec{"m", 500}, fakeUnitSpec{"m", 500})
		time.Sleep(5500 * time.Millisecond)
		start := time.Now()
		w.add("small", fakeUnitSpec{"m", 10})
		w.wait("small")
		if got := time.Since(start); got > 4*time.Second {
			t.Errorf("10 lines beside 1,000 took %s, want a fair share of the permits: at most 4 s", got)
		}
		w.wait("big")
	})
}

func TestUpstreamsShareTheLoadByFreePermitsAndByModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fast, slow, other atomic.Int64
		count := func(n *atomic.Int64, d time.Duration) func(context.Context, dispatch.Call) dispatch.Answer {
			answer := after(d)
			return func(ctx context.Context, c dispatch.Call) dispatch.Answer {
				n.Add(1)
				return answer(ctx, c)
			}
		}
		w := newWorld(t, nil,
			&upstreamFunc{name: "fast", limit: 4, models: []string{"m"}, answer: count(&fast, time.Second)},
			&upstreamFunc{name: "slow", limit: 4, models: []string{"m"}, answer: count(&slow, 3*time.Second)},
			&upstreamFunc{name: "other", limit: 4, models: []string{"n"}, answer: count(&other, time.Second)})
		w.add("b", fakeUnitSpec{"m", 160}, fakeUnitSpec{"n", 20})
		w.wait("b")
		if other.Load() != 20 {
			t.Errorf("upstream of model n got %d calls, want its 20 lines", other.Load())
		}
		if ratio := float64(fast.Load()) / float64(slow.Load()); ratio < 2.5 || ratio > 3.5 {
			t.Errorf("three times as fast an upstream got %.1f times the calls (%d and %d)", ratio, fast.Load(), slow.Load())
		}
	})
}

func TestAnUpstreamDoesNotWaitForTheModelsBeforeItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil,
			&upstreamFunc{name: "a", limit: 2, models: []string{"a"}, answer: after(time.Second)},
			&upstreamFunc{name: "b", limit: 2, models: []string{"b"}, answer: after(time.Second)})
		var units []fakeUnitSpec
		for range 100 {
			units = append(units, fakeUnitSpec{"a", 10})
		}
		units = append(units, fakeUnitSpec{"b", 500}, fakeUnitSpec{"b", 500})
		start := time.Now()
		w.add("x", units...)
		w.wait("x")
		if took := time.Since(start); took > 510*time.Second {
			t.Errorf("1,000 lines for each of two upstreams took %s, want both to work all the time: 500 s", took)
		}
	})
}

func TestU01RefusalsCostNoAttemptAndTheUpstreamIsNotHammered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := time.Now().Add(10 * time.Minute)
		w := newWorld(t, nil, &upstreamFunc{name: "a", limit: 8, answer: func(context.Context, dispatch.Call) dispatch.Answer {
			if time.Now().Before(up) {
				return noRoom(0)
			}
			return served()
		}})
		w.add("b", fakeUnitSpec{"m", 50})
		w.wait("b")
		during := 0
		for _, c := range w.calls {
			if c.at.Before(up) {
				during++
			}
		}
		if during > 40 {
			t.Errorf("%d calls in 10 minutes of outage, want at most 40", during)
		}
		if waited := time.Since(up); waited > 2*time.Minute {
			t.Errorf("took %s after the upstream came back, want at most 2 minutes", waited)
		}
		for n, o := range w.result("b") {
			if o.Status != 200 {
				t.Errorf("line %d: status %d, want 200", n, o.Status)
			}
		}
	})
}

func TestU13RetryAfterIsThePauseOfTheLineThatGotIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		w := newWorld(t, nil, &upstreamFunc{name: "a", limit: 4, answer: func(context.Context, dispatch.Call) dispatch.Answer {
			if calls.Add(1) == 1 {
				return noRoom(30 * time.Second)
			}
			return served()
		}})
		start := time.Now()
		w.add("b", fakeUnitSpec{"m", 100})
		time.Sleep(time.Second)
		synctest.Wait()
		if got := len(w.result("b")); got != 99 {
			t.Errorf("%d lines done after 1 s, want all but the one that was told to wait", got)
		}
		w.wait("b")
		if got := time.Since(start); got < 30*time.Second || got > 31*time.Second {
			t.Errorf("took %s, want a pause of the 30 s that were asked for", got)
		}
	})
}

func TestU14RefusedForEverMakesLessThanOneCallASecondAndEndsByStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, &upstreamFunc{name: "a", limit: 64, answer: func(context.Context, dispatch.Call) dispatch.Answer { return noRoom(0) }})
		w.add("b", fakeUnitSpec{"m", 1000}, fakeUnitSpec{"m", 1000})
		time.Sleep(time.Hour)
		w.d.Stop("b", batch.StopExpire)
		w.wait("b")
		if n := len(w.calls); n > 3600 {
			t.Errorf("%d calls in an hour, want less than one a second", n)
		}
		for n, o := range w.result("b") {
			if o.Code != batch.CodeExpired {
				t.Fatalf("line %d: code %q, want batch_expired", n, o.Code)
			}
		}
		if got := len(w.result("b")); got != 2000 {
			t.Errorf("got %d outcomes, want 2000", got)
		}
	})
}

func TestU15AFailingLineIsTriedFiveTimesAndOthersAreUnaffected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, &upstreamFunc{name: "a", limit: 4, answer: func(_ context.Context, c dispatch.Call) dispatch.Answer {
			if c.Key == "b-7" {
				return dispatch.Answer{
					Signal: limit.Signal{Kind: limit.Broken, Status: 500}, Cause: "status_500",
					Outcome: batch.Outcome{Status: 500, Body: batch.MemoryBody(`{"error":"x"}`)},
				}
			}
			return served()
		}})
		w.add("b", fakeUnitSpec{"m", 100})
		w.wait("b")
		for key, n := range w.callsOf() {
			want := 1
			if key == "b-7" {
				want = 5
			}
			if n != want {
				t.Errorf("line %s was called %d times, want %d", key, n, want)
			}
		}
		if got := w.result("b")[7].Status; got != 500 {
			t.Errorf("line 7: status %d, want the last answer's 500", got)
		}
		if got := testutil.ToFloat64(mustCounter(t, w, "batchd_upstream_repeats_total")); got != 4 {
			t.Errorf("repeats counted: %v, want 4", got)
		}
	})
}

func TestU16ALineThatCrashesItsServerIsNamedAndInnocentLinesAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		crash := make(chan struct{})
		downUntil := time.Time{}
		w := newWorld(t, nil, &upstreamFunc{name: "a", limit: 16, answer: func(ctx context.Context, c dispatch.Call) dispatch.Answer {
			mu.Lock()
			now, mine := time.Now(), crash
			if now.Before(downUntil) {
				mu.Unlock()
				return noRoom(0)
			}
			mu.Unlock()
			if c.Key == "b-500" {
				time.Sleep(50 * time.Millisecond)
				mu.Lock()
				close(crash)
				crash = make(chan struct{})
				downUntil = time.Now().Add(20 * time.Second)
				mu.Unlock()
				return lost()
			}
			select {
			case <-mine:
				return lost()
			case <-time.After(100 * time.Millisecond):
				return served()
			}
		}})
		w.add("b", fakeUnitSpec{"m", 1000}, fakeUnitSpec{"m", 1000})
		w.wait("b")
		for n, o := range w.result("b") {
			if n == 500 && o.Code != batch.CodePoisonRequest {
				t.Errorf("line 500: %+v, want poison_request", o)
			}
			if n != 500 && o.Status != 200 {
				t.Errorf("innocent line %d: %+v, want its answer", n, o)
			}
		}
		// Five tries count against it; one that breaks beside another suspect is put down to that one.
		if n := w.callsOf()["b-500"]; n < 5 || n > 7 {
			t.Errorf("the crashing line was called %d times, want 5 that count and at most two beside other suspects", n)
		}
	})
}

func TestU17DeniedCredentialsCloseTheGateAndItOpensByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fixed := time.Now().Add(5 * time.Minute)
		w := newWorld(t, nil, &upstreamFunc{name: "a", limit: 8, answer: func(context.Context, dispatch.Call) dispatch.Answer {
			if time.Now().Before(fixed) {
				return dispatch.Answer{Signal: limit.Signal{Kind: limit.Denied, Status: 401, Reason: limit.ReasonDenied}, Cause: "status_401"}
			}
			return served()
		}})
		w.add("b", fakeUnitSpec{"m", 200})
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := w.d.Upstreams()[0].Gates[0]; !s.Closed || s.Condition.Reason != limit.ReasonDenied {
			t.Errorf("target state while denied: %+v", s)
		}
		w.wait("b")
		if n := len(w.calls) - 200; n > 20+8+15 {
			t.Errorf("%d calls were refused in 5 minutes, want at most 20 and those in flight, and then pauses that grow to 30 s", n)
		}
		if s := w.d.Upstreams()[0].Gates[0]; s.Closed || s.Condition.Reason != "" {
			t.Errorf("target state afterwards: %+v", s)
		}
	})
}

func TestD8StopStartsNoNewCallAndEndsThoseInFlightAfterTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, &upstreamFunc{name: "a", limit: 4, answer: func(ctx context.Context, c dispatch.Call) dispatch.Answer {
			switch c.Key {
			case "b-1", "b-2": // done within the grace
				return after(30*time.Second)(ctx, c)
			default:
				return after(time.Hour)(ctx, c)
			}
		}})
		w.add("b", fakeUnitSpec{"m", 3}, fakeUnitSpec{"m", 3}, fakeUnitSpec{"m", 3}, fakeUnitSpec{"m", 3})
		time.Sleep(time.Second)
		w.d.Stop("b", batch.StopCancel)
		start := time.Now()
		w.wait("b")
		if got := time.Since(start); got != time.Minute {
			t.Errorf("ready %s after the stop, want the grace of 1 minute", got)
		}
		if n := len(w.calls); n != 4 {
			t.Errorf("%d calls in all, want the 4 that were in flight", n)
		}
		for n, o := range w.result("b") {
			if n <= 2 && o.Status != 200 {
				t.Errorf("line %d ended within the grace: %+v, want its answer", n, o)
			}
			if n > 2 && o.Code != batch.CodeCancelled {
				t.Errorf("line %d: %+v, want batch_cancelled", n, o)
			}
			want := "" // the stop's own words
			if w.callsOf()[fmt.Sprint("b-", n)] > 0 {
				want = batch.CodeCancelled.MessageInFlight()
			}
			if o.Message != want && n > 2 {
				t.Errorf("line %d says %q, want %q", n, o.Message, want)
			}
		}
	})
}

func TestAResultTheDiskDoesNotTakeIsWrittenAgainUntilItDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, &upstreamFunc{name: "a", limit: 2, answer: after(time.Second)})
		b := batch.UnitID{Batch: "b", Ordinal: 0}
		w.add("b", fakeUnitSpec{"m", 4})
		w.mu.Lock()
		w.units[b].refuse = 5
		w.mu.Unlock()
		time.Sleep(1500 * time.Millisecond)
		why := w.d.WaitingFor("b")
		if i := slices.IndexFunc(why, func(w dispatch.Waiting) bool { return w.Detail == limit.DetailUnwritable }); i < 0 || why[i].Reason != limit.ReasonDisk || why[i].Lines != 2 {
			t.Errorf("the batch waits for %+v, want for the disk to take two results", why)
		}
		if _, waits := w.d.Unwritten(); !waits {
			t.Error("nothing tells that the disk takes no results")
		}
		w.wait("b")
		if since, waits := w.d.Unwritten(); waits {
			t.Errorf("results still wait since %s", since)
		}
		for key, n := range w.callsOf() {
			if n != 1 {
				t.Errorf("line %s was called %d times: a paid answer must not be thrown away", key, n)
			}
		}
	})
}

func TestCallsInFlightAreBoundedByTheirBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		answer := after(time.Second)
		w := newWorld(t, func(o *dispatch.Options) { o.MaxBytes = 3 * (64*batch.KiB + 100) },
			&upstreamFunc{name: "a", limit: 50, answer: func(ctx context.Context, c dispatch.Call) dispatch.Answer {
				if n := now.Add(1); n > most.Load() {
					most.Store(n)
				}
				defer now.Add(-1)
				return answer(ctx, c)
			}})
		w.add("b", fakeUnitSpec{"m", 30})
		w.wait("b")
		if most.Load() != 3 {
			t.Errorf("%d calls in flight at most, want the 3 that the memory allows", most.Load())
		}
	})
}

func TestShutdownWaitsForCallsInFlightThenEndsThem(t *testing.T) {
	for name, c := range map[string]struct{ takes, grace, want time.Duration }{
		"calls end in time":    {takes: 5 * time.Second, grace: 20 * time.Second, want: 4 * time.Second},
		"calls outlive it all": {takes: time.Hour, grace: 20 * time.Second, want: 20 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, nil)
			d := dispatch.New(w.options(&upstreamFunc{name: "a", limit: 4, answer: after(c.takes), world: w}))
			w.d = d
			ctx, cancel := context.WithCancel(t.Context())
			drain := make(chan struct{})
			done := make(chan struct{})
			go func() { d.Run(ctx, drain); close(done) }() // joined below
			w.add("b", fakeUnitSpec{"m", 100})
			time.Sleep(time.Second)
			start := time.Now()
			cancel()
			time.AfterFunc(c.grace, func() { close(drain) })
			<-done
			if got := time.Since(start); got != c.want {
				t.Errorf("%s: shutdown took %s, want %s", name, got, c.want)
			}
			if n := len(w.calls); n != 4 {
				t.Errorf("%s: %d calls, want the 4 that were in flight", name, n)
			}
		})
	}
}

func TestManyBatchesAtOnceAllGetReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, &upstreamFunc{name: "a", limit: 16, answer: after(10 * time.Millisecond)})
		for i := range 90 {
			w.add(fmt.Sprintf("b%d", i), fakeUnitSpec{"m", 7}, fakeUnitSpec{"m", 5})
		}
		for range 90 {
			<-w.ready
		}
		for i := range 90 {
			if got := len(w.result(fmt.Sprintf("b%d", i))); got != 12 {
				t.Errorf("batch %d has %d outcomes, want 12", i, got)
			}
		}
	})
}

func TestStoppedBatchIsSettledHoweverLongThatTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *dispatch.Options) { o.CancelGrace = time.Second },
			&upstreamFunc{name: "a", limit: 4, answer: after(time.Hour)})
		w.settling = 10 * time.Second
		var units []fakeUnitSpec
		for range 200 {
			units = append(units, fakeUnitSpec{"m", 5})
		}
		w.add("b", units...)
		time.Sleep(time.Second)
		w.d.Stop("b", batch.StopCancel)
		w.wait("b")
		if got := len(w.result("b")); got != 1000 {
			t.Errorf("%d of 1,000 lines have an outcome", got)
		}
	})
}

func TestWithoutAGraceTheCallsOfAStoppedBatchEndAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *dispatch.Options) { o.CancelGrace = 0 },
			&upstreamFunc{name: "a", limit: 4, answer: after(time.Hour)})
		w.add("b", fakeUnitSpec{"m", 5})
		time.Sleep(time.Second)
		stopped := time.Now()
		w.d.Stop("b", batch.StopCancel)
		w.wait("b")
		if took := time.Since(stopped); took > time.Second {
			t.Errorf("it took %s, want no wait for the calls", took)
		}
	})
}

// TestNoLineIsForgottenHoweverTriesFail drives many small batches through upstreams that fail at random. Were a
// wake-up lost, a batch would hang, and fake time would tell at once.
func TestNoLineIsForgottenHoweverTriesFail(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			var mu sync.Mutex
			roll := func(n int) int { mu.Lock(); defer mu.Unlock(); return rng.IntN(n) }
			flaky := func(context.Context, dispatch.Call) dispatch.Answer {
				time.Sleep(time.Duration(roll(400)) * time.Millisecond)
				switch roll(8) {
				case 0:
					return noRoom(time.Duration(roll(3)) * time.Second)
				case 1:
					return lost()
				case 2:
					return dispatch.Answer{Signal: limit.Signal{Kind: limit.Broken, Status: 500}, Cause: "status_500", Outcome: batch.Outcome{Status: 500}}
				default:
					return served()
				}
			}
			w := newWorld(t, nil,
				&upstreamFunc{name: "a", limit: 1 + roll(4), models: []string{"m", "n"}, answer: flaky},
				&upstreamFunc{name: "b", limit: 1 + roll(4), models: []string{"n"}, answer: flaky})
			const batches = 6
			start := time.Now()
			for i := range batches {
				w.add(fmt.Sprint("b", i), fakeUnitSpec{"m", 1 + roll(9)}, fakeUnitSpec{"n", 1 + roll(9)})
			}
			for range batches {
				<-w.ready
			}
			if took := time.Since(start); took > time.Hour {
				t.Errorf("seed %d: %s for a hundred lines", seed, took)
			}
		})
	}
}

func TestSealWithAnUnknownResultDoesNotKeepTheBatchOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, &upstreamFunc{name: "a", limit: 4, answer: after(time.Second)})
		w.add("b", fakeUnitSpec{"m", 4}, fakeUnitSpec{"m", 4})
		w.mu.Lock()
		for _, u := range w.units {
			u.unknown = true
		}
		w.mu.Unlock()
		w.wait("b")
		if got := len(w.result("b")); got != 8 {
			t.Errorf("%d of 8 lines have an outcome", got)
		}
	})
}
