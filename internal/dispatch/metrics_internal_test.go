package dispatch

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"batchd/internal/limit"
)

func TestGaugesShowUpstreamsAsTheyStand(t *testing.T) {
	t.Parallel()
	quota := limit.Condition{Reason: limit.ReasonAccount}
	g := newGauges(func() []UpstreamState {
		return []UpstreamState{{Name: "gpu:8000/v1", Gates: []GateState{
			{Model: "m", State: limit.State{InFlight: 3, Limit: 8, Condition: quota}, Waiting: 20},
			{Model: "n\xff", State: limit.State{Limit: 8}},
		}}}
	})
	const want = `
# HELP batchd_upstream_in_flight Calls to an upstream that are under way.
# TYPE batchd_upstream_in_flight gauge
batchd_upstream_in_flight{model="m",upstream="gpu:8000/v1"} 3
batchd_upstream_in_flight{model="n�",upstream="gpu:8000/v1"} 0
# HELP batchd_upstream_limit How many calls to an upstream may be under way now.
# TYPE batchd_upstream_limit gauge
batchd_upstream_limit{model="m",upstream="gpu:8000/v1"} 8
batchd_upstream_limit{model="n�",upstream="gpu:8000/v1"} 8
# HELP batchd_upstream_reason 1 for the reason that keeps lines waiting at an upstream.
# TYPE batchd_upstream_reason gauge
batchd_upstream_reason{model="m",reason="account",upstream="gpu:8000/v1"} 1
# HELP batchd_upstream_waiting_lines Lines that are not in flight, at each upstream that may take them.
# TYPE batchd_upstream_waiting_lines gauge
batchd_upstream_waiting_lines{model="m",upstream="gpu:8000/v1"} 20
batchd_upstream_waiting_lines{model="n�",upstream="gpu:8000/v1"} 0
`
	if err := testutil.CollectAndCompare(g, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

func TestGaugesHaveABoundedNumberOfSeriesThatStay(t *testing.T) {
	t.Parallel()
	var models []string
	g := newGauges(func() []UpstreamState {
		s := UpstreamState{Name: "a"}
		for _, m := range models {
			s.Gates = append(s.Gates, GateState{Model: m, Waiting: 1, State: limit.State{Condition: limit.Condition{Reason: limit.ReasonFailing}}})
		}
		return []UpstreamState{s}
	})
	for i := range 2 * modelsShown {
		models = append(models, fmt.Sprintf("m%03d", i))
	}
	series := func() map[string]float64 {
		t.Helper()
		r := prometheus.NewPedanticRegistry()
		r.MustRegister(g)
		families, err := r.Gather()
		if err != nil {
			t.Fatal(err)
		}
		found := make(map[string]float64)
		for _, f := range families {
			if f.GetName() == "batchd_upstream_waiting_lines" {
				for _, m := range f.GetMetric() {
					found[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
				}
			}
		}
		return found
	}
	first := series()
	if len(first) != modelsShown+1 || first["other"] != modelsShown || first["m099"] != 1 {
		t.Errorf("%d series, other %g", len(first), first["other"])
	}
	// What comes before the others by name takes no place away; what is gone gives its place up.
	models = append([]string{"a1", strings.Repeat("x", 1000)}, models[1:]...)
	second := series()
	if len(second) != modelsShown+1 || second["m001"] != 1 || second["m099"] != 1 || second["a1"] != 1 || second["other"] != modelsShown+1 {
		t.Errorf("after a change: %d series, %v", len(second), second)
	}
}
