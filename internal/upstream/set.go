package upstream

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// Set is the upstreams of a node. It does not change; its methods may be called concurrently. A nil Set has no
// upstreams and knows every model, which suits a node that only validates.
type Set struct {
	upstreams []*Upstream
}

// NewSet returns the set of these upstreams, in the order in which they are preferred. They must not be
// in use yet.
func NewSet(upstreams ...*Upstream) *Set {
	for _, u := range upstreams {
		u.models.sole = len(upstreams) == 1
	}
	return &Set{upstreams: slices.Clone(upstreams)}
}

// Upstreams returns the members in order.
func (s *Set) Upstreams() []*Upstream {
	if s == nil {
		return nil
	}
	return slices.Clone(s.upstreams)
}

// Models returns the names of the models that the upstreams list, in order and each once.
func (s *Set) Models() []string {
	var all []string
	for _, u := range s.Upstreams() {
		if names := u.models.listed.Load(); names != nil {
			all = append(all, *names...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Known reports whether a line may ask for the model: whether some upstream may serve it.
func (s *Set) Known(model string) bool {
	return s == nil || len(s.upstreams) == 0 || slices.ContainsFunc(s.upstreams, func(u *Upstream) bool { return u.Serves(model) })
}

// Serving appends to dst the upstreams that may serve the model, in order, and returns it.
func (s *Set) Serving(dst []*Upstream, model string) []*Upstream {
	if s == nil {
		return dst
	}
	for _, u := range s.upstreams {
		if u.Serves(model) {
			dst = append(dst, u)
		}
	}
	return dst
}

// RefreshModels asks all upstreams at once for their models and waits for them. The error joins what went wrong; the
// upstreams concerned keep the list they had.
func (s *Set) RefreshModels(ctx context.Context) error {
	if s == nil {
		return nil
	}
	errs := make([]error, len(s.upstreams))
	var wg sync.WaitGroup
	for i, u := range s.upstreams {
		wg.Go(func() { errs[i] = u.RefreshModels(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Close closes the idle connections of all upstreams.
func (s *Set) Close() {
	if s == nil {
		return
	}
	for _, u := range s.upstreams {
		u.Close()
	}
}
