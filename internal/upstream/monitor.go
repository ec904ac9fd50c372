package upstream

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"batchd/internal/dispatch"
	"batchd/internal/limit"
)

const (
	// modelsEvery is how often upstreams are asked which models they serve, and how long an answer is good for.
	modelsEvery = 30 * time.Second
	// inspectEvery is the pause before an upstream is asked again that something speaks against.
	inspectEvery = 30 * time.Second
)

// Monitor asks the upstreams of a Set what they serve, and finds out what speaks against them before anything is sent. Its
// methods may be called concurrently.
type Monitor struct {
	set *Set
	log *slog.Logger

	// mu guards found, by the upstreams' order.
	mu    sync.Mutex
	found map[int]Finding
}

// NewMonitor returns the monitor of a set, which says in the log what it finds that is news.
func NewMonitor(set *Set, logger *slog.Logger) *Monitor {
	return &Monitor{set: set, log: logger, found: make(map[int]Finding)}
}

// KeepModels keeps the lists of models fresh until ctx ends, and calls changed after each refresh. A sole upstream is not
// asked: it gets every line anyway.
func (m *Monitor) KeepModels(ctx context.Context, changed func()) {
	if len(m.set.upstreams) > 1 {
		m.keepModels(ctx, changed)
	}
}

// KeepSoleModels keeps the list of models of a sole upstream fresh until ctx ends, for those who ask which models there
// are. No line depends on it.
func (m *Monitor) KeepSoleModels(ctx context.Context) {
	if len(m.set.upstreams) == 1 && !m.set.upstreams[0].models.configured {
		m.keepModels(ctx, func() {})
	}
}

func (m *Monitor) keepModels(ctx context.Context, changed func()) {
	tick := time.NewTicker(modelsEvery)
	defer tick.Stop()
	for {
		m.refresh(ctx)
		changed()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// refresh asks all upstreams. One that cannot be asked keeps the list it had, and takes any model until there is one.
func (m *Monitor) refresh(ctx context.Context) {
	if err := m.set.RefreshModels(ctx); err != nil && ctx.Err() == nil {
		m.log.Debug("list models of upstreams", "error", err)
	}
}

// Known returns what validation asks about models, as the upstreams' lists stand now.
func (m *Monitor) Known(ctx context.Context) func(model string) bool {
	if len(m.set.upstreams) > 1 {
		m.refresh(ctx)
	}
	return m.set.Known
}

// Condition returns what speaks against an upstream, by its place in the set; its reason is empty if nothing does.
func (m *Monitor) Condition(i int) limit.Condition {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.found[i].Condition
}

// note keeps what was found, and reports whether it is news.
func (m *Monitor) note(i int, f Finding) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.found[i]
	same := before.Reason == f.Reason && before.V1Missing == f.V1Missing
	if same {
		f.Since = before.Since
	}
	m.found[i] = f
	return !same
}

// Inspect asks each upstream for its models and says what it finds, and goes on asking while something speaks against
// one, until its first call, which says more; states tells which were called. Nothing waits for it: an upstream may come
// up after the server, and one without a list works as well as any.
func (m *Monitor) Inspect(ctx context.Context, states func() []dispatch.UpstreamState) {
	for {
		var asked sync.WaitGroup
		called := states()
		for i, u := range m.set.upstreams {
			if called[i].Called {
				m.note(i, Finding{})
				continue
			}
			asked.Go(func() {
				f := u.Inspect(ctx)
				if f.Reason != "" {
					f.Next = time.Now().Add(inspectEvery)
				}
				if ctx.Err() == nil && m.note(i, f) {
					m.tell(u.Name(), f)
				}
			})
		}
		asked.Wait()
		wrong := false
		for i := range called {
			wrong = wrong || m.Condition(i).Reason != ""
		}
		if !wrong {
			return
		}
		next := time.NewTimer(inspectEvery)
		select {
		case <-ctx.Done():
			next.Stop()
			return
		case <-next.C:
		}
	}
}

// tell says what was found that is news.
func (m *Monitor) tell(name string, f Finding) {
	switch {
	case f.Reason == "":
		// At the start nothing is no news; later it is that the upstream works.
	case f.V1Missing:
		m.log.Warn("upstream has its models below /v1 only; add /v1 to its url", "upstream", name, "status", f.Status)
	case f.Reason == limit.ReasonMisconfigured:
		m.log.Warn("upstream has no list of models; is /v1 missing from its url?", "upstream", name)
	case f.Reason == limit.ReasonUnreachable:
		m.log.Warn("upstream does not answer", "upstream", name, "reason", f.Reason, "detail", f.Detail)
	default:
		m.log.Warn("upstream refuses the key", "upstream", name, "reason", f.Reason, "status", f.Status, "code", f.Code, "message", f.Message)
	}
}
