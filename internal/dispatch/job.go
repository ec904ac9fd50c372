package dispatch

import (
	"context"
	"time"

	"batchd/internal/batch"
)

// job is a running batch. The dispatcher's mutex guards all of it but batch, job, ctx and cancel.
type job struct {
	schedule *schedule
	batch    batch.Batch
	job      Job
	ctx      context.Context
	cancel   context.CancelCauseFunc

	stop batch.Stop
	// lanes are what is open, by model.
	lanes map[int]*lane
	// open are all units that are leased and not sealed.
	open map[batch.UnitID]*unit
	// unleased is how many units nobody has leased, as far as this node knows; opening how many are leased and not open.
	unleased int
	opening  int
	leasing  bool
	// filling is how many units have lines that were never tried; extra how many more than usual are wanted.
	filling int
	extra   int
	// wantModels are models that an upstream with a free permit serves while no unit in filling names one; exhaustedModels
	// those of which nothing is left to lease.
	wantModels      []int
	exhaustedModels map[int]bool
	grace           *time.Timer
	// stopping is closed when the job is stopped.
	stopping chan struct{}
	// unopened is how many leased units could not be opened; unread how many lines could not be read and were not read since.
	unopened int
	unread   int
	// unwritten are its results that the disk does not take.
	unwritten unwritten
}

// unwritten is what waits to be written: how many results, since when, and what the last try failed with.
type unwritten struct {
	results int
	since   time.Time
	last    error
}

// unit is an open unit with what the schedule knows of it.
type unit struct {
	Unit
	job  *job
	lane *lane
	// inFlight is how many of its calls are in flight.
	inFlight int
	// sealing is set while a seal is under way.
	sealing bool
	// told is what the errors of lines without an outcome say, for a batch that is stopped, where there is more to say than
	// that.
	told map[uint32]string
}

// mostUnread is how many lines of a job may wait for storage before no further one is tried for the first time: what keeps
// so many from being read keeps most of them, and each that is put off takes memory.
const mostUnread = 16

// unreadable reports whether no further line of the job should be tried for the first time.
func (j *job) unreadable() bool { return j.unread >= mostUnread }

// mayLease reports whether units of a model may be there that nobody has leased.
func (j *job) mayLease(model int) bool {
	return j.unleased > 0 && !j.exhaustedModels[model] && j.stop == batch.StopNone
}

// canLease reports whether the next lease of the job may begin: one goes after the other, when all of the last is open.
func (j *job) canLease() bool {
	return j.stop == batch.StopNone && !j.leasing && j.opening == 0 && j.unleased > 0
}

// wantsUnits reports whether units should be leased ahead of need.
func (j *job) wantsUnits() bool {
	return j.canLease() && (j.filling < leaseAhead+j.extra || len(j.wantModels) > 0)
}
