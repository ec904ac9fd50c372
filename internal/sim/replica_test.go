package sim_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/sim"
	"batchd/internal/sim/batching"
)

// plain is an engine whose steps take 10 ms whatever they do, of so many sequences.
func plain(sequences int) *batching.Options {
	return &batching.Options{Base: 10 * time.Millisecond, MaxSequences: sequences, StepTokens: 1000 + sequences}
}

// A reply is what came back for one chat request.
type reply struct {
	status         int
	code           string
	prompt, output int
	took           time.Duration
	err            error
}

// ask sends a body and waits for what comes.
func ask(ctx context.Context, client *http.Client, body string) reply {
	start := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, chatURL, strings.NewReader(body))
	if err != nil {
		return reply{err: err}
	}
	res, err := client.Do(req)
	if err != nil {
		return reply{err: err, took: time.Since(start)}
	}
	defer drain(res)
	var answer struct {
		Usage struct {
			Prompt int `json:"prompt_tokens"`
			Output int `json:"completion_tokens"`
		} `json:"usage"`
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	err = json.NewDecoder(res.Body).Decode(&answer)
	return reply{res.StatusCode, answer.Error.Code, answer.Usage.Prompt, answer.Usage.Output, time.Since(start), err}
}

// tokens is a chat request for exactly so many tokens of output.
func tokens(text string, output int, more string) string {
	return fmt.Sprintf(`{"model":"m","messages":[{"role":"user","content":%q}],"max_tokens":%d,"ignore_eos":true%s}`, text, output, more)
}

// calculated is how long requests take that are submitted at time 0, by the engine alone.
func calculated(t *testing.T, opts batching.Options, requests ...batching.Request) (ends []time.Duration) {
	t.Helper()
	e, err := batching.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range requests {
		if _, err := e.Submit(0, r); err != nil {
			t.Fatal(err)
		}
	}
	for now := time.Duration(0); len(ends) < len(requests); {
		it := e.Step(now)
		now += it.Took
		for range it.Finished {
			ends = append(ends, now)
		}
	}
	return ends
}

func TestTokensDecideHowLongARequestTakes(t *testing.T) {
	t.Parallel()
	opts := batching.Reference()
	inBubble(t, sim.Options{Batching: &opts, Queue: -1}, func(t *testing.T, e *sim.Engine, client *http.Client) {
		for range 2 { // the second finds an engine that was idle for a while
			time.Sleep(time.Hour + 123456*time.Nanosecond)
			got := ask(t.Context(), client, tokens(strings.Repeat("word ", 4000), 70, ""))
			if got.status != http.StatusOK || got.output != 70 || got.prompt < 5000 {
				t.Fatalf("answer = %+v", got)
			}
			if want := calculated(t, opts, batching.Request{PromptTokens: got.prompt, OutputTokens: 70})[0]; got.took != want {
				t.Errorf("took %v, want %v as calculated", got.took, want)
			}
		}
		if s := e.Stats(); s.Running+s.Waiting != 0 || s.Served != 2 {
			t.Errorf("stats at the end = %+v", s)
		}
	})
}

func TestChoicesAreSequencesOfTheirOwn(t *testing.T) {
	t.Parallel()
	inBubble(t, sim.Options{Batching: plain(2), Queue: -1}, func(t *testing.T, e *sim.Engine, client *http.Client) {
		var got reply
		var calls sync.WaitGroup
		calls.Go(func() { got = ask(t.Context(), client, tokens("hello", 10, `,"n":3`)) })
		time.Sleep(time.Millisecond)
		if s := e.Stats(); s.Running != 2 || s.Waiting != 1 {
			t.Errorf("with three choices on two places: %+v", s)
		}
		calls.Wait()
		if want := 200 * time.Millisecond; got.took != want || got.output != 30 {
			t.Errorf("%+v, want 30 tokens in %v", got, want)
		}
	})
}

func TestEmbeddingsAreOverWhenTheirTextIsRead(t *testing.T) {
	t.Parallel()
	opts := plain(2)
	opts.PerPrefillToken = time.Millisecond
	inBubble(t, sim.Options{Batching: opts, Queue: -1}, func(t *testing.T, _ *sim.Engine, client *http.Client) {
		start := time.Now()
		res, err := client.Post("http://sim/v1/embeddings", "application/json", strings.NewReader(`{"model":"m","input":["abcdefgh","ijkl"]}`))
		if err != nil {
			t.Fatal(err)
		}
		drain(res)
		if took := time.Since(start); took != 13*time.Millisecond || res.StatusCode != http.StatusOK {
			t.Errorf("three tokens took %v: %s", took, res.Status)
		}
	})
}

func TestAFullKVCachePutsSequencesBack(t *testing.T) {
	t.Parallel()
	opts := plain(8)
	opts.KVTokens = 100
	inBubble(t, sim.Options{Batching: opts, Queue: -1}, func(t *testing.T, e *sim.Engine, client *http.Client) {
		var first, second reply
		var calls sync.WaitGroup
		calls.Go(func() { first = ask(t.Context(), client, tokens("hello", 80, "")) })
		time.Sleep(time.Millisecond)
		calls.Go(func() { second = ask(t.Context(), client, tokens("world", 80, "")) })
		time.Sleep(200 * time.Millisecond)
		page := get(e, "/metrics").Body.String()
		for _, want := range []string{"num_requests_running{model_name=\"sim-small\"} 2\n", "kv_cache_usage_perc{model_name=\"sim-small\"} 0.", "generation_tokens_total{model_name=\"sim-small\"} 4"} {
			if !strings.Contains(page, want) {
				t.Errorf("metrics lack %q:\n%s", want, page)
			}
		}
		calls.Wait()
		if s := e.Stats(); s.Preempted == 0 || first.status != 200 || second.status != 200 || second.took <= first.took {
			t.Errorf("first %+v, second %+v, stats %+v", first, second, s)
		}
	})
}

func TestWhatTheEngineDoesNotTakeIsRefused(t *testing.T) {
	t.Parallel()
	opts := plain(1)
	opts.KVTokens = 200
	inBubble(t, sim.Options{Batching: opts, Models: []string{"m"}}, func(t *testing.T, e *sim.Engine, client *http.Client) {
		var first reply
		var calls sync.WaitGroup
		calls.Go(func() { first = ask(t.Context(), client, tokens("hello", 100, "")) })
		time.Sleep(15 * time.Millisecond)
		for _, c := range []struct {
			body   string
			status int
			code   string
		}{
			{tokens("one too many", 1, ""), http.StatusTooManyRequests, "queue_full"},
			{tokens("two for one place", 1, `,"n":2`), http.StatusTooManyRequests, "queue_full"},
			{tokens("too long", 300, ""), http.StatusBadRequest, "context_length_exceeded"},
			{`{"model":"other","messages":[{"role":"user","content":"x"}]}`, http.StatusNotFound, "model_not_found"},
		} {
			if got := ask(t.Context(), client, c.body); got.status != c.status || got.code != c.code || got.took != 0 {
				t.Errorf("%s: %+v, want %d %s at once", c.body, got, c.status, c.code)
			}
		}
		calls.Wait()
		if s := e.Stats(); first.took != time.Second || s.Refused != 2 || s.Running+s.Waiting != 0 {
			t.Errorf("first %+v, stats %+v", first, s)
		}
	})
}

func TestARequestIsRefusedWithAllItsSequences(t *testing.T) {
	t.Parallel()
	inBubble(t, sim.Options{Batching: plain(1), Queue: 1}, func(t *testing.T, e *sim.Engine, client *http.Client) {
		var calls sync.WaitGroup
		calls.Go(func() { ask(t.Context(), client, tokens("hello", 100, "")) })
		time.Sleep(15 * time.Millisecond)
		if got := ask(t.Context(), client, tokens("two where there is room for one", 1, `,"n":2`)); got.status != http.StatusTooManyRequests {
			t.Errorf("%+v, want a refusal", got)
		}
		if s := e.Stats(); s.Running != 1 || s.Waiting != 0 {
			t.Errorf("stats = %+v, want nothing left of what was refused", s)
		}
		calls.Wait()
	})
}

func TestWhoComesWhileAStepIsUnderWayJoinsTheNextOne(t *testing.T) {
	t.Parallel()
	opts := plain(8)
	opts.Base = time.Second
	inBubble(t, sim.Options{Batching: opts, Queue: -1}, func(t *testing.T, _ *sim.Engine, client *http.Client) {
		var got [4]reply
		var calls sync.WaitGroup
		for i := range got {
			calls.Go(func() { got[i] = ask(t.Context(), client, tokens("hello", 1, "")) })
			time.Sleep(200 * time.Millisecond)
		}
		calls.Wait()
		for i, want := range []time.Duration{1000, 1800, 1600, 1400} {
			if got[i].took != want*time.Millisecond {
				t.Errorf("request %d took %v, want %v", i, got[i].took, want*time.Millisecond)
			}
		}
	})
}

func TestPriorityOrdersTheEnginesQueue(t *testing.T) {
	t.Parallel()
	for byPriority, want := range map[bool][]int{true: {0, 3, 2, 1}, false: {0, 1, 2, 3}} {
		opts := sim.Options{Batching: plain(1), Queue: -1, ByPriority: byPriority}
		inBubble(t, opts, func(t *testing.T, _ *sim.Engine, client *http.Client) {
			var mu sync.Mutex // guards order
			var order []int
			var calls sync.WaitGroup
			for i, priority := range []int{0, 7, 1, -3} {
				calls.Go(func() {
					ask(t.Context(), client, tokens("hello", 10, fmt.Sprintf(`,"priority":%d`, priority)))
					mu.Lock()
					defer mu.Unlock()
					order = append(order, i)
				})
				time.Sleep(time.Millisecond)
			}
			calls.Wait()
			if d := cmp.Diff(want, order); d != "" {
				t.Errorf("by priority %v, order (-want +got):\n%s", byPriority, d)
			}
		})
	}
}

func TestAClientThatLeavesGivesItsPlaceBack(t *testing.T) {
	t.Parallel()
	inBubble(t, sim.Options{Batching: plain(1), Queue: -1}, func(t *testing.T, e *sim.Engine, client *http.Client) {
		ctx, leave := context.WithTimeout(t.Context(), 105*time.Millisecond)
		defer leave()
		var calls sync.WaitGroup
		for range 2 { // one runs, one waits
			calls.Go(func() {
				if got := ask(ctx, client, tokens("hello", 1000, "")); got.err == nil {
					t.Errorf("answered %+v", got)
				}
			})
			time.Sleep(time.Millisecond)
		}
		calls.Wait()
		synctest.Wait()
		if s := e.Stats(); s.Running+s.Waiting != 0 {
			t.Errorf("nobody is there: %+v", s)
		}
		if got := ask(t.Context(), client, tokens("hello", 10, "")); got.took > 110*time.Millisecond || got.status != 200 {
			t.Errorf("the next one got %+v", got)
		}
	})
}

// busy is what two engines of one seed have shown after a while with the same traffic.
func busy(t *testing.T, seed uint64) string {
	t.Helper()
	opts := batching.Reference()
	online := batching.Online()
	page := ""
	inBubble(t, sim.Options{Seed: seed, Batching: &opts, Queue: -1, Online: online}, func(t *testing.T, e *sim.Engine, client *http.Client) {
		time.Sleep(10 * time.Minute)
		if got := ask(t.Context(), client, tokens("hello", 100, "")); got.status != http.StatusOK {
			t.Errorf("beside others: %+v", got)
		}
		page = get(e, "/metrics").Body.String()
	})
	return page
}

func TestOthersUseTheEngineToo(t *testing.T) {
	t.Parallel()
	page := busy(t, 1)
	count := sample(t, page, "sim:online_time_to_first_token_seconds_count{")
	if mean := 10 * 60 * 8.0; count < 0.9*mean || count > 1.1*mean {
		t.Errorf("%v arrivals in 10 minutes, want about %v", count, mean)
	}
	for name, span := range map[string][2]float64{
		"sim:online_time_to_first_token_seconds{model_name=\"sim-small\",quantile=\"0.99\"}": {0.005, 1},
		"vllm:generation_tokens_total{": {0.8 * 200 * count, 1.2 * 200 * count},
		"vllm:prompt_tokens_total{":     {0.8 * 500 * count, 1.2 * 500 * count},
		"vllm:request_success_total{model_name=\"sim-small\",finished_reason=\"stop\"}": {0.9 * count, count},
		"vllm:num_requests_running{": {1, 100},
	} {
		if got := sample(t, page, name); got < span[0] || got > span[1] {
			t.Errorf("%s is %v, want %v", name, got, span)
		}
	}
	if again := busy(t, 1); again != page {
		t.Errorf("the same seed showed\n%s\nand\n%s", page, again)
	}
	if other := busy(t, 2); other == page {
		t.Errorf("two seeds showed\n%s", page)
	}
}

// sample is the value of the first sample of a page whose line begins so.
func sample(t *testing.T, page, begin string) (value float64) {
	t.Helper()
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, begin) {
			if _, err := fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &value); err != nil {
				t.Fatal(err)
			}
			return value
		}
	}
	t.Fatalf("no %s in\n%s", begin, page)
	return 0
}

// A machine that was suspended has computed nothing meanwhile, and nobody could send it anything.
func TestAMachineThatStoodStillDoesNotCatchUp(t *testing.T) {
	t.Parallel()
	var slept atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(slept.Load())) }
	online := batching.Traffic{Mix: batching.Chat(), Rate: 10}
	online.Mix.Interactive = true
	opts := batching.Reference()
	inBubble(t, sim.Options{Batching: &opts, Queue: -1, Online: online, Now: now}, func(t *testing.T, e *sim.Engine, _ *http.Client) {
		time.Sleep(10 * time.Second)
		slept.Store(int64(time.Hour))
		time.Sleep(10 * time.Second)
		if got := sample(t, get(e, "/metrics").Body.String(), "sim:online_time_to_first_token_seconds_count{"); got < 150 || got > 250 {
			t.Errorf("%v arrivals in 20 s at 10 a second", got)
		}
	})
}

func TestACrashEmptiesTheEngine(t *testing.T) {
	t.Parallel()
	online := batching.Traffic{Mix: batching.Chat(), Rate: 20}
	opts := batching.Reference()
	inBubble(t, sim.Options{Batching: &opts, Queue: -1, Online: online, ContentModes: true}, func(t *testing.T, e *sim.Engine, client *http.Client) {
		time.Sleep(10 * time.Second)
		if s := e.Stats(); s.Running == 0 {
			t.Errorf("nobody is there: %+v", s)
		}
		var calls sync.WaitGroup
		for _, body := range []string{tokens("hello", 1000, ""), tokens("MODE:crash DOWN:5000", 1, "")} {
			calls.Go(func() {
				if got := ask(t.Context(), client, body); got.err == nil {
					t.Errorf("answered %+v", got)
				}
			})
			time.Sleep(50 * time.Millisecond)
		}
		calls.Wait()
		time.Sleep(4 * time.Second)
		if s := e.Stats(); s.Running+s.Waiting != 0 {
			t.Errorf("the engine is down: %+v", s)
		}
		time.Sleep(4 * time.Second)
		if s := e.Stats(); s.Running == 0 {
			t.Errorf("the engine is up again: %+v", s)
		}
	})
}

func TestRequestsAreGivenUpWhenRunEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t, sim.Options{Batching: plain(1), Queue: -1})
		network := sim.NewNetwork()
		srv := &http.Server{Handler: e}
		transport := &http.Transport{DialContext: network.DialContext}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { e.Run(ctx) })
		running.Go(func() { _ = srv.Serve(network) })
		var calls sync.WaitGroup
		for range 3 {
			calls.Go(func() {
				if got := ask(t.Context(), &http.Client{Transport: transport}, tokens("hello", 1000, "")); got.err == nil {
					t.Errorf("answered %+v", got)
				}
			})
		}
		time.Sleep(95 * time.Millisecond)
		stop()
		calls.Wait()
		if s := e.Stats(); s.Running+s.Waiting != 0 {
			t.Errorf("nobody is there: %+v", s)
		}
		transport.CloseIdleConnections()
		_ = srv.Close()
		running.Wait()
	})
}

func TestCapacityAndSpeedFollowTheirTimetables(t *testing.T) {
	t.Parallel()
	opts := plain(4)
	opts.Room = []batching.Level{{At: time.Second, Factor: 0.5}}
	opts.Speed = []batching.Level{{At: 2 * time.Second, Factor: 0.1}}
	inBubble(t, sim.Options{Batching: opts, Queue: -1}, func(t *testing.T, e *sim.Engine, client *http.Client) {
		var calls sync.WaitGroup
		for range 6 {
			calls.Go(func() { ask(t.Context(), client, tokens("hello", 1000, "")) })
		}
		var running []int
		var made []float64
		for range 3 {
			time.Sleep(995 * time.Millisecond)
			running = append(running, e.Stats().Running)
			before := sample(t, get(e, "/metrics").Body.String(), "vllm:generation_tokens_total{")
			time.Sleep(5 * time.Millisecond)
			made = append(made, before)
		}
		if d := cmp.Diff([]int{4, 2, 2}, running); d != "" {
			t.Errorf("running (-want +got):\n%s", d)
		}
		if made[1]-made[0] > 210 || made[2]-made[1] > 30 {
			t.Errorf("tokens after each second: %v", made)
		}
		calls.Wait()
	})
}

func TestACachedPrefixIsNotRead(t *testing.T) {
	t.Parallel()
	opts := plain(1)
	opts.PerPrefillToken = time.Millisecond
	inBubble(t, sim.Options{Batching: opts, Queue: -1, PrefixCache: 1}, func(t *testing.T, _ *sim.Engine, client *http.Client) {
		body := `{"model":"m","max_tokens":1,"messages":[{"role":"system","content":"` + strings.Repeat("x", 400) + `"},{"role":"user","content":"%d"}]}`
		first, second := ask(t.Context(), client, fmt.Sprintf(body, 1)), ask(t.Context(), client, fmt.Sprintf(body, 2))
		if saved := first.took - second.took; saved != 104*time.Millisecond {
			t.Errorf("a prefix of 104 tokens saved %v: %+v, %+v", saved, first, second)
		}
	})
}

func TestMetricsCanBeHidden(t *testing.T) {
	t.Parallel()
	if w := get(newEngine(t, sim.Options{HideMetrics: true}), "/metrics"); w.Code != http.StatusNotFound {
		t.Errorf("/metrics = %d", w.Code)
	}
}

func TestOptionsOfTheOtherModelAreRefused(t *testing.T) {
	t.Parallel()
	online := batching.Online()
	for want, opts := range map[string]sim.Options{
		"Seats":                 {Batching: plain(1), Seats: 1},
		"Timetable":             {Batching: plain(1), Timetable: []sim.Shift{{At: 1}}},
		"Base":                  {Batching: plain(1), Base: 1},
		"PerPromptToken":        {Batching: plain(1), PerPromptToken: 1},
		"PerOutputToken":        {Batching: plain(1), PerOutputToken: 1},
		"Jitter":                {Batching: plain(1), Jitter: 1},
		"KVTokens":              {Batching: plain(1), KVTokens: 1},
		"Online needs":          {Online: online},
		"Online.Rate is -1":     {Batching: plain(1), Online: batching.Traffic{Rate: -1}},
		"Online.BurstFactor is": {Batching: plain(1), Online: batching.Traffic{Rate: 1, BurstFactor: -1}},
		"Online.BurstFor is":    {Batching: plain(1), Online: batching.Traffic{Rate: 1, BurstEvery: 1, BurstFor: 1}},
		"MaxSequences":          {Batching: plain(0)},
	} {
		if _, err := sim.New(opts); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v, want %q in it", err, want)
		}
	}
}

func TestLevelsAreReadFromText(t *testing.T) {
	t.Parallel()
	got, err := sim.ParseLevels("0s=0.5,1h=2")
	if d := cmp.Diff([]batching.Level{{Factor: 0.5}, {At: time.Hour, Factor: 2}}, got); d != "" || err != nil {
		t.Errorf("%v, levels (-want +got):\n%s", err, d)
	}
	for _, bad := range []string{",", "5m", "5=1", "5m=half"} {
		if got, err := sim.ParseLevels(bad); err == nil || !strings.Contains(err.Error(), "timetable entry") {
			t.Errorf("ParseLevels(%q) = %v, %v", bad, got, err)
		}
	}
}

// Over a real socket and in real time: with as many sequences as requests they take as long as one, with half as many
// twice that.
func TestTheEngineStepsInRealTime(t *testing.T) {
	t.Parallel()
	for _, sequences := range []int{20, 10} {
		e := newEngine(t, sim.Options{Batching: plain(sequences), Queue: -1})
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { e.Run(ctx) })
		server := httptest.NewServer(e)
		client := server.Client()
		var calls sync.WaitGroup
		took := make([]time.Duration, 20)
		for i := range took {
			calls.Go(func() {
				start := time.Now()
				res, err := client.Post(server.URL+"/v1/chat/completions", "application/json", strings.NewReader(tokens("hello", 20, "")))
				if err != nil {
					t.Error(err)
					return
				}
				drain(res)
				took[i] = time.Since(start)
			})
		}
		calls.Wait()
		server.Close()
		stop()
		running.Wait()
		slices.Sort(took)
		half := 200 * time.Millisecond
		if last := time.Duration(20/sequences) * half; took[0] < half || took[19] < last || took[19] > last+5*time.Second {
			t.Errorf("%d sequences: from %v to %v, want %v for the last", sequences, took[0], took[19], last)
		}
	}
}
