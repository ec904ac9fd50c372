package main

import "slices"

// mutations are all of them, in the order in which they run.
var mutations = slices.Concat(durable, lostTime, edges, ownFaults, limits, kinds, sending, roles, leaps, deliveries)

// durable are mutations of what is stored, and of what a crash must not cost.
var durable = []mutation{
	{
		name: "counts are shown before the fsync that covers them", promise: "a count never goes back, not even by a power cut",
		dir: "internal/unit",
		old: `	err := log.Sync()
	u.rescues = u.keeper.tellRescues(log, u.rescues)
	if err != nil {
		return fmt.Errorf("sync journal of unit %s: %w", u.UnitID, err)
	}
	failpoint.Hit(failpoint.JournalsSynced)
	u.show(appended)`,
		new: `	u.show(appended)
	err := log.Sync()
	u.rescues = u.keeper.tellRescues(log, u.rescues)
	if err != nil {
		return fmt.Errorf("sync journal of unit %s: %w", u.UnitID, err)
	}`,
		run: ".",
	},
	{
		name: "journals are not synced when the process stops", promise: "what a stop in order has shown survives a power cut",
		dir: "internal/unit",
		old: `		case <-ctx.Done():
			return k.Sync()`,
		new: `		case <-ctx.Done():
			return nil`,
		run: ".",
	},
	{
		name: "a journal does not name the lease that adopts its unit", promise: "a second crash loses no result either",
		dir: "internal/unit",
		old: `	err = log.Adopt(h.Lease)
`,
		new: ``,
		run: ".",
	},
	{
		name: "the copy of a journal whose fsync failed is not read back", promise: "no result is lost by a disk that fails once",
		dir: "internal/journal",
		old: `	if frames != j.frames {`,
		new: `	if frames < 0 {`,
		run: ".",
	},
	{
		name: "the mark of a failed fsync is ignored after a restart", promise: "no result is lost by a disk that fails once",
		dir: "internal/journal",
		old: `	j.suspect = err == nil
`,
		new: `	j.suspect = err == nil && false
`,
		run: ".",
	},
	{
		name: "a shortage of descriptors counts as a failed disk", promise: "nobody ends the process by opening connections",
		dir: "internal/journal",
		old: `return descriptors.IsShortage(err) ||`,
		new: `return false && descriptors.IsShortage(err) ||`,
		run: "F13",
	},
	{
		name: "a rescue that was put off copies frames in the wrong order", promise: "a shortage costs no result",
		dir: "internal/journal",
		old: `	if !j.suspect { // else`,
		new: `	if true { // else`,
		run: "F13",
	},
	{
		name: "connections are taken without a bound", promise: "nobody ends the process by opening connections",
		dir: "internal/httpserver",
		old: `	if s.open >= s.limits.Max {`,
		new: `	if s.open >= s.limits.Max && false {`,
		run: ".",
	},
	{
		name: "a connection is closed with a request under way", promise: "what is being answered is not cut off for others",
		dir: "internal/httpserver",
		old: `		s.waiting.Remove(c.element)
		c.element = nil
		s.busy++`,
		new: `		s.busy++`,
		run: ".",
	},
	{
		name: "lines are sent without a data directory", promise: "no call is paid for whose result cannot be kept",
		dir: "internal/unit",
		old: `	for k.o.Hold() != nil {`,
		new: `	for k.o.Hold() != nil && false {`,
		run: "Held",
	},
	{
		name: "rows are written without a data directory", promise: "nothing is acknowledged that cannot be kept",
		dir: "internal/store/sqlite",
		old: `	if err := w.guard(); err != nil {`,
		new: `	if err := w.guard(); err != nil && false {`,
		run: "Guarded",
	},
	{
		name: "names go to whatever directory has taken the place of ours", promise: "nothing is made anew where the data was",
		dir: "internal/vfs",
		old: `	return filepath.Join(o.root, local), o.Present()`,
		new: `	return filepath.Join(o.root, local), nil`,
		run: "Gone",
	},
	{
		name: "a blob takes its name without an fsync", promise: "an upload that was answered survives a power cut",
		dir: "internal/blob/disk",
		old: `	if err == nil {
		err = f.Sync()
	}`,
		new: ``,
		run: ".",
	},
	{
		name: "a block is not checked against its sum", promise: "damaged bytes are never served",
		dir: "internal/blob",
		old: `sum != id.sum {`,
		new: `sum != id.sum && n < 0 {`,
		run: "Damage|Corrupt|Conform|Store", in: "internal/blob/disk",
	},
	{
		name: "a lease protects none of its blobs", promise: "what is being made is not swept away",
		dir: "internal/sweep",
		old: `if heldByLease(info.Key, leases) {`,
		new: `if heldByLease(info.Key, leases) && false {`,
		run: ".",
	},
	{
		name: "every plan is taken to be in input order", promise: "results come in input order",
		dir: "internal/plan",
		old: `		c.inLineOrder = false`,
		new: `		c.inLineOrder = true`,
		run: ".",
	},
	{
		name: "the lines of the sealed units are not summed up", promise: "a batch with a line lost is never called complete",
		dir: "internal/assemble",
		old: `if units != a.Batch.Units || lines != a.Batch.Counts.Total {`,
		new: `if units != a.Batch.Units {`,
		run: ".",
	},
	{
		name: "a stopped batch goes on to finalizing as if it ran", promise: "a cancelled batch ends cancelled",
		dir: "internal/store/sqlite",
		old: `WHERE seq = ? AND ready AND status = 'in_progress' AND stop = 'none'`,
		new: `WHERE seq = ? AND ready AND status = 'in_progress'`,
		run: "Conformance/^seals$",
	},
	{
		name: "a unit is sealed under whatever lease", promise: "no unit is sealed twice",
		dir: "internal/store/sqlite",
		old: `		WHERE batch = ? AND ordinal = ? AND state = 1 AND lease = ?` + "`",
		new: `		WHERE batch = ? AND ordinal = ? AND state = 1 AND (lease = ? OR 1)` + "`",
		run: "Conformance/^seals$",
	},
	{
		name: "journals are synced before the last results are in", promise: "what a stop in order has shown survives a power cut",
		dir: "internal/app",
		old: `	loops.Wait()
	e.starter.Wait() // a batch that is being started may append a last outcome
	stopSyncing()
	syncer.Wait()
`,
		new: `	stopSyncing()
	syncer.Wait()
	loops.Wait()
	e.starter.Wait()
`,
		run: "AStopInOrder",
	},
	{
		name: "a missing database is made anew beside data", promise: "nothing is made anew over data (F14)",
		dir: "internal/datadir", in: "internal/app",
		old: `		if len(entries) > 0 {
			return false, nil
		}`,
		new: `		if len(entries) > 0 {
			return true, nil
		}`,
		run: "MissingDatabase",
	},
	{
		name: "commits are not numbered", promise: "a database that lost time is noticed (B03)",
		dir: "internal/store/sqlite",
		old: `SET number = number + 1, folded`,
		new: `SET number = number + 0, folded`,
		run: "EachCommitIsNumbered|LostTime",
	},
	{
		name: "the number of a commit is told before it is on disk", promise: "an ordinary crash is no lost time (B03)",
		dir: "internal/store/sqlite",
		old: `	if _, err := t.exec(ctx, ` + "`COMMIT`" + `); err != nil {`,
		new: `	_ = w.sequence.Raise(number)
	if _, err := t.exec(ctx, ` + "`COMMIT`" + `); err != nil {`,
		run: "EachCommitIsNumbered",
	},
	{
		name: "a database that is behind the sequence file is opened", promise: "a database that lost time is noticed (B03)",
		dir: "internal/store/sqlite",
		old: `found && told > has.number {`,
		new: `found && told > has.number && false {`,
		run: "LostTime",
	},
	{
		name: "a log is replayed into an older file", promise: "an older copy of the database is noticed (D12)",
		dir: "internal/store/sqlite",
		old: `		case base.number < has.folded:`,
		new: `		case base.number < has.folded && false:`,
		run: "OlderThanItsLog",
	},
	{
		name: "an older log is replayed into the database", promise: "an older copy of the log is noticed (D12)",
		dir: "internal/store/sqlite",
		old: `		case base.number <= has.number:`,
		new: `		case base.number <= has.number || true:`,
		run: "ALogThatEndsBefore",
	},
	{
		name: "the database is not compared with its checksum", promise: "a changed bit of the database is noticed (D12)",
		dir: "internal/store/sqlite",
		old: `	if got == want {`,
		new: `	if got == want || true {`,
		run: "ABitThatChanged",
	},
	{
		name: "the checksum of the database stays while it is changed", promise: "an ordinary crash is no damage (D7)",
		dir: "internal/store/sqlite",
		old: `	cleared, err := c.sum.Clear()`,
		new: `	cleared, err := false, error(nil)`,
		run: "ChecksumIsCleared",
	},
	{
		name: "a batch whose step failed is not given back", promise: "validation and finalizing are tried again",
		dir: "internal/leaseloop",
		old: `	l.release(ctx, b.ID, h.Lease)
`,
		new: ``,
		run: ".",
	},
	{
		name: "a batch that cannot be read keeps its place among those that are worked on", promise: "an unreadable input holds up no other batch",
		dir: "internal/leaseloop",
		old: `		l.asides.Go(func() { l.waitAside(ctx, aside, b.ID, h.Lease, length) })`,
		new: `		l.waitAside(ctx, aside, b.ID, h.Lease, length)`,
		run: "CannotBeRead",
	},
	{
		name: "an error of reading is taken for damage of nobody", promise: "an unreadable input is a stated reason to wait",
		dir: "internal/blob",
		old: `		return fmt.Errorf("%w: %w", ErrUnreadable, err)`,
		new: `		return err`,
		run: "BackendErrors",
	},
	{
		name: "every line of a batch that cannot be read is tried", promise: "an unreadable input costs other batches nothing (D13)",
		dir: "internal/dispatch",
		old: `func (j *job) unreadable() bool { return j.unread >= mostUnread }`,
		new: `func (j *job) unreadable() bool { return false }`,
		run: "LinesThatCannotBeRead",
	},
	{
		name: "a restart begins the pass over all files anew", promise: "damage is found within a week, however often the server starts",
		dir: "internal/scrub",
		old: `func (s *Scrubber) underWay() bool { return s.state.Finished.Before(s.state.Started) }`,
		new: `func (s *Scrubber) underWay() bool { return false }`,
		run: "ARestartGoesOn",
	},
	{
		name: "a busy disk is read on", promise: "scrubbing takes a small part of the disk's time",
		dir: "internal/scrub",
		old: `max(due-took, restShare*took)`,
		new: `due-took`,
		run: "KeepsToItsRate",
	},
	{
		name: "a file that is deleted while it is read counts as damaged", promise: "what is told of damage is true",
		dir: "internal/store/sqlite",
		old: `			SELECT seq, ?, ?, ?, ? FROM files WHERE id = ? AND hidden_at IS NULL` + "`",
		new: `			SELECT seq, ?, ?, ?, ? FROM files WHERE id = ?` + "`",
		run: "Conformance",
	},
	{
		name: "a stop that was stored while its batch was started is missed", promise: "a cancelled batch sends nothing more (D8)",
		dir: "internal/unit",
		old: `err == nil && b.Stop != batch.StopNone {`,
		new: `err == nil && b.Stop != batch.StopNone && false {`,
		run: "AStopThatIsStored",
	},
}

// edges are mutations of what clients, upstreams and webhooks meet.
var edges = []mutation{
	{
		name: "a file that is being downloaded is purged", promise: "a download that has begun is served to its end (I24)",
		dir: "internal/sweep",
		old: `			if s.o.Busy(f.ID) {`,
		new: `			if s.o.Busy(f.ID) && false {`,
		run: "I24",
	},
	{
		name: "deleted files are purged at once", promise: "a download that has begun is served to its end (I24)",
		dir: "internal/sweep",
		old: `store.HiddenQuery{Before: now.Add(-store.DeletedStay)}`,
		new: `store.HiddenQuery{Before: now}`,
		run: "I24",
	},
	{
		name: "a file whose bytes could not be removed is forgotten", promise: "bytes count until they are gone",
		dir: "internal/sweep",
		old: `		if len(ids) == 1 {
			s.o.Logger.Error`,
		new: `		if len(ids) == 1 {
			_, _ = s.o.Store.PurgeFiles(ctx, ids)
			s.o.Logger.Error`,
		run: "KeepsNoOther",
	},
	{
		name: "the end of a download is not remembered", promise: "a deleted file stays ten minutes after its last download",
		dir: "internal/openfile",
		old: `	r.left[h.fileID] = time.Now()
`,
		new: ``,
		run: ".",
	},
	{
		name: "a blob that another file has goes with the first", promise: "no result is lost with another's file",
		dir: "internal/store/sqlite",
		old: `AND o.file NOT IN (SELECT seq FROM going))`,
		new: `AND o.file < 0)`,
		run: "Conformance/^last",
	},
	{
		name: "parts of an upload that is over count no more at once", promise: "bytes count until they are gone",
		dir: "internal/store/sqlite",
		old: `	SELECT p.blob_key, p.tenant, p.bytes, ? FROM upload_parts p`,
		new: `	SELECT p.blob_key, p.tenant, 0, ? FROM upload_parts p`,
		run: "Conformance/^(quotas|what_is)",
	},
	{
		name: "new files use up the reserve", promise: "a file can be deleted on a full disk",
		dir: "internal/store/sqlite",
		old: `			if st.reserved {`,
		new: `			if st.reserved || true {`,
		run: "FullDisk",
	},
	{
		name: "deleting may not use the reserve", promise: "a file can be deleted on a full disk",
		dir: "internal/store/sqlite",
		old: `mine.ctx, mine.done = context.WithoutCancel(ctx), make(chan struct{})`,
		new: `mine.ctx, mine.done, mine.reserved = context.WithoutCancel(ctx), make(chan struct{}), false`,
		run: "FullDisk",
	},
	{
		name: "uploads at the same time do not count together", promise: "a tenant's quota of bytes holds",
		dir: "internal/httpapi/form",
		old: `	return a.incoming.add(a.tenant, n) <= a.left`,
		new: `	a.incoming.add(a.tenant, n)
	return a.taken <= a.left`,
		run: "I14AThousand|Incoming",
	},
	{
		name: "If-Range is ignored", promise: "a download that goes on never mixes two files",
		dir: "internal/httpapi/files", in: "internal/httpapi",
		old: `condition != tag && condition != modified {`,
		new: `condition != tag && condition != modified && false {`,
		run: "Range",
	},
	{
		name: "a batch of another tenant is found", promise: "what is another tenant's does not exist (D9)",
		dir: "internal/store/sqlite",
		old: "b, err := oneBatch(ctx, s.readers, `b.id = ? AND b.tenant = ?`, id, tenant)",
		new: "b, err := oneBatch(ctx, s.readers, `b.id = ? AND (b.tenant = ? OR 1)`, id, tenant)",
		run: "Conformance/^D9",
	},
	{
		name: "a key is believed for ever once it was good", promise: "a revoked key ends within five seconds",
		dir: "internal/tenant",
		old: `	fresh := ok && age >= 0 && age < keyCacheTTL //`,
		new: `	fresh := ok && age >= 0 //`,
		run: ".",
	},
	{
		name: "every address counts as loopback", promise: "without keys no network is served",
		dir: "internal/httpserver",
		old: `	return ip != nil && ip.IsLoopback()`,
		new: `	return ip == nil || ip != nil`,
		run: "LoopbackIs",
	},
	{
		name: "a private address hides behind NAT64", promise: "webhooks reach nothing inside (I17)",
		dir: "internal/webhook",
		old: `ok && (g.allows(inner) || public(inner)) {`,
		new: `ok && inner.IsValid() {`,
		run: ".",
	},
	{
		name: "a receiver's address is not looked at when it is called", promise: "webhooks reach nothing inside (I17)",
		dir: "internal/webhook",
		old: `	return o.Guard.Check(a.Addr())`,
		new: `	_ = a
	return nil`,
		run: "I17",
	},
	{
		name: "a long answer keeps its share of memory", promise: "memory for long answers is given back",
		dir: "internal/upstream",
		old: `{ <-l.permits }`,
		new: `{}`,
		run: ".",
	},
	{
		name: "an error in a good answer counts as served", promise: "a 200 whose body is an error is no result",
		dir: "internal/upstream",
		old: `	case a.isError:
		return reported(status, c, model)
`,
		new: ``,
		run: ".",
	},
}

// sending are mutations of the dispatcher.
var sending = []mutation{
	{
		name: "several suspects are in flight together", promise: "a line that crashes its server is found (U16)",
		dir: "internal/limit", skip: engines,
		old: `return g.address.suspects == 0 || !h.Suspect()`,
		new: `return g.address.suspects >= 0 || !h.Suspect()`,
		run: ".",
	},
	{
		name: "a call that broke beside a suspect is judged by itself", promise: "a line that crashes its server takes no others along (U16)",
		dir: "internal/limit", skip: engines,
		old: `; !p.suspect && (a.suspects > 0 || !p.began.after(a.crashed)) {`,
		new: `; a == nil {`,
		run: ".",
	},
	{
		name: "calls in flight are not bounded by their memory", promise: "memory stays bounded",
		dir: "internal/dispatch",
		old: `	if d.bytes >= d.o.MaxBytes {`,
		new: `	if d.bytes < 0 {`,
		run: "Bytes|Memory",
	},
	{
		name: "a seal whose answer was lost keeps its batch open", promise: "every batch ends",
		dir: "internal/dispatch",
		old: `	over := result.Ready || len(j.open) == 0 && j.unleased == 0 && j.opening == 0 && !j.leasing`,
		new: `	over := result.Ready`,
		run: "Seal|Ready",
	},
	{
		name: "a stop leaves the lines that wait", promise: "a cancelled batch sends nothing more (D8)",
		dir: "internal/dispatch",
		old: `	for _, u := range j.open {
		d.drop(u)
		if u.inFlight == 0 {`,
		new: `	for _, u := range j.open {
		if u.inFlight == 0 {`,
		run: "Stop|D8|Grace|U14",
	},
	{
		name: "a line that failed once is not sent again", promise: "every line gets an outcome (D2)",
		dir: "internal/dispatch",
		old: `		d.schedule.putOff(a, v, now)
		if`,
		new: `		if`,
		run: "NoLineIsForgotten|U15|U01",
	},
}
