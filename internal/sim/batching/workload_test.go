package batching_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"batchd/internal/sim/batching"
)

func generator() *rand.Rand { return rand.New(rand.NewPCG(3, 4)) }

func TestAMixHasTheMeansItSays(t *testing.T) {
	t.Parallel()
	const draws = 200_000
	for name, mix := range map[string]batching.Mix{"chat": batching.Chat(), "documents": batching.Documents()} {
		r := generator()
		var prompt, output, service, longest float64
		for range draws {
			q := mix.Draw(r)
			prompt += float64(q.PromptTokens)
			output += float64(q.OutputTokens)
			service += q.Service.Seconds()
			longest = max(longest, float64(q.PromptTokens))
		}
		for what, c := range map[string][2]float64{
			"prompt":  {prompt / draws, mix.Prompt.Mean},
			"output":  {output / draws, mix.Output.Mean},
			"service": {service / draws, mix.Service.Mean},
		} {
			if math.Abs(c[0]/c[1]-1) > 0.02 {
				t.Errorf("%s: mean %s = %.1f, want %.1f", name, what, c[0], c[1])
			}
		}
		if longest > mix.Prompt.Max {
			t.Errorf("%s: a prompt of %v tokens, above %v", name, longest, mix.Prompt.Max)
		}
	}
}

func TestALengthWithoutSpreadIsItsMean(t *testing.T) {
	t.Parallel()
	m := batching.Mix{Prompt: batching.LogNormal{Mean: 7}, Output: batching.LogNormal{Mean: 0.1}, Priority: 3, Interactive: true}
	want := batching.Request{PromptTokens: 7, OutputTokens: 1, Service: 1, Priority: 3, Interactive: true}
	if got := m.Draw(generator()); got != want {
		t.Errorf("drew %+v, want %+v", got, want)
	}
}

func TestTrafficHasItsRateInsideBurstsAndOutside(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name          string
		traffic       batching.Traffic
		calm, inBurst float64 // arrivals a second
	}{
		{"online", batching.Online(), 6, 18},
		{"no bursts", batching.Traffic{Rate: 5}, 5, 5},
		{"pauses", batching.Traffic{Rate: 5, BurstEvery: 2 * time.Minute, BurstFor: 20 * time.Second}, 5, 0},
	} {
		const cycles = 200
		arrivals := c.traffic.Arrivals(generator())
		calm, inBurst, last := 0.0, 0.0, time.Duration(0)
		for at, _, ok := arrivals.Due(cycles * 2 * time.Minute); ok; at, _, ok = arrivals.Due(cycles * 2 * time.Minute) {
			if at < last {
				t.Fatalf("%s: an arrival at %v after one at %v", c.name, at, last)
			}
			if last = at; at%(2*time.Minute) < 100*time.Second {
				calm++
			} else {
				inBurst++
			}
		}
		if calm, inBurst = calm/(cycles*100), inBurst/(cycles*20); math.Abs(calm-c.calm) > 0.15 || math.Abs(inBurst-c.inBurst) > 0.5 {
			t.Errorf("%s: %.2f a second, %.2f in bursts; want %v and %v", c.name, calm, inBurst, c.calm, c.inBurst)
		}
	}
}

func TestArrivalsWaitUntilTheyAreDue(t *testing.T) {
	t.Parallel()
	arrivals := batching.Online().Arrivals(generator())
	if at, _, ok := arrivals.Due(0); ok {
		t.Fatalf("an arrival at %v is due at 0", at)
	}
	at, r, ok := arrivals.Due(time.Hour)
	if !ok || at <= 0 || at > 10*time.Second || !r.Interactive {
		t.Errorf("the first arrival is at %v: %+v, %v", at, r, ok)
	}
}
