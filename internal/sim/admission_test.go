package sim_test

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"batchd/internal/sim"
)

// inBubble serves an engine over an in-memory network inside a synctest bubble and hands the test a client of it.
func inBubble(t *testing.T, opts sim.Options, test func(t *testing.T, e *sim.Engine, client *http.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t, opts)
		network := sim.NewNetwork()
		srv := &http.Server{Handler: e}
		transport := &http.Transport{DialContext: network.DialContext, MaxIdleConnsPerHost: 1000}
		running, stop := context.WithCancel(t.Context())
		var serving sync.WaitGroup
		serving.Go(func() { e.Run(running) })
		serving.Go(func() {
			if err := srv.Serve(network); err != http.ErrServerClosed {
				t.Errorf("Serve = %v", err)
			}
		})
		test(t, e, &http.Client{Transport: transport})
		transport.CloseIdleConnections()
		if err := srv.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
		stop()
		serving.Wait()
	})
}

const chatURL = "http://sim/v1/chat/completions"

func drain(res *http.Response) {
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
}

// An arrival is what became of one of many calls.
type arrival struct {
	status     int
	retryAfter string
	took       time.Duration
}

// callMany sends n different requests at once and waits for all.
func callMany(t *testing.T, client *http.Client, n int) []arrival {
	t.Helper()
	out := make([]arrival, n)
	var all sync.WaitGroup
	for i := range out {
		all.Go(func() {
			start := time.Now()
			res, err := client.Post(chatURL, "application/json", strings.NewReader(chatBody(strings.Repeat("x", 1+i))))
			if err != nil {
				t.Errorf("call %d: %v", i, err)
				return
			}
			drain(res)
			out[i] = arrival{res.StatusCode, res.Header.Get("Retry-After"), time.Since(start)}
		})
	}
	all.Wait()
	return out
}

func TestSeatsBoundWhatRunsAndTheQueueWhatWaits(t *testing.T) {
	t.Parallel()
	opts := sim.Options{Seats: 2, Queue: 3, Base: 10 * time.Second, RetryAfter: 1500 * time.Millisecond}
	inBubble(t, opts, func(t *testing.T, e *sim.Engine, client *http.Client) {
		var out []arrival
		var calls sync.WaitGroup
		calls.Go(func() { out = callMany(t, client, 7) })
		synctest.Wait()
		if got := e.Stats(); got.Running != 2 || got.Waiting != 3 || got.Refused != 2 {
			t.Errorf("stats with 7 calls under way = %+v, want 2 running, 3 waiting, 2 refused", got)
		}
		page := get(e, "/metrics").Body.String()
		for _, want := range []string{"running{model_name=\"sim-small\"} 2\n", "waiting{model_name=\"sim-small\"} 3\n", "perc{model_name=\"sim-small\"} 1\n"} {
			if !strings.Contains(page, want) {
				t.Errorf("metrics lack %q:\n%s", want, page)
			}
		}
		calls.Wait()
		took := map[time.Duration]int{}
		for _, a := range out {
			took[a.took]++
			if a.status == http.StatusTooManyRequests && a.retryAfter != "2" {
				t.Errorf("Retry-After = %q, want 2", a.retryAfter)
			}
		}
		for d, want := range map[time.Duration]int{0: 2, 10 * time.Second: 2, 20 * time.Second: 2, 30 * time.Second: 1} {
			if took[d] != want {
				t.Errorf("%d calls took %v, want %d (%v)", took[d], d, want, took)
			}
		}
		if got := e.Stats(); got.Running != 0 || got.Waiting != 0 || got.Served != 5 {
			t.Errorf("stats at the end = %+v", got)
		}
	})
}

func TestAnUnlimitedQueueRefusesNobody(t *testing.T) {
	t.Parallel()
	inBubble(t, sim.Options{Seats: 1, Queue: -1, Base: time.Second}, func(t *testing.T, e *sim.Engine, client *http.Client) {
		start := time.Now()
		callMany(t, client, 50)
		if took, s := time.Since(start), e.Stats(); took != 50*time.Second || s.Served != 50 {
			t.Errorf("50 calls of a second took %v, %+v", took, s)
		}
	})
}

func TestNoQueueRefusesAtOnceWithTheStatusChosen(t *testing.T) {
	t.Parallel()
	opts := sim.Options{Seats: 1, Base: time.Second, RefuseStatus: 529, RetryAfter: -1}
	inBubble(t, opts, func(t *testing.T, _ *sim.Engine, client *http.Client) {
		refused := 0
		for _, a := range callMany(t, client, 3) {
			if a.status == 529 && a.retryAfter == "" && a.took == 0 {
				refused++
			}
		}
		if refused != 2 {
			t.Errorf("%d of 3 calls refused with 529, want 2", refused)
		}
	})
}

func TestAClientThatLeavesFreesItsPlace(t *testing.T) {
	t.Parallel()
	inBubble(t, sim.Options{Seats: 1, Queue: -1, Base: time.Hour}, func(t *testing.T, e *sim.Engine, client *http.Client) {
		ctx, cancel := context.WithCancel(t.Context())
		var calls sync.WaitGroup
		for range 3 {
			calls.Go(func() {
				req, _ := http.NewRequestWithContext(ctx, http.MethodPost, chatURL, strings.NewReader(chatBody("x")))
				if res, err := client.Do(req); err == nil {
					drain(res)
					t.Error("a cancelled call was answered")
				}
			})
		}
		synctest.Wait()
		if got := e.Stats(); got.Running != 1 || got.Waiting != 2 {
			t.Errorf("stats before = %+v, want 1 running and 2 waiting", got)
		}
		cancel()
		calls.Wait()
		synctest.Wait()
		if got := e.Stats(); got.Running != 0 || got.Waiting != 0 || got.Served != 0 {
			t.Errorf("stats after = %+v, want nothing", got)
		}
	})
}

func TestSeatsCanBeTakenAwayAndGivenBack(t *testing.T) {
	t.Parallel()
	inBubble(t, sim.Options{Seats: 3, Queue: -1, Base: 10 * time.Second}, func(t *testing.T, e *sim.Engine, client *http.Client) {
		var calls sync.WaitGroup
		calls.Go(func() { callMany(t, client, 9) })
		synctest.Wait()
		e.SetSeats(1)
		time.Sleep(11 * time.Second)
		if got := e.Stats(); got.Running != 1 || got.Waiting != 5 {
			t.Errorf("stats with one seat = %+v, want 1 running and 5 waiting", got)
		}
		e.SetSeats(0)
		synctest.Wait()
		if got := e.Stats(); got.Running != 6 || got.Waiting != 0 {
			t.Errorf("stats without a limit = %+v, want 6 running", got)
		}
		calls.Wait()
	})
}

func TestTimeIsTheSumOfItsParts(t *testing.T) {
	t.Parallel()
	opts := sim.Options{Base: time.Second, PerPromptToken: time.Millisecond, PerOutputToken: 100 * time.Millisecond}
	inBubble(t, opts, func(t *testing.T, _ *sim.Engine, client *http.Client) {
		start := time.Now()
		// Four tokens for the message, ten for its text; two choices of five tokens run side by side.
		body := `{"model":"m","n":2,"max_tokens":5,"messages":[{"role":"user","content":"` + strings.Repeat("x", 40) + `"}]}`
		res, err := client.Post(chatURL, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		drain(res)
		if got, want := time.Since(start), 1514*time.Millisecond; got != want {
			t.Errorf("took %v, want %v", got, want)
		}
	})
}

func TestJitterIsAFunctionOfTheBody(t *testing.T) {
	t.Parallel()
	inBubble(t, sim.Options{Base: time.Second, Jitter: 0.5}, func(t *testing.T, _ *sim.Engine, client *http.Client) {
		first := callMany(t, client, 200)
		second := callMany(t, client, 200)
		var sum time.Duration
		distinct := map[time.Duration]bool{}
		for i := range first {
			if first[i] != second[i] {
				t.Fatalf("call %d took %v, then %v", i, first[i].took, second[i].took)
			}
			sum += first[i].took
			distinct[first[i].took] = true
		}
		if mean := sum / 200; mean < 800*time.Millisecond || mean > 1200*time.Millisecond || len(distinct) < 190 {
			t.Errorf("mean %v, %d different times of 200", mean, len(distinct))
		}
	})
}

func TestAKnownPrefixTakesNoTime(t *testing.T) {
	t.Parallel()
	opts := sim.Options{PerPromptToken: time.Second, PrefixCache: 1}
	inBubble(t, opts, func(t *testing.T, _ *sim.Engine, client *http.Client) {
		took := func(system, user string) time.Duration {
			start := time.Now()
			body := `{"model":"m","messages":[{"role":"system","content":"` + system + `"},{"role":"user","content":"` + user + `"}]}`
			res, err := client.Post(chatURL, "application/json", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			drain(res)
			return time.Since(start)
		}
		got := []time.Duration{took("aaaa", "1"), took("aaaa", "2"), took("bbbb", "1"), took("aaaa", "3")}
		want := []time.Duration{10 * time.Second, 5 * time.Second, 10 * time.Second, 10 * time.Second}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("call %d took %v, want %v", i, got[i], want[i])
			}
		}
	})
}

func TestAFullKVCachePreempts(t *testing.T) {
	t.Parallel()
	opts := sim.Options{KVTokens: 40, PerPromptToken: time.Second}
	inBubble(t, opts, func(t *testing.T, e *sim.Engine, client *http.Client) {
		preempted := 0
		for _, a := range callMany(t, client, 6) {
			if a.took == 10*time.Second || a.took == 12*time.Second {
				preempted++
			}
		}
		if got := e.Stats().Preempted; got == 0 || int(got) != preempted {
			t.Errorf("%d preemptions counted, %d calls took twice their time", got, preempted)
		}
	})
}

func TestRateLimitsRefuseAndTell(t *testing.T) {
	t.Parallel()
	inBubble(t, sim.Options{RPM: 6, TPM: 1000}, func(t *testing.T, e *sim.Engine, client *http.Client) {
		call := func() (int, http.Header) {
			res, err := client.Post(chatURL, "application/json", strings.NewReader(chatBody("x")))
			if err != nil {
				t.Fatal(err)
			}
			drain(res)
			return res.StatusCode, res.Header
		}
		for i := range 6 {
			if status, _ := call(); status != 200 {
				t.Fatalf("call %d = %d", i, status)
			}
		}
		status, header := call()
		for name, want := range map[string]string{
			"Retry-After": "10", "Retry-After-Ms": "10000", "X-Ratelimit-Limit-Requests": "6",
			"X-Ratelimit-Remaining-Requests": "0", "X-Ratelimit-Reset-Requests": "1m0s", "X-Ratelimit-Limit-Tokens": "1000",
		} {
			if got := header.Get(name); got != want {
				t.Errorf("%s = %q, want %q", name, got, want)
			}
		}
		if status != 429 || e.Stats().Refused != 1 {
			t.Errorf("seventh call = %d, %+v", status, e.Stats())
		}
		time.Sleep(10 * time.Second)
		if status, _ := call(); status != 200 {
			t.Errorf("call after Retry-After = %d", status)
		}
	})
}

func TestAClosedNetworkRefuses(t *testing.T) {
	t.Parallel()
	n := sim.NewNetwork()
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	_ = n.Close()
	if _, err := n.Accept(); err == nil {
		t.Error("Accept after Close succeeded")
	}
	if _, err := n.DialContext(t.Context(), "tcp", "x:1"); err == nil {
		t.Error("DialContext after Close succeeded")
	}
}

func TestPriorityOrdersTheQueueWhereItIsOn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		on   bool
		want string
	}{{false, "1 2 3 4 5"}, {true, "1 4 3 5 2"}} {
		inBubble(t, sim.Options{Seats: 1, Queue: -1, Base: time.Second, ByPriority: c.on}, func(t *testing.T, _ *sim.Engine, client *http.Client) {
			var order []string
			var mu sync.Mutex
			var calls sync.WaitGroup
			for i, members := range []string{`"priority":9,`, `"priority":7,`, ``, `"priority":-3,`, `"priority":null,`} {
				calls.Go(func() {
					body := `{"model":"m",` + members + `"messages":[{"role":"user","content":"x"}]}`
					res, err := client.Post(chatURL, "application/json", strings.NewReader(body))
					if err != nil {
						t.Errorf("call %d: %v", i+1, err)
						return
					}
					drain(res)
					mu.Lock()
					defer mu.Unlock()
					order = append(order, strconv.Itoa(i+1))
				})
				synctest.Wait() // each call has its place before the next one comes
			}
			calls.Wait()
			if got := strings.Join(order, " "); got != c.want {
				t.Errorf("by priority %v: answered in the order %s, want %s", c.on, got, c.want)
			}
		})
	}
}
