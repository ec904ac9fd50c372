package main

// leaps are mutations of what a wall clock that is set must not end.
var leaps = []mutation{
	{
		name: "a step of the wall clock is taken at once", promise: "a clock that is wrong for a moment ends nothing (F16)",
		dir: "internal/clock",
		old: `s.held < Hold {`,
		new: `s.held < Hold && s.held < 0 {`,
		run: ".",
	},
	{
		name: "a wrong wall clock's time is stored for the next start", promise: "a clock that is wrong for a moment ends nothing (F16)",
		dir: "internal/clock",
		old: `c.o.Store.SaveTime(ctx, t.Steady, t.Shift)`,
		new: `c.o.Store.SaveTime(ctx, t.Wall, t.Shift)`,
		run: ".",
	},
	{
		name: "a window that was made by a wrong clock is not settled", promise: "a window is as long as it was asked for (F16)",
		dir: "internal/store/sqlite",
		old: `SET window_skew = ? - clock_ahead, clock_ahead = NULL`,
		new: `SET window_skew = window_skew + 0 * ?, clock_ahead = NULL`,
		run: "/clock",
	},
	{
		name: "a file's life is counted by the wall clock alone", promise: "a clock that is wrong for a moment deletes nothing (F16)",
		dir: "internal/clock",
		old: `	if t.Ahead() < 0 {
		return t.Steady
	}
	return t.Wall`,
		new: `	return t.Wall`,
		run: ".",
	},
	{
		name: "a key is revoked by the steady clock alone", promise: "a revoked key opens nothing after five seconds",
		dir: "internal/tenant",
		old: `!found.key.Usable(now) || found.key.Revoked(k.wall()) {`,
		new: `!found.key.Usable(now) {`,
		run: ".",
	},
}

// deliveries are mutations of what webhooks are told.
var deliveries = []mutation{
	{
		name: "what a dead process had leased is left until its leases end", promise: "events that a dead process had leased are sent at the start",
		dir: "internal/webhook",
		old: `	s.reclaim(ctx)
`,
		new: ``,
		run: ".",
	},
	{
		name: "an endpoint that is gone disables nothing", promise: "an endpoint that answers 410 is not called again",
		dir: "internal/store/sqlite",
		old: `a.State != store.DeliveryAbandoned || !a.Gone:`,
		new: `a.State != store.DeliveryAbandoned || !a.Gone || n > 0:`,
		run: "/endpoints|/outbox",
	},
	{
		name: "a callback's secret ends at once when it is replaced", promise: "a replaced secret signs for the overlap",
		dir: "internal/store/sqlite",
		old: `coalesce(w.previous, t.callback_previous, '')`,
		new: `coalesce(w.previous, '')`,
		run: "/callback|/secrets",
	},
	{
		name: "a replaced secret of callbacks is said to sign for ever", promise: "previous_secret_until is null once the overlap is over",
		dir: "internal/admin",
		old: `if !s.o.Now().Before(previousUntil) {`,
		new: `if previousUntil.IsZero() {`,
		run: "Callbacks",
	},
	{
		name: "what a wrong clock has put off is left there", promise: "a clock that is wrong for a moment holds up no event (F16)",
		dir: "internal/webhook",
		old: `			s.advance(ctx)
			more = true
`,
		new: `			more = true
`,
		run: ".",
	},
}
