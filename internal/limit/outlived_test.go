package limit_test

import (
	"testing"
	"time"
)

// What was under way when an upstream went down may still be served. It shows that there is room for what is left of it, and
// no more.
func TestACallThatBeganBeforeARunLowersTheLimitAndOneThatBeganInItEndsTheRun(t *testing.T) {
	t.Parallel()
	d := openGate(t, 64)
	before := d.beginMany(12)
	d.pass(time.Millisecond)
	failing := d.beginMany(20)
	d.pass(time.Millisecond)
	first := d.begin(d.line())
	first.ends(broken())
	d.pass(time.Millisecond)
	within := d.begin(d.line())
	endAll(failing, broken())
	d.wantLimit(13, false) // the 21st line lowers it to what is in flight
	d.pass(time.Millisecond)
	before[0].ends(served())
	d.wantLimit(12, false)
	before[1].ends(served())
	d.wantLimit(11, false)
	within.ends(served())
	d.wantLimit(12, false)
	before[2].ends(served())
	d.wantLimit(13, false)
}
