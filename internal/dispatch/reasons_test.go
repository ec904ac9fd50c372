package dispatch_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"batchd/internal/batch"
	"batchd/internal/dispatch"
	"batchd/internal/limit"
	"batchd/internal/store"

	"github.com/google/go-cmp/cmp"
)

// refusing answers every call alike until it is told otherwise, and then serves.
type refusing struct {
	mu     sync.Mutex
	signal limit.Signal
	good   bool
}

// turn changes what it answers.
func (r *refusing) turn(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

func (r *refusing) answer(context.Context, dispatch.Call) dispatch.Answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.good {
		return served()
	}
	return dispatch.Answer{Signal: r.signal, Cause: "refused"}
}

// quota is how an upstream answers whose customer's money is used up.
func quota() *refusing {
	return &refusing{signal: limit.Signal{
		Kind: limit.NoRoom, Reason: limit.ReasonAccount, Status: 429, Code: "insufficient_quota", Message: "You exceeded your current quota",
	}}
}

func TestWhatWaitsHasAReasonWithTheUpstreamsWordsForItsOwnBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		w := newWorld(t, nil, &upstreamFunc{name: "a", limit: 8, answer: quota().answer})
		w.add("b", fakeUnitSpec{"m", 1000}, fakeUnitSpec{"m", 1000}, fakeUnitSpec{"m", 1000}, fakeUnitSpec{"m", 1000})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		all := w.d.WaitingFor("b")
		if len(all) != 1 || all[0].Next.Before(time.Now()) || all[0].Since.Sub(begin) > time.Second {
			t.Fatalf("waiting for %+v", all)
		}
		all[0].Since, all[0].Next = time.Time{}, time.Time{}
		want := dispatch.Waiting{Upstream: "a", Target: 1, Model: "m", Lines: 4000, Own: true, Condition: limit.Condition{
			Reason: limit.ReasonAccount, Status: 429, Code: "insufficient_quota", Message: "You exceeded your current quota", Batch: "b",
		}}
		if diff := cmp.Diff(want, all[0]); diff != "" {
			t.Errorf("waiting (-want +got):\n%s", diff)
		}
		if w.d.WaitingFor("another") != nil {
			t.Error("a batch that is not there waits")
		}
	})
}

func TestABatchThatOnlyWaitsBehindAnothersRefusalHasNoWordsOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, &upstreamFunc{name: "a", limit: 8, answer: (&refusing{signal: limit.Signal{
			Kind: limit.Denied, Reason: limit.ReasonDenied, Status: 401, Message: "no such key", RetryAfter: time.Hour,
		}}).answer})
		w.add("b", fakeUnitSpec{"m", 100})
		time.Sleep(time.Minute)
		w.add("c", fakeUnitSpec{"m", 10})
		time.Sleep(time.Minute)
		synctest.Wait()
		for id, own := range map[string]bool{"b": true, "c": false} {
			if all := w.d.WaitingFor(id); len(all) != 1 || all[0].Own != own || all[0].Reason != limit.ReasonDenied {
				t.Errorf("batch %s waits for %+v, want one reason, its own: %t", id, all, own)
			}
		}
	})
}

func TestLinesBesideAFreePermitWaitForTheirTurnOrAPermit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := func(ctx context.Context, _ dispatch.Call) dispatch.Answer {
			<-ctx.Done()
			return dispatch.Answer{Signal: limit.Signal{Kind: limit.Abandoned}}
		}
		w := newWorld(t, nil, &upstreamFunc{name: "a", limit: 4, answer: hang})
		w.add("b", fakeUnitSpec{"m", 100})
		synctest.Wait()
		w.add("c", fakeUnitSpec{"m", 50})
		synctest.Wait()
		got := map[string]int{}
		for _, id := range []string{"b", "c"} {
			for _, wait := range w.d.WaitingFor(id) {
				got[id+" "+string(wait.Reason)] = wait.Lines
			}
		}
		s := w.d.Upstreams()[0]
		if diff := cmp.Diff(map[string]int{"b concurrency": 96, "c waiting_turn": 50}, got); diff != "" || s.InFlight != 4 || s.Gates[0].Waiting != 146 {
			t.Errorf("waiting (-want +got):\n%s\nupstream %+v: calls that hang are in flight", diff, s)
		}
	})
}

func TestUpstreamsTellWhatOfEachTenantWaitsAndWhetherTheyEverWorked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := &refusing{signal: limit.Signal{Kind: limit.Denied, Reason: limit.ReasonDenied, Status: 401}}
		w := newWorld(t, nil, &upstreamFunc{name: "a", limit: 8, answer: key.answer})
		w.add("b", fakeUnitSpec{"m", 30})
		time.Sleep(time.Second)
		synctest.Wait()
		s := w.d.Upstreams()[0]
		if s.Refused.Status != 401 || s.Gates[0].WaitingOf[""] != 30 {
			t.Errorf("an upstream that refused every call: %+v", s)
		}
		key.turn(func() { key.good = true })
		w.wait("b")
		if s := w.d.Upstreams()[0]; s.Refused.Reason != "" || s.Gates[0].Waiting != 0 {
			t.Errorf("an upstream that has served: %+v", s)
		}
	})
}

func TestUnitsThatCannotBeOpenedAndAFullDiskAreReasons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var roomy atomic.Bool
		w := newWorld(t, func(o *dispatch.Options) { o.MayLease = func() bool { return roomy.Load() } }, &upstreamFunc{name: "a", limit: 4, answer: (&refusing{good: true}).answer})
		b := batch.Batch{ID: "b", Models: []string{"m"}, Units: 2, Counts: batch.Counts{Total: 2000}, Stop: batch.StopNone}
		w.pending["b"] = []batch.Unit{{UnitID: batch.UnitID{Batch: "b"}}, {UnitID: batch.UnitID{Batch: "b", Ordinal: 1}}}
		w.d.Add(b, broken{}, nil)
		synctest.Wait()
		want := func(reason limit.Reason, message string) {
			t.Helper()
			all := w.d.WaitingFor("b")
			if len(all) != 1 || all[0].Reason != reason || all[0].Lines != 2000 || all[0].Message != message || all[0].Own {
				t.Errorf("waiting for %+v, want %s", all, reason)
			}
		}
		want(limit.ReasonDisk, "")
		roomy.Store(true)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		want(limit.ReasonBlobUnreadable, "input is elsewhere")
		w.d.Stop("b", batch.StopCancel)
		if all := w.d.WaitingFor("b"); all != nil {
			t.Errorf("a stopped batch waits for %+v", all)
		}
	})
}

// broken is a batch whose units cannot be opened.
type broken struct{}

func (broken) Open(context.Context, batch.Unit) (dispatch.Unit, error) { return nil, errElsewhere }

func (broken) Settle(context.Context, []batch.Unit, batch.Stop) (store.SealResult, error) {
	return store.SealResult{Ready: true}, nil
}

var errElsewhere = errorString("input is elsewhere")

type errorString string

func (e errorString) Error() string { return string(e) }

func TestAReasonIsLoggedOnceWhenItBeginsChangesAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		up := quota()
		w := newWorld(t, func(o *dispatch.Options) {
			o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey || a.Key == "after" {
					return slog.Attr{}
				}
				return a
			}}))
		}, &upstreamFunc{name: "gpu:8000/v1", limit: 8, answer: up.answer})
		w.add("b", fakeUnitSpec{"m", 200})
		time.Sleep(time.Minute)
		synctest.Wait()
		up.turn(func() {
			up.signal = limit.Signal{Kind: limit.Unreachable, Reason: limit.ReasonUnreachable, Detail: "refused"}
		})
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		up.turn(func() { up.good = true })
		w.wait("b")
		want := []string{
			`level=ERROR msg="upstream keeps lines waiting" upstream=gpu:8000/v1 model=m reason=account status=429 code=insufficient_quota answer="You exceeded your current quota"`,
			`level=WARN msg="upstream keeps lines waiting" upstream=gpu:8000/v1 reason=unreachable detail=refused`,
			`level=INFO msg="upstream takes calls again" upstream=gpu:8000/v1 reason=unreachable`,
			`level=INFO msg="upstream takes calls again" upstream=gpu:8000/v1 model=m reason=account`,
		}
		log.mu.Lock()
		defer log.mu.Unlock()
		if diff := cmp.Diff(want, log.all); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
	})
}

// lines is a log kept as lines.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, strings.TrimSpace(string(p)))
	return len(p), nil
}

func TestTheLastLineAtADeadUpstreamIsToldAndNothingOnceItIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		w := newWorld(t, func(o *dispatch.Options) {
			o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		}, &upstreamFunc{name: "gpu", limit: 8, answer: func(context.Context, dispatch.Call) dispatch.Answer {
			return dispatch.Answer{Cause: "unreachable", Signal: limit.Signal{Kind: limit.Unreachable, Reason: limit.ReasonUnreachable, Detail: "refused"}}
		}})
		w.add("b", fakeUnitSpec{"m", 1})
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if c := w.d.Upstreams()[0].Gates[0].Condition; c.Reason != limit.ReasonUnreachable || c.Detail != "refused" {
			t.Errorf("one line waits and the gate tells %+v", c)
		}
		w.d.Stop("b", batch.StopCancel)
		w.wait("b")
		if c := w.d.Upstreams()[0].Gates[0].Condition; c.Reason != "" {
			t.Errorf("nothing waits and the gate tells %+v", c)
		}
		if len(log.all) != 2 || !strings.Contains(log.all[1], "nothing waits for the upstream any more") {
			t.Errorf("the log has %q, want the begin and the end", log.all)
		}
	})
}

func TestCallsThatBreakOffInManyWaysAreOneReasonToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		var calls atomic.Int64
		w := newWorld(t, func(o *dispatch.Options) {
			o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		}, &upstreamFunc{name: "gpu", limit: 8, answer: func(context.Context, dispatch.Call) dispatch.Answer {
			detail := []string{"reset", "timeout", "truncated"}[calls.Add(1)%3]
			return dispatch.Answer{Cause: detail, Signal: limit.Signal{Kind: limit.Broken, Reason: limit.ReasonFailing, Detail: detail}}
		}})
		begin := time.Now()
		w.add("b", fakeUnitSpec{"m", 200})
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		c := w.d.Upstreams()[0].Gates[0].Condition
		if c.Reason != limit.ReasonFailing || c.Detail == "" || c.Since.Sub(begin) > time.Second {
			t.Errorf("the gate tells %+v, want failing in some way since %v", c, begin)
		}
		log.mu.Lock()
		if len(log.all) != 1 || !strings.Contains(log.all[0], "reason=failing detail=") {
			t.Errorf("the log has %q, want one line", log.all)
		}
		log.mu.Unlock()
		w.d.Stop("b", batch.StopExpire)
		w.wait("b")
		for n, o := range w.result("b") {
			if words, want := o.Message, batch.CodeExpired.Message()+" The last try ended with: "; words != "" && !strings.HasPrefix(words, want) || strings.Contains(words, "failing") {
				t.Errorf("line %d says %q, want %q in front", n, words, want)
			}
		}
	})
}

func TestBadLinesAmongGoodOnesDoNotFloodTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		w := newWorld(t, func(o *dispatch.Options) {
			o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		}, &upstreamFunc{name: "gpu", limit: 16, answer: func(_ context.Context, c dispatch.Call) dispatch.Answer {
			time.Sleep(20 * time.Millisecond)
			if strings.HasSuffix(c.Key, "1") || strings.HasSuffix(c.Key, "6") {
				return dispatch.Answer{
					Cause: "status_403", Signal: limit.Signal{Kind: limit.Denied, Status: 403, Reason: limit.ReasonDenied, Message: "flagged"},
					Outcome: batch.Outcome{Status: 403, Body: batch.MemoryBody(`{}`)},
				}
			}
			return served()
		}})
		w.add("b", fakeUnitSpec{"m", 1000}, fakeUnitSpec{"m", 1000})
		w.wait("b")
		if len(log.all) > 4 {
			t.Errorf("%d lines for a fifth of bad ones: %q", len(log.all), log.all[:4])
		}
	})
}
