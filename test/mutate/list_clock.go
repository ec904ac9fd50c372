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
