package main

// lostTime are mutations of what is done about a database that has lost what was committed to it.
var lostTime = []mutation{
	{
		name: "a start passes over objects of a batch without a row", promise: "a database that lost time is noticed (D12)",
		dir: "internal/check",
		old: `		if lost[b.id] {`,
		new: `		if lost[b.id] && false {`,
		run: ".",
	},
	{
		name: "a journal fits a unit that another lease holds", promise: "a database that lost time is noticed (D12)",
		dir: "internal/check",
		old: `func (s Standing) Fits() bool { return s.KnownUnit && (s.Row.Seal != nil || s.Named) }`,
		new: `func (s Standing) Fits() bool { return s.KnownUnit }`,
		run: ".",
	},
	{
		name: "check looks once beside a server", promise: "check raises no false alarm beside a server",
		dir: "internal/check",
		old: `c.sum.Server && n < looks; n++`,
		new: `c.sum.Server && n < 0; n++`,
		run: ".",
	},
	{
		name: "results of other lines are adopted", promise: "repair adopts what fits its batch only",
		dir: "internal/repair",
		old: `foreign = foreign || !lines[line]`,
		new: `foreign = foreign && !lines[line]`,
		run: ".",
	},
	{
		name: "a segment is sealed whatever its bytes", promise: "repair adopts what fits its batch only",
		dir: "internal/repair",
		old: `	if sum := hash.Sum(nil); hex.EncodeToString(sum[:16]) != check.ParseKey(key).Tail {`,
		new: `	if sum := hash.Sum(nil); hex.EncodeToString(sum[:16]) == check.ParseKey("").Tail {`,
		run: ".",
	},
	{
		name: "a wanted older database takes results in", promise: "an older database that is accepted stays as it is",
		dir: "internal/repair",
		old: `	if w.AcceptOlder {
		return`,
		new: `	if w.AcceptOlder && false {
		return`,
		run: ".",
	},
	{
		name: "what is set aside replaces what lies there", promise: "nothing in lost/ is ever replaced (D12)",
		dir: "internal/datadir",
		old: `		_, err := fsys.Stat(free)
		switch {`,
		new: `		_, err := fs.FileInfo(nil), fs.ErrNotExist
		switch {`,
		run: ".",
	},
}
