package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
	"batchd/internal/webhook"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// post is what becomes of a call: how long it takes and how it ends. It ends early with its context.
type post func(d store.Delivery) (time.Duration, webhook.Answer)

// world is a sender over an outbox, with receivers that are a function.
type world struct {
	*outbox
	sender  *webhook.Sender
	metrics *prometheus.Registry
	// stop ends Run and waits for it.
	stop func()

	// mu guards following fields.
	mu       sync.Mutex
	inFlight map[string]int
	calls    map[string][]time.Time
}

// begin starts a sender in a bubble of fake time.
func begin(t *testing.T, p post) *world {
	t.Helper()
	w := &world{outbox: newOutbox(), metrics: prometheus.NewRegistry(), inFlight: map[string]int{}, calls: map[string][]time.Time{}}
	w.run(t, p)
	return w
}

// run starts a sender over the outbox as it is.
func (w *world) run(t *testing.T, p post) {
	t.Helper()
	w.sender = webhook.New(webhook.Options{
		Store: w.outbox, Now: time.Now, Logger: slog.New(slog.DiscardHandler), Registerer: w.metrics,
		Announces: func(dialect string, e batch.Event) bool { return dialect != "neosantara" || e != batch.EventExpired },
		Call: func(ctx context.Context, d store.Delivery) webhook.Answer {
			w.enter(t, d)
			defer w.leave(d)
			took, a := p(d)
			select {
			case <-ctx.Done():
				return webhook.Answer{Err: context.Cause(ctx)}
			case <-time.After(took):
				a.Took = took
				return a
			}
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.sender.Run(ctx) })
	w.stop = func() { cancel(); running.Wait() }
	t.Cleanup(w.stop)
}

func (w *world) enter(t *testing.T, d store.Delivery) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.inFlight[d.ID]++; w.inFlight[d.ID] > 1 {
		t.Errorf("%s is sent while it is being sent", d.ID)
	}
	w.calls[d.ID] = append(w.calls[d.ID], time.Now())
}

func (w *world) leave(d store.Delivery) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inFlight[d.ID]--
}

// callsOf returns when a delivery was attempted.
func (w *world) callsOf(id string) []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]time.Time(nil), w.calls[id]...)
}

// to returns a delivery whose event is now.
func to(id, host string) store.Delivery {
	return store.Delivery{
		ID: id, Tenant: "t", EventID: "evt_" + id, Event: batch.EventCompleted, Batch: "batch_" + id, Dialect: "openai",
		CreatedAt: time.Now(), Webhook: "we_" + host, URL: "https://" + host + "/hook", Secrets: []string{store.NewSecret()},
	}
}

func good(store.Delivery) (time.Duration, webhook.Answer) {
	return 50 * time.Millisecond, webhook.Answer{Status: 200}
}

func bad(store.Delivery) (time.Duration, webhook.Answer) {
	return 50 * time.Millisecond, webhook.Answer{Status: 500}
}

func TestAnEventIsSentAtOnceAndOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, good)
		synctest.Wait()
		w.put(to("1", "a.example"))
		w.sender.Wake()
		time.Sleep(100 * time.Millisecond)
		if d := w.state("1"); d.State != store.DeliveryDone || d.Attempts != 1 || d.LastStatus != 200 {
			t.Errorf("got %+v", d)
		}
		time.Sleep(time.Hour)
		if n := len(w.callsOf("1")); n != 1 {
			t.Errorf("it was sent %d times", n)
		}
	})
}

func TestAnEventThatNobodyToldOfIsFoundWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, good)
		time.Sleep(10500 * time.Millisecond)
		w.put(to("1", "a.example"))
		time.Sleep(1100 * time.Millisecond)
		if d := w.state("1"); d.State != store.DeliveryDone {
			t.Errorf("got %+v", d)
		}
	})
}

func TestWhatIsLeftInTheOutboxIsSentAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, good)
		w.stop()
		for i := range 1000 {
			w.put(to(fmt.Sprint(i), fmt.Sprintf("host%d.example", i%100)))
		}
		w.metrics = prometheus.NewRegistry()
		w.run(t, good)
		time.Sleep(3 * time.Second)
		if n := len(w.recorded()); n != 1000 {
			t.Errorf("%d of 1000 were sent", n)
		}
	})
}

func TestI30FailingReceiverIsTriedAgainForThreeDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, bad)
		began := time.Now()
		w.put(to("1", "a.example"))
		time.Sleep(100 * time.Hour)
		d, calls := w.state("1"), w.callsOf("1")
		if d.State != store.DeliveryAbandoned || d.Attempts != len(calls) || d.LastStatus != 500 {
			t.Errorf("got %+v after %d calls", d, len(calls))
		}
		if n := len(calls); n < 15 || n > 80 {
			t.Errorf("%d calls in three days", n)
		}
		for i, at := range calls {
			if late := at.Sub(began); late > 72*time.Hour+time.Second {
				t.Errorf("call %d came %s after the event", i, late)
			}
			if i > 0 && at.Sub(calls[i-1]) > 6*time.Hour+2*time.Second {
				t.Errorf("%s between call %d and the one before", at.Sub(calls[i-1]), i)
			}
		}
		if last := calls[len(calls)-1].Sub(began); last < 60*time.Hour {
			t.Errorf("given up after %s", last)
		}
	})
}

func TestAReceiverThatRecoversIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		well := time.Now().Add(24 * time.Hour)
		w := begin(t, func(d store.Delivery) (time.Duration, webhook.Answer) {
			if time.Now().Before(well) {
				return time.Second, webhook.Answer{Err: errors.New("connection refused")}
			}
			return good(d)
		})
		w.put(to("1", "a.example"))
		time.Sleep(23 * time.Hour)
		if d := w.state("1"); d.State != store.DeliveryPending || d.LastStatus != 0 || d.LastError != "connection refused" {
			t.Errorf("got %+v", d)
		}
		time.Sleep(8 * time.Hour)
		if d := w.state("1"); d.State != store.DeliveryDone || d.LastError != "" {
			t.Errorf("got %+v", d)
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, func(store.Delivery) (time.Duration, webhook.Answer) {
			return time.Second, webhook.Answer{Status: 429, RetryAfter: time.Hour}
		})
		w.put(to("1", "a.example"))
		time.Sleep(90 * time.Minute)
		calls := w.callsOf("1")
		if len(calls) != 2 || calls[1].Sub(calls[0]) < time.Hour {
			t.Errorf("called at %v", calls)
		}
	})
}

func TestGoneEndsADelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, func(store.Delivery) (time.Duration, webhook.Answer) { return 0, webhook.Answer{Status: 410} })
		w.put(to("1", "a.example"))
		time.Sleep(100 * time.Hour)
		if d := w.state("1"); d.State != store.DeliveryAbandoned || d.Attempts != 1 {
			t.Errorf("got %+v", d)
		}
	})
}

func TestGoneEndsWhatWaitsForTheSameWebhook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, func(store.Delivery) (time.Duration, webhook.Answer) { return time.Second, webhook.Answer{Status: 410} })
		for i := range 50 {
			d := to(fmt.Sprint(i), "a.example")
			d.Webhook, d.Named = "we_1", true
			if i == 49 {
				d.Webhook = "we_2" // at the same host, which is another webhook's affair
			}
			w.put(d)
		}
		time.Sleep(time.Hour)
		if n := len(w.recorded()); n != 2 || len(w.callsOf("49")) != 1 {
			t.Errorf("%d attempts, want one at each webhook", n)
		}
		for _, a := range w.recorded() {
			if !a.Gone {
				t.Errorf("the store is not told that the endpoint is gone: %+v", a)
			}
		}
	})
}

func TestWhatADeadProcessHadLeasedIsSentAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, good)
		w.stop()
		w.put(to("1", "a.example"))
		if _, err := w.LeaseDeliveries(t.Context(), time.Now(), time.Now().Add(time.Hour), 9); err != nil {
			t.Fatal(err)
		}
		w.metrics = prometheus.NewRegistry()
		w.run(t, good)
		time.Sleep(2 * time.Second)
		if d := w.state("1"); d.State != store.DeliveryDone {
			t.Errorf("got %+v", d)
		}
	})
}

func TestWhatAWrongClockHasPutOffIsSentWithinAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, good)
		d := to("1", "a.example")
		d.CreatedAt = time.Now().Add(10 * 365 * 24 * time.Hour)
		w.put(d)
		time.Sleep(62 * time.Second)
		if d := w.state("1"); d.State != store.DeliveryDone {
			t.Errorf("got %+v", d)
		}
	})
}

func TestAnEventThatTheDialectDoesNotAnnounceIsSkippedUnlessAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, good)
		expired := func(id string, change func(*store.Delivery)) {
			d := to(id, "a.example")
			d.Event, d.Dialect = batch.EventExpired, "neosantara"
			change(&d)
			w.put(d)
		}
		expired("unasked", func(*store.Delivery) {})
		expired("named", func(d *store.Delivery) { d.Named = true })
		expired("callback", func(d *store.Delivery) { d.Webhook = "" })
		expired("announced", func(d *store.Delivery) { d.Dialect = "openai" })
		expired("completed", func(d *store.Delivery) { d.Event = batch.EventCompleted })
		time.Sleep(2 * time.Second)
		if d := w.state("unasked"); d.State != store.DeliverySkipped || d.Attempts != 0 || len(w.callsOf("unasked")) > 0 {
			t.Errorf("unasked: got %+v", d)
		}
		for _, id := range []string{"named", "callback", "announced", "completed"} {
			if d := w.state(id); d.State != store.DeliveryDone {
				t.Errorf("%s: got %+v", id, d)
			}
		}
	})
}

func TestI30SlowReceiversHoldUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, func(d store.Delivery) (time.Duration, webhook.Answer) {
			if strings.Contains(d.URL, "slow") {
				return 15 * time.Second, webhook.Answer{Err: errors.New("no answer within 15s")}
			}
			return good(d)
		})
		for i := range 5000 {
			w.put(to(fmt.Sprint("slow", i), fmt.Sprintf("slow%d.example", i%10)))
		}
		for round := range 20 {
			time.Sleep(7 * time.Second)
			id := fmt.Sprint("quick", round)
			w.put(to(id, "quick.example"))
			w.sender.Wake()
			time.Sleep(2 * time.Second)
			if d := w.state(id); d.State != store.DeliveryDone {
				t.Errorf("round %d: still waiting after 2 s: %+v", round, d)
			}
		}
	})
}

func TestAnotherTenantsSlowReceiversHoldUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, func(d store.Delivery) (time.Duration, webhook.Answer) {
			if d.Tenant == "greedy" {
				return 15 * time.Second, webhook.Answer{Err: errors.New("no answer within 15s")}
			}
			return good(d)
		})
		for i := range 3000 {
			d := to(fmt.Sprint("slow", i), fmt.Sprintf("host%d.example", i))
			d.Tenant = "greedy"
			w.put(d)
		}
		time.Sleep(time.Second)
		w.put(to("1", "host1.example"))
		time.Sleep(2 * time.Second)
		if d := w.state("1"); d.State != store.DeliveryDone {
			t.Errorf("got %+v", d)
		}
	})
}

func TestALongBacklogOfOneReceiverIsSentAtItsPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, good)
		for i := range 3000 {
			w.put(to(fmt.Sprint(i), "a.example"))
		}
		time.Sleep(3 * time.Minute)
		if n := len(w.recorded()); n != 3000 {
			t.Errorf("%d of 3000 were sent in three minutes", n)
		}
	})
}

// enter fails the test if a delivery is sent twice at the same time.
func TestNothingIsSentWhileItIsBeingSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, func(store.Delivery) (time.Duration, webhook.Answer) {
			return 14 * time.Second, webhook.Answer{Status: 200} // slow, so that most of them wait past their leases
		})
		for i := range 300 {
			w.put(to(fmt.Sprint(i), "a.example"))
		}
		time.Sleep(3 * time.Hour)
		for i := range 300 {
			if n := len(w.callsOf(fmt.Sprint(i))); n != 1 {
				t.Errorf("%d was sent %d times", i, n)
			}
		}
	})
}

func TestStoppingCutsCallsOffAndCountsNothingAgainstTheReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, func(store.Delivery) (time.Duration, webhook.Answer) { return time.Hour, webhook.Answer{Status: 200} })
		w.put(to("1", "a.example"))
		time.Sleep(5 * time.Second)
		began := time.Now()
		w.stop()
		if took := time.Since(began); took > 0 || len(w.recorded()) > 0 {
			t.Errorf("stopping took %s and recorded %v", took, w.recorded())
		}
		w.metrics = prometheus.NewRegistry()
		w.run(t, good)
		time.Sleep(2 * time.Minute)
		if d := w.state("1"); d.State != store.DeliveryDone || d.Attempts != 1 || len(w.callsOf("1")) != 2 {
			t.Errorf("after a new start: %+v", d)
		}
	})
}

func TestABrokenStoreIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, good)
		w.setBroken(true)
		w.put(to("1", "a.example"))
		time.Sleep(time.Minute)
		w.setBroken(false)
		time.Sleep(2 * time.Second)
		if d := w.state("1"); d.State != store.DeliveryDone {
			t.Errorf("got %+v", d)
		}
	})
}

func TestAnOutcomeThatCannotBeStoredMeansSendingAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, func(store.Delivery) (time.Duration, webhook.Answer) {
			return 10 * time.Second, webhook.Answer{Status: 200}
		})
		w.put(to("1", "a.example"))
		time.Sleep(5 * time.Second)
		w.setBroken(true)
		time.Sleep(10 * time.Second)
		w.setBroken(false)
		time.Sleep(2 * time.Minute)
		if d := w.state("1"); d.State != store.DeliveryDone || len(w.callsOf("1")) != 2 {
			t.Errorf("got %+v after %d calls", d, len(w.callsOf("1")))
		}
	})
}

func TestAWebhookThatIsRemovedWhileItIsCalledIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, func(store.Delivery) (time.Duration, webhook.Answer) {
			return 10 * time.Second, webhook.Answer{Status: 500}
		})
		w.put(to("1", "a.example"))
		time.Sleep(5 * time.Second)
		w.remove("1")
		time.Sleep(24 * time.Hour)
		if n := len(w.callsOf("1")); n != 1 {
			t.Errorf("called %d times", n)
		}
	})
}

func TestAttemptsAreCountedByWhatTheyCameTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, func(d store.Delivery) (time.Duration, webhook.Answer) {
			switch {
			case strings.Contains(d.URL, "gone"):
				return 0, webhook.Answer{Status: 410}
			case strings.Contains(d.URL, "busy"):
				return 0, webhook.Answer{Status: 503, RetryAfter: time.Hour}
			}
			return good(d)
		})
		for i, host := range []string{"gone", "busy", "busy.two", "a", "b", "c"} {
			w.put(to(fmt.Sprint(i), host))
		}
		unasked := to("unasked", "a")
		unasked.Event, unasked.Dialect = batch.EventExpired, "neosantara"
		w.put(unasked)
		time.Sleep(2 * time.Second)
		const want = `
# HELP batchd_webhook_deliveries_total Attempts to deliver an event to a webhook by what they came to, and events skipped without one.
# TYPE batchd_webhook_deliveries_total counter
batchd_webhook_deliveries_total{result="abandoned"} 1
batchd_webhook_deliveries_total{result="delivered"} 3
batchd_webhook_deliveries_total{result="retried"} 2
batchd_webhook_deliveries_total{result="skipped"} 1
`
		if err := testutil.GatherAndCompare(w.metrics, strings.NewReader(want)); err != nil {
			t.Error(err)
		}
	})
}

func TestATestEventIsSignedAsAnyOther(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	w := store.Webhook{
		ID: webhook.NewID(), Tenant: "t", URL: "https://a.example", Secret: "s1", Previous: "s0", PreviousUntil: now.Add(time.Hour),
	}
	d := webhook.NewTest(w, now)
	want := store.Delivery{
		ID: d.ID, Tenant: "t", EventID: d.EventID, Event: batch.EventTest, Batch: w.ID, CreatedAt: now, Webhook: w.ID, Named: true,
		URL: w.URL, Secrets: []string{"s1", "s0"}, State: store.DeliveryPending,
	}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if later := webhook.NewTest(w, now.Add(time.Hour)); len(later.Secrets) != 1 || later.ID == d.ID || later.EventID == d.EventID {
		t.Errorf("after the overlap: %+v", later)
	}
}

func TestMintedSecretsAndIDsHaveTheirForm(t *testing.T) {
	t.Parallel()
	if s := store.NewSecret(); len(s) != len("whsec_")+44 || !strings.HasPrefix(s, "whsec_") || s == store.NewSecret() {
		t.Errorf("got secret %q", s)
	}
	if id := webhook.NewID(); len(id) != len("we_")+32 || !strings.HasPrefix(id, "we_") || id == webhook.NewID() {
		t.Errorf("got id %q", id)
	}
}
