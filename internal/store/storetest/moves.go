package storetest

import (
	"slices"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// situation is a point in a batch's history.
type situation struct {
	name   string
	status batch.Status
	stop   batch.Stop
	// due is the stage that can lease it; "" if none can.
	due   store.Stage
	build func(x *fixture, id string)
}

// situations lists every point in a batch's history that differs for some method.
func situations() []situation {
	create := (*fixture).create
	begin := func(x *fixture, id string) { x.start(id, 2); x.seal(x.take(id, 1)) }
	rest := func(x *fixture, id string) { x.seal(x.take(id, 1)) }
	expire := func(x *fixture, _ string) { x.expire() }
	cancel := (*fixture).cancel
	closing := func(x *fixture, id string) { x.close(id) }
	fail := func(x *fixture, id string) {
		x.ok(x.store.FailBatch(x.ctx, x.failure(id, x.lease(store.StageValidate, id))))
	}
	return []situation{
		{"new", batch.Validating, batch.StopNone, store.StageValidate, create},
		{"new and expired", batch.Validating, batch.StopExpire, store.StageValidate, chain(create, expire)},
		{"new and cancelled", batch.Cancelling, batch.StopCancel, store.StageValidate, chain(create, cancel)},
		{"running", batch.InProgress, batch.StopNone, "", begin},
		{"running and expired", batch.InProgress, batch.StopExpire, "", chain(begin, expire)},
		{"running and cancelled", batch.Cancelling, batch.StopCancel, "", chain(begin, cancel)},
		{"expired and sealed", batch.InProgress, batch.StopExpire, store.StageFinalize, chain(begin, expire, rest)},
		{"cancelled and sealed", batch.Cancelling, batch.StopCancel, store.StageFinalize, chain(begin, cancel, rest)},
		{"finalizing", batch.Finalizing, batch.StopNone, store.StageFinalize, chain(begin, rest)},
		{"completed", batch.Completed, batch.StopNone, "", chain(begin, rest, closing)},
		{"failed", batch.Failed, batch.StopNone, "", chain(create, fail)},
		{"expired", batch.Expired, batch.StopExpire, "", chain(begin, expire, rest, closing)},
		{"expired unstarted", batch.Expired, batch.StopExpire, "", chain(create, expire, closing)},
		{"cancelled", batch.Cancelled, batch.StopCancel, "", chain(begin, cancel, rest, closing)},
		{"cancelled unstarted", batch.Cancelled, batch.StopCancel, "", chain(create, cancel, closing)},
	}
}

// chain does one step after the other.
func chain(steps ...func(*fixture, string)) func(*fixture, string) {
	return func(x *fixture, id string) {
		for _, step := range steps {
			step(x, id)
		}
	}
}

// failure is what validation found wrong.
func (x *fixture) failure(id string, lease batch.LeaseID) store.Failure {
	return store.Failure{
		Batch: id, Lease: lease, Now: x.now, Total: 12345,
		Errors: []batch.LineError{
			{Code: "invalid_json_line", Message: "line is no JSON: " + odd, Param: "body\x00", Line: 7},
			{Code: "empty_file", Message: "nothing in it"},
		},
	}
}

// move is a method that may change a batch's status.
type move struct {
	name string
	// do tries it. The lease is held if the batch is due for a stage, otherwise it is one nobody knows.
	do func(x *fixture, id string, lease batch.LeaseID) error
	// next is the status after it, or the error.
	next func(s situation) (batch.Status, error)
}

// validated is what the end of validation does in a situation.
func validated(s situation, next batch.Status) (batch.Status, error) {
	switch {
	case s.due == "":
		return "", store.ErrLeaseLost
	case s.due == store.StageFinalize, s.stop != batch.StopNone:
		return "", store.ErrConflict
	default:
		return next, nil
	}
}

// closed is what closing does in a situation.
func closed(s situation) (batch.Status, error) {
	switch {
	case s.due == "":
		return "", store.ErrLeaseLost
	case s.due == store.StageValidate && s.stop == batch.StopNone:
		return "", store.ErrConflict
	default:
		return s.stop.Closed(), nil
	}
}

// moveCases try every method in every situation. The batch's own state graph is checked along with what the store answers.
var moveCases = []group{
	{"moves", []test{
		everywhere(move{"start", func(x *fixture, id string, lease batch.LeaseID) error {
			return x.store.StartBatch(x.ctx, x.newStart(id, lease, 3))
		}, func(s situation) (batch.Status, error) { return validated(s, batch.InProgress) }}),
		everywhere(move{"fail", func(x *fixture, id string, lease batch.LeaseID) error {
			return x.store.FailBatch(x.ctx, x.failure(id, lease))
		}, func(s situation) (batch.Status, error) { return validated(s, batch.Failed) }}),
		everywhere(move{"close", func(x *fixture, id string, lease batch.LeaseID) error {
			_, err := x.store.CloseBatch(x.ctx, store.Close{Batch: id, Lease: lease, Now: x.now})
			return err
		}, closed}),
		everywhere(move{"cancel", func(x *fixture, id string, _ batch.LeaseID) error {
			_, err := x.store.CancelBatch(x.ctx, tenant, id, x.now)
			return err
		}, func(s situation) (batch.Status, error) {
			switch {
			case s.status == batch.Cancelling, s.status == batch.Cancelled:
				return s.status, nil
			case s.stop != batch.StopNone, s.status.Terminal():
				return "", store.ErrConflict
			default:
				return batch.Cancelling, nil
			}
		}}),
		everywhere(move{"seal under an unknown lease", func(x *fixture, id string, lease batch.LeaseID) error {
			u := batch.Unit{UnitID: batch.UnitID{Batch: id, Ordinal: 1}, Lease: lease}
			_, err := x.store.SealUnits(x.ctx, newSeals([]batch.Unit{u}), x.now)
			return err
		}, func(situation) (batch.Status, error) { return "", store.ErrLeaseLost }}),
		{"every situation is what it is called", func(x *fixture) {
			for _, s := range situations() {
				x := x.fresh()
				s.build(x, "b1")
				b := x.read("b1")
				x.same([]any{s.name, b.Status, b.Stop}, []any{s.name, s.status, s.stop})
				for _, stage := range []store.Stage{store.StageValidate, store.StageFinalize} {
					_, err := x.store.LeaseBatch(x.ctx, stage, store.Holder{Node: node, Lease: batch.NewLeaseID()})
					if stage == s.due {
						x.ok(err)
					} else {
						x.fails(err, store.ErrNoWork)
					}
				}
			}
		}},
		{"the passing of the window, in every situation", func(x *fixture) {
			for _, s := range situations() {
				x := x.fresh()
				s.build(x, "b1")
				before := x.read("b1")
				ids := x.expire()
				after := x.read("b1")
				if s.stop == batch.StopNone && (s.status == batch.Validating || s.status == batch.InProgress) {
					x.same(ids, []string{"b1"})
					before.Stop = batch.StopExpire
				} else {
					x.same(ids, []string(nil))
				}
				x.same(after, before)
			}
		}},
	}},
}

// everywhere is the test that a move does in every situation what it should.
func everywhere(m move) test {
	return test{m.name + " in every situation", func(x *fixture) {
		for _, s := range situations() {
			tryMove(x.fresh(), s, m)
		}
	}}
}

// tryMove checks one method in one situation: what it answers, what it changes, and that the state graph allows it.
func tryMove(x *fixture, s situation, m move) {
	x.Helper()
	s.build(x, "b1")
	lease := batch.NewLeaseID()
	if s.due != "" {
		lease = x.lease(s.due, "b1")
	}
	before := x.read("b1")
	x.tick()
	next, wantErr := m.next(s)
	err := m.do(x, "b1", lease)
	after := x.read("b1")
	if wantErr != nil {
		x.fails(err, wantErr)
		x.same(after, before)
		return
	}
	if err != nil {
		x.Fatalf("%s a batch that is %s: %v", m.name, s.name, err)
	}
	if next == before.Status {
		x.same(after, before)
		return
	}
	x.same(after.Status, next)
	x.same([]any{after.Version, after.UpdatedAt}, []any{before.Version + 1, x.now})
	if !before.Status.CanMoveTo(next) {
		x.Fatalf("%s moved a batch from %s to %s", m.name, before.Status, next)
	}
	if stamps := stampsAt(after, x.now); !slices.Equal(stamps, []batch.Status{next}) {
		x.Fatalf("%s stamped %v", m.name, stamps)
	}
}

// stampsAt returns the states that the batch is said to have reached at now.
func stampsAt(b batch.Batch, now time.Time) []batch.Status {
	reached := map[batch.Status]time.Time{
		batch.InProgress: b.InProgressAt, batch.Finalizing: b.FinalizingAt, batch.Completed: b.CompletedAt,
		batch.Failed: b.FailedAt, batch.Expired: b.ExpiredAt, batch.Cancelling: b.CancellingAt, batch.Cancelled: b.CancelledAt,
	}
	var stamps []batch.Status
	for status, at := range reached {
		if at.Equal(now) {
			stamps = append(stamps, status)
		}
	}
	return stamps
}
