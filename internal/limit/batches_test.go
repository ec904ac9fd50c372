package limit_test

import (
	"testing"
	"time"

	"batchd/internal/limit"
)

// serveBatch has so many fresh lines of a batch served.
func (d *desk) serveBatch(batch string, n int) {
	d.t.Helper()
	for range n {
		d.send(d.lineOf(batch), served())
	}
}

// spoil has 25 lines of batch a fail, and reports whether that lowers the limit.
func (d *desk) spoil(s *limit.Signal) bool {
	d.t.Helper()
	before := d.gate.Limit()
	endAll(d.beginMany(25), s)
	return d.gate.Limit() < before
}

func TestABatchsFailuresSayNothingWhileAnotherIsServedCleanly(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before func(d *desk)
		counts bool
	}{
		"served five times":      {func(d *desk) { d.serveBatch("b", 5) }, false},
		"served four times":      {func(d *desk) { d.serveBatch("b", 4) }, true},
		"served long ago":        {func(d *desk) { d.serveBatch("b", 5); d.pass(10*time.Second + 1) }, true},
		"served just in time":    {func(d *desk) { d.serveBatch("b", 5); d.pass(10 * time.Second) }, false},
		"failed since":           {func(d *desk) { d.serveBatch("b", 60); d.send(d.lineOf("b"), denied(401)) }, true},
		"failed 49 answers ago":  {func(d *desk) { d.send(d.lineOf("b"), denied(401)); d.serveBatch("b", 49) }, true},
		"failed 50 answers ago":  {func(d *desk) { d.send(d.lineOf("b"), denied(401)); d.serveBatch("b", 50) }, false},
		"answered with 400":      {func(d *desk) { d.serveBatch("b", 5); d.send(d.lineOf("b"), answered()) }, false},
		"only the batch itself":  {func(d *desk) { d.serveBatch("a", 60) }, true},
		"forgotten since":        {func(d *desk) { d.serveBatch("b", 5); d.gate.Forget("b") }, true},
		"and so is a third":      {func(d *desk) { d.serveBatch("b", 5); d.send(d.lineOf("c"), broken()) }, false},
		"nobody was ever served": {func(*desk) {}, true},
	} {
		for kind, s := range map[string]*limit.Signal{"no room": noRoom(429, 0), "denied": denied(403)} {
			t.Run(name+" "+kind, func(t *testing.T) {
				t.Parallel()
				d := openGate(t, 64)
				c.before(d)
				if lowered := d.spoil(s); lowered != c.counts {
					t.Errorf("lowered %v, want %v", lowered, c.counts)
				}
			})
		}
	}
}

func TestBatchesThatAreBothRefusedLowerTheLimit(t *testing.T) {
	t.Parallel()
	d := openGate(t, 64)
	d.serveBatch("a", 50)
	d.serveBatch("b", 50)
	calls := d.beginMany(62)
	d.begin(d.lineOf("b")).ends(noRoom(429, 0)) // excused: a was served cleanly
	d.wantLimit(64, false)
	d.begin(d.lineOf("a")).ends(noRoom(429, 0)) // b is clean no more
	d.wantLimit(62, false)
	endAll(calls, abandoned())
}
