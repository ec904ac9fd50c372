package app

import (
	"context"
	"errors"
	"fmt"

	"batchd/internal/batch"
	"batchd/internal/dispatch"
	"batchd/internal/store"
	"batchd/internal/unit"
	"batchd/internal/upstream"
)

// job lets the dispatcher open and settle the units of one batch.
type job struct {
	keeper *unit.Keeper
	input  *unit.Input
}

// Open opens a leased unit.
func (j job) Open(ctx context.Context, u batch.Unit) (dispatch.Unit, error) {
	opened, err := j.keeper.Open(ctx, j.input, u)
	if err != nil {
		return nil, err
	}
	return openUnit{opened}, nil
}

// Settle seals units that were never opened.
func (j job) Settle(ctx context.Context, units []batch.Unit, stop batch.Stop) (store.SealResult, error) {
	return j.keeper.Settle(ctx, j.input, units, stop)
}

// openUnit is an open unit in the dispatcher's terms.
type openUnit struct{ *unit.Unit }

// ID returns the unit's name.
func (u openUnit) ID() batch.UnitID { return u.UnitID }

// Take returns the next line that was not taken.
func (u openUnit) Take() (dispatch.Line, bool) {
	l, ok := u.Unit.Take()
	return dispatch.Line(l), ok
}

// Load reads a taken line.
func (u openUnit) Load(ctx context.Context, l dispatch.Line) (dispatch.Loaded, error) {
	loaded, err := u.Unit.Load(ctx, unit.Line(l))
	if err != nil && unit.Unreadable(err) {
		return dispatch.Loaded{}, fmt.Errorf("%w: %w", dispatch.ErrUnreadable, err)
	}
	return dispatch.Loaded(loaded), err
}

// Seal commits the unit.
func (u openUnit) Seal(ctx context.Context, stop batch.Stop) (store.SealResult, error) {
	result, err := u.Unit.Seal(ctx, stop)
	var missing *unit.MissingError
	if errors.As(err, &missing) {
		return result, &dispatch.Reopened{Lines: missing.Lines}
	}
	return result, err
}

// caller is an upstream in the dispatcher's terms.
type caller struct{ *upstream.Upstream }

// Call makes one call.
func (c caller) Call(ctx context.Context, call dispatch.Call) dispatch.Answer {
	r := c.Upstream.Call(ctx, upstream.Request{
		Endpoint: call.Endpoint, Body: call.Body, Key: call.Key, Deadline: call.Deadline,
	})
	return dispatch.Answer{
		Verdict: verdict(r.Disposition), Outcome: r.Outcome, RetryAfter: r.RetryAfter,
		Signal: r.Signal, Cause: r.Cause, Lost: r.Lost,
	}
}

// verdict translates what a call's result means for its line.
func verdict(d upstream.Disposition) dispatch.Verdict {
	switch d {
	case upstream.Answered:
		return dispatch.Final
	case upstream.Capacity:
		return dispatch.NoRoom
	case upstream.Ambiguous:
		return dispatch.Unsure
	case upstream.Broken:
		return dispatch.Broken
	case upstream.Denied:
		return dispatch.Denied
	default:
		return dispatch.Abandoned
	}
}
