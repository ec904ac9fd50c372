// Package failpoint marks the places where a crash must be harmless, so that tests can stop the process right
// there. In an ordinary build every Hit is an empty function; with the build tag "failpoint" the environment
// variable BATCHD_FAILPOINT says what happens. It owns the list of places and nothing else.
package failpoint

// Name is a place in the durable core. Each stands directly after the step that its comment names.
type Name string

// The places, in the order in which a batch passes them.
const (
	// UploadStored: the uploaded bytes are durable; no row refers to them yet.
	UploadStored Name = "upload.stored"
	// FileCreated: the file row is committed; the client has no answer yet.
	FileCreated Name = "file.created"
	// BatchCreated: the batch row is committed; the client has no answer yet.
	BatchCreated Name = "batch.created"
	// PlanStored: the plan is durable; no unit row exists yet.
	PlanStored Name = "plan.stored"
	// BatchStarted: the units are committed and the batch is in progress.
	BatchStarted Name = "batch.started"
	// UnitsLeased: leases are committed; no journal exists yet.
	UnitsLeased Name = "units.leased"
	// AnswerReceived: an upstream has answered; nothing of it is on disk.
	AnswerReceived Name = "answer.received"
	// OutcomeAppended: the outcome is in the journal, not yet synced.
	OutcomeAppended Name = "outcome.appended"
	// JournalsSynced: journals are durable; the counts have not been advanced.
	JournalsSynced Name = "journals.synced"
	// SegmentStored: a unit's segment is durable; the seal is not committed.
	SegmentStored Name = "segment.stored"
	// UnitSealed: the seal is committed; the journal still exists.
	UnitSealed Name = "unit.sealed"
	// LastUnitSealed: the seal that completes the batch is committed; nobody has been told.
	LastUnitSealed Name = "unit.sealed.last"
	// ManifestsStored: the result manifests are made; the closing transaction has not run.
	ManifestsStored Name = "manifests.stored"
	// BatchClosed: the closing transaction is committed.
	BatchClosed Name = "batch.closed"
	// BlobsDeleted: the bytes of deleted files are gone; their rows are not.
	BlobsDeleted Name = "blobs.deleted"
	// JournalAdopted: the adoption frame is durable; the row still names the old lease.
	JournalAdopted Name = "journal.adopted"
	// UnitAdopted: the row names the new lease.
	UnitAdopted Name = "unit.adopted"
)

// Names returns every place, in the order in which a batch passes them; recovery's own come last.
func Names() []Name {
	return []Name{
		UploadStored, FileCreated, BatchCreated, PlanStored, BatchStarted, UnitsLeased, AnswerReceived,
		OutcomeAppended, JournalsSynced, SegmentStored, UnitSealed, LastUnitSealed, ManifestsStored, BatchClosed,
		BlobsDeleted, JournalAdopted, UnitAdopted,
	}
}
