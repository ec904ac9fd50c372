package oneshot

import (
	"testing"
	"time"

	"batchd/internal/batch"
)

func TestARunIsGivenUpOnceEveryCallWasRefusedForLongEnough(t *testing.T) {
	t.Parallel()
	says := func(kinds ...string) []Refusal {
		var all []Refusal
		for _, kind := range kinds {
			all = append(all, Refusal{Host: "host", Reason: batch.Reason{Kind: kind}})
		}
		return all
	}
	for name, c := range map[string]struct {
		progress Progress
		sending  time.Duration
		want     bool
	}{
		"denied":                    {Progress{Total: 100, Refusals: says("denied")}, 10 * time.Second, true},
		"denied for a moment":       {Progress{Total: 100, Refusals: says("denied")}, 9 * time.Second, false},
		"all upstreams":             {Progress{Total: 100, Refusals: says("account", "misconfigured")}, 10 * time.Second, true},
		"one upstream serves":       {Progress{Total: 100, Refusals: says("denied", "")}, time.Hour, false},
		"an upstream has no room":   {Progress{Total: 100, Refusals: says("no_room")}, time.Hour, false},
		"perhaps it is starting":    {Progress{Total: 100, Refusals: says("denied", "unreachable")}, 14 * time.Second, false},
		"it is not starting":        {Progress{Total: 100, Refusals: says("unreachable", "denied")}, 15 * time.Second, true},
		"nothing was sent":          {Progress{Total: 100}, time.Hour, false},
		"few lines of a small file": {Progress{Total: 5, Refusals: says("denied")}, time.Minute, true},
		"the last few lines":        {Progress{Total: 100, Completed: 80, Failed: 1, Refusals: says("denied")}, time.Hour, false},
		"many lines are left":       {Progress{Total: 100, Completed: 79, Failed: 1, Refusals: says("denied")}, time.Minute, true},
	} {
		if got := refusal(c.progress, c.sending); (got != nil) != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}
