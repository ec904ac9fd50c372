// Package dispatch decides which line is sent next, to which upstream, and what happens to a line whose call
// failed. It leases units ahead of need, keeps a call in flight for every permit, shares the permits evenly between
// batches and by free permits between upstreams, and stops a batch within its grace. What a line says, how it is
// sent and where its outcome goes are behind small interfaces.
package dispatch

import (
	"context"
	"time"

	"batchd/internal/batch"
	"batchd/internal/limit"
	"batchd/internal/store"
)

// Line is a line of a unit, by its number in the input file.
type Line struct {
	Number uint32
	// Length is the line's length in bytes, which is what its call is charged for.
	Length uint32
}

// Loaded is a line's content for as long as its call runs.
type Loaded struct {
	CustomID []byte
	Body     []byte
}

// Unit is an open unit. Its methods may be called concurrently.
type Unit interface {
	ID() batch.UnitID
	// Model is the literal model string of the unit's lines.
	Model() string
	// Controls takes the unit's lines that are kept back (KeptBack); it is called once, before Take.
	Controls() []Line
	// Take returns the next line in plan order that was not taken, or false.
	Take() (Line, bool)
	// TakeLast returns the last line in plan order that was not taken, or false.
	TakeLast() (Line, bool)
	// Untaken reports whether Take and TakeLast would return a line.
	Untaken() bool
	// Left returns how many lines have no outcome.
	Left() int
	// Load reads a taken line. ErrUnreadable means that no later try can succeed.
	Load(ctx context.Context, l Line) (Loaded, error)
	// Record makes the outcome of a line final and returns how many lines are left. After an error it may be called again.
	Record(number uint32, customID []byte, o *batch.Outcome) (int, error)
	// Seal commits the unit; lines without an outcome get the stop's error, to which told adds what a line was last
	// answered. *Reopened says that lines came back; store.ErrLeaseLost that the unit is no longer ours. After another
	// error it may be called again.
	Seal(ctx context.Context, stop batch.Stop, told map[uint32]string) (store.SealResult, error)
}

// Job is a running batch, as units see it.
type Job interface {
	// Open opens a leased unit.
	Open(ctx context.Context, u batch.Unit) (Unit, error)
	// Settle seals units that were never opened, in one transaction, each line with the stop's error.
	Settle(ctx context.Context, units []batch.Unit, stop batch.Stop) (store.SealResult, error)
}

// Store is the part of the metadata store that the dispatcher needs.
type Store interface {
	LeaseUnits(ctx context.Context, batchID, node string, n int) ([]batch.Unit, error)
	LeaseUnitsOf(ctx context.Context, batchID, node string, models []int, n int) ([]batch.Unit, error)
}

// Upstream is where lines are sent. Its methods may be called concurrently.
type Upstream interface {
	// Name is the metrics label.
	Name() string
	// Serves reports whether the upstream takes lines of this model.
	Serves(model string) bool
	// Call makes one call.
	Call(ctx context.Context, c Call) Answer
}

// Call is one call to make.
type Call struct {
	Endpoint string
	Model    string
	Body     []byte
	// Key names the line, "<batch id>-<line number>": the same for every try of it.
	Key      string
	Deadline time.Time
}

// Answer is what became of a call.
type Answer struct {
	// Signal is what it says about the gate, and whether the outcome is final.
	Signal limit.Signal
	// Outcome is the line's outcome if no further try is made: the answer, or the code that stands for none. Its Body must be closed.
	Outcome batch.Outcome
	// Cause is a constant word for metrics and logs, like "timeout", "reset", "status_500".
	Cause string
}
