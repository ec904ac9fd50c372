package check

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"batchd/internal/datadir"
)

// checking returns a checker of a directory that collects what is reported.
func checking(t *testing.T, server bool) (*checker, *[]Finding) {
	t.Helper()
	reported := &[]Finding{}
	return &checker{
		o:   Options{Dir: t.TempDir(), Report: func(f Finding) error { *reported = append(*reported, f); return nil }},
		sum: Summary{Server: server},
	}, reported
}

func TestBesideAServerWhatSeemsWrongIsLookedAtAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for wrong, want := range map[int]int{0: 0, 1: 0, 3: 0, 4: 1, 99: 1} {
			c, reported := checking(t, true)
			began, n := time.Now(), 0
			err := c.confirm(t.Context(), func() ([]Finding, error) {
				if n++; n > wrong {
					return nil, nil
				}
				return []Finding{{State: LostState}}, nil
			})
			if err != nil || len(*reported) != want || int(c.sum.Lost) != want {
				t.Errorf("wrong %d times: %d reported, %v, want %d", wrong, len(*reported), err, want)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("wrong %d times: it took %s", wrong, took)
			}
		}
	})
}

func TestASecondLookEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, reported := checking(t, true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		err := c.confirm(ctx, func() ([]Finding, error) { return []Finding{{State: LostState}}, nil })
		if !errors.Is(err, context.DeadlineExceeded) || len(*reported) > 0 {
			t.Errorf("got %v, and %d reported", err, len(*reported))
		}
	})
}

func TestWithoutAServerOneLookIsEnoughUnlessOneIsStarted(t *testing.T) {
	t.Parallel()
	c, reported := checking(t, false)
	looks := 0
	look := func() ([]Finding, error) { looks++; return []Finding{{State: Unreferenced}}, nil }
	if err := c.confirm(t.Context(), look); err != nil || looks != 1 || len(*reported) != 1 || c.sum.Unreferenced != 1 {
		t.Errorf("%d looks, %d reported, %v", looks, len(*reported), err)
	}
	lock, err := datadir.TryLock(c.o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Close() }()
	if err := c.confirm(t.Context(), look); !errors.Is(err, errStarted) || len(*reported) != 1 {
		t.Errorf("with a server that was started meanwhile: %v, %d reported", err, len(*reported))
	}
}
