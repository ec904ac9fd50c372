package openfile

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestAFileIsBusyWhileItIsReadAndAWhileLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRegistry(time.Minute)
		if r.Busy("f") {
			t.Error("busy before anybody came")
		}
		first, second := r.Hold("f"), r.Hold("f")
		first.Release()
		first.Release()
		time.Sleep(time.Hour)
		if !r.Busy("f") || r.Busy("g") {
			t.Error("not busy though a reader is left, or another file is")
		}
		second.Release()
		time.Sleep(time.Minute - 1)
		if !r.Busy("f") {
			t.Error("not busy within the minute after")
		}
		time.Sleep(time.Nanosecond)
		if r.Busy("f") {
			t.Error("busy after the minute")
		}
	})
}

func TestWhatIsNoFileIsNotRemembered(t *testing.T) {
	t.Parallel()
	r := NewRegistry(time.Minute)
	none := r.Hold("none")
	if !r.Busy("none") {
		t.Error("not busy while it is looked up")
	}
	none.Drop()
	none.Release()
	if r.Busy("none") || len(r.readers)+len(r.left) != 0 {
		t.Error("an id without a file is remembered")
	}
}

func TestReadersOfLongAgoTakeNoMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRegistry(time.Minute)
		for i := range 20 * minPrune {
			r.Hold(fmt.Sprint(i)).Release()
			time.Sleep(time.Second)
		}
		if n := len(r.left); n > minPrune {
			t.Errorf("%d files are remembered, of 60 that matter", n)
		}
	})
}
