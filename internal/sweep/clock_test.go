package sweep_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"batchd/internal/batch"
	"batchd/internal/clock"
	"batchd/internal/store"
	"batchd/internal/store/sqlite"
	"batchd/internal/sweep"
)

// owner is the tenant of what the tests make.
const owner = "6d1f6b4e-0000-4000-8000-000000000001"

// leap is a step of the wall clock at 2 minutes into a test, undone after a while unless that is 0; a restart, if there is
// one, is 20 s after it and takes 5 s. One without a stop finds the time as it was stored last.
type leap struct {
	by      time.Duration
	holds   time.Duration
	restart restart
}

type restart string

const (
	noRestart  restart = ""
	afterStop  restart = ", restarted"
	afterCrash restart = ", killed and restarted"
)

const (
	leapAt     = 2 * time.Minute
	restartAt  = leapAt + 20*time.Second
	downFor    = 5 * time.Second
	creating   = 4 * time.Minute
	horizon    = 12 * time.Minute
	batches    = 100
	fileWindow = 4 * time.Minute
)

// made is a batch, or a file, that was made at a time of a clock that nobody sets, and lives for so long.
type made struct {
	at, lives time.Duration
	// over is when it was seen to have ended, 0 if it was not.
	over time.Duration
}

// leaping is a server's maintenance over a real store, with a wall clock that can be set.
type leaping struct {
	*testing.T
	path  string
	began time.Time
	rng   *rand.Rand

	// mu guards following fields.
	mu      sync.Mutex
	off     time.Duration
	crashed bool
	batches map[string]*made
	log     strings.Builder

	store *sqlite.Store
	clock *clock.Clock
	stop  func()
}

// elapsed is the time of the clock that nobody sets.
func (l *leaping) elapsed() time.Duration { return time.Since(l.began) }

func (l *leaping) wall() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().Add(l.off)
}

func (l *leaping) set(off time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.off = off
}

// Write collects the log.
func (l *leaping) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log.Write(p)
}

// LastTime implements clock.Store.
func (l *leaping) LastTime(ctx context.Context) (time.Time, time.Duration, error) {
	return l.store.LastTime(ctx)
}

// SaveTime implements clock.Store. A process that was killed stores nothing at its end.
func (l *leaping) SaveTime(ctx context.Context, t time.Time, shift time.Duration) error {
	l.mu.Lock()
	crashed := l.crashed
	l.mu.Unlock()
	if crashed {
		return nil
	}
	return l.store.SaveTime(ctx, t, shift)
}

// start opens the store and runs clock and sweeper.
func (l *leaping) start() {
	l.Helper()
	var err error
	if l.store, err = sqlite.Open(l.Context(), l.path, sqlite.Options{MayCreate: true}); err != nil {
		l.Fatal(err)
	}
	logger := slog.New(slog.NewTextHandler(l, nil))
	if l.clock, err = clock.Open(l.Context(), clock.Options{Store: l, Logger: logger, Wall: l.wall}); err != nil {
		l.Fatal(err)
	}
	s := sweep.New(sweep.Options{
		Store: l.store, Blobs: newBlobs(), Expired: l.expired, Now: l.clock.Now, Agreed: l.clock.Agreed, Logger: logger,
		Busy: func(string) bool { return false }, Deleted: func(int64) {},
	})
	ctx, cancel := context.WithCancel(l.Context())
	var running sync.WaitGroup
	running.Go(func() { l.clock.Run(ctx) })
	running.Go(func() { s.Run(ctx) })
	l.stop = func() {
		cancel()
		running.Wait()
		if err := l.store.Close(); err != nil {
			l.Error(err)
		}
	}
}

// expired notes when a batch was found to be over.
func (l *leaping) expired(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.batches[id].over = l.elapsed()
}

// create makes a batch over a file, as the API does.
func (l *leaping) create(id string, window time.Duration) {
	l.Helper()
	now := l.clock.Read()
	f := batch.File{ID: "in-" + id, Tenant: owner, Purpose: batch.PurposeBatch, Lines: 1, CreatedAt: now.Wall}
	f.ExpiresAt = now.Later().Add(fileWindow)
	if err := l.store.CreateFile(l.Context(), f); err != nil {
		l.Fatal(err)
	}
	l.mu.Lock()
	l.batches[id] = &made{at: l.elapsed(), lives: window}
	l.mu.Unlock()
	b := batch.Batch{
		ID: id, Tenant: owner, InputFileID: f.ID, CreatedAt: now.Wall, ExpiresAt: now.Wall.Add(window),
		Ahead: now.Ahead(), Shift: now.Shift,
	}
	if err := l.store.CreateBatch(l.Context(), b); err != nil {
		l.Fatal(err)
	}
}

// missing notes which files are no longer there.
func (l *leaping) missing(files map[string]*made) {
	l.Helper()
	page, err := l.store.ListFiles(l.Context(), owner, store.FileQuery{Limit: 2 * batches, Now: l.clock.Now()})
	if err != nil {
		l.Fatal(err)
	}
	there := map[string]bool{}
	for _, f := range page.Items {
		there[strings.TrimPrefix(f.ID, "in-")] = true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, b := range l.batches {
		if files[id] == nil {
			files[id] = &made{at: b.at, lives: fileWindow}
		}
		if f := files[id]; !there[id] && f.over == 0 {
			f.over = l.elapsed()
		}
	}
}

// live lets the time of the test pass, second by second.
func (l *leaping) live(p leap) (files map[string]*made) {
	l.Helper()
	files = map[string]*made{}
	due := make([]time.Duration, 0, batches)
	for range batches {
		due = append(due, time.Duration(l.rng.Int64N(int64(creating))))
	}
	for l.elapsed() < horizon {
		time.Sleep(time.Second)
		at := l.elapsed()
		switch {
		case at == leapAt:
			l.set(p.by)
		case p.holds > 0 && at == leapAt+p.holds:
			l.set(0)
		}
		if at == restartAt && p.restart != noRestart {
			l.mu.Lock()
			l.crashed = p.restart == afterCrash
			l.mu.Unlock()
			l.stop()
			time.Sleep(downFor)
			l.mu.Lock()
			l.crashed = false
			l.mu.Unlock()
			l.start()
		}
		for i, d := range due {
			if d >= 0 && d <= l.elapsed() {
				due[i] = -1
				l.create(fmt.Sprintf("b%d", i), time.Duration(1+l.rng.Int64N(6*60))*time.Second)
			}
		}
		l.missing(files)
	}
	l.stop()
	return files
}

// TestF16 is the bar for a wall clock that is set: what is undone within a minute ends nothing early, what holds counts from
// then on, and the log says so. That holds for what is made before, while the step is waited out, and after it.
func TestF16AWallClockThatIsSetEndsNothingUntilItHasHeldForAMinute(t *testing.T) {
	const tenYears = 10 * 365 * 24 * time.Hour
	undone, taken := []time.Duration{time.Second, 59 * time.Second}, []time.Duration{61 * time.Second, 0}
	var leaps []leap
	for _, by := range []time.Duration{time.Second, -time.Second, time.Minute, -time.Minute, time.Hour, -time.Hour, tenYears, -tenYears} {
		for _, holds := range append(undone, taken...) {
			leaps = append(leaps, leap{by: by, holds: holds})
		}
		if by.Abs() > time.Minute {
			for _, restart := range []restart{afterStop, afterCrash} {
				leaps = append(leaps, leap{by, 59 * time.Second, restart}, leap{by, 0, restart})
			}
		}
	}
	for _, p := range leaps {
		t.Run(fmt.Sprintf("%s for %s%s", p.by, p.holds, p.restart), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, p.check)
		})
	}
}

// check lives through a leap and judges it.
func (p leap) check(t *testing.T) {
	l := &leaping{
		T: t, path: filepath.Join(t.TempDir(), "batchd.db"), began: time.Now(), batches: map[string]*made{},
		rng: rand.New(rand.NewPCG(uint64(p.by), uint64(p.holds))),
	}
	l.start()
	files := l.live(p)
	for id, b := range l.batches {
		p.judge(t, "batch "+id, *b)
	}
	for id, f := range files {
		switch {
		case f.over == 0 && f.at >= leapAt && f.at <= restartAt+2*time.Minute:
			continue // made while it was not known which clock was right, and kept by the later of both
		case p.restart != noRestart && f.at >= restartAt && f.at <= leapAt+p.holds:
			continue // made by a wrong clock before the time was taken that the process was down: early by as much
		}
		p.judge(t, "file "+id, *f)
	}
	p.judgeLog(t, l.log.String())
}

// taken is when the step counts at the earliest, 0 if it never does. What is undone after that is a step like another, a
// minute later.
func (p leap) taken() time.Duration {
	switch {
	case p.holds > 0 && p.holds < time.Minute:
		return 0
	case p.restart != noRestart:
		return restartAt + downFor + time.Minute
	default:
		return leapAt + time.Minute
	}
}

// judge checks that something ended no earlier than it should, and, where that can be said, no later.
func (p leap) judge(t *testing.T, what string, m made) {
	t.Helper()
	end, taken := m.at+m.lives, p.taken()
	lost := time.Duration(0) // by how much the clock is behind after a restart, until it has taken that, too
	if p.restart != noRestart {
		lost = downFor + time.Minute
	}
	earliest, late := end, 2*time.Second+3*lost
	before, counts := m.at < leapAt, taken > 0 && end+lost > taken
	switch {
	case before && counts && p.by > 0:
		earliest = min(end, max(taken, end-p.by)) // the new time counts from then on
		late += end - earliest                    // which may be undone, too
	case before && counts:
		late = horizon // by as much as the clock was set back
	case !before && m.at <= leapAt+p.waitedOut()+lost+time.Second:
		late += time.Minute // the later of both clocks, until it is known which one was right
	}
	if p.holds > time.Minute && !before && m.at < leapAt+p.holds+time.Minute {
		// A wrong time has counted, and then the right one; what was made meanwhile goes by what is shown.
		if late = horizon; p.by < 0 {
			earliest = min(end, leapAt+p.holds+time.Minute)
		}
	}
	switch {
	case m.over == 0 && earliest+late < horizon:
		t.Errorf("%s, made at %s for %s, has not ended by %s", what, m.at, m.lives, horizon)
	case m.over > 0 && m.over < earliest-10*time.Millisecond:
		t.Errorf("%s, made at %s for %s, ended early at %s, want %s", what, m.at, m.lives, m.over, earliest)
	case m.over > earliest+late:
		t.Errorf("%s, made at %s for %s, ended late at %s, want %s", what, m.at, m.lives, m.over, earliest)
	}
}

// waitedOut is for how long both clocks differ after the step.
func (p leap) waitedOut() time.Duration {
	if p.holds > 0 && p.holds < time.Minute {
		return p.holds
	}
	return time.Minute
}

// judgeLog checks what the operator was told: that the clock was set, and what became of that.
func (p leap) judgeLog(t *testing.T, log string) {
	t.Helper()
	set := strings.Contains(log, "the wall clock was set;")
	undone := strings.Contains(log, "the wall clock was set back before its new time counted")
	taken := strings.Contains(log, "windows and expiry go by the wall clock's new time from now on")
	switch {
	case !set:
		t.Errorf("the log does not say that the clock was set:\n%s", log)
	case p.restart == noRestart && (undone != (p.taken() == 0) || taken != (p.taken() > 0)):
		t.Errorf("the log says taken %v, undone %v:\n%s", taken, undone, log)
	}
}
