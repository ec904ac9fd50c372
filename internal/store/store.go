// Package store is the contract of the metadata store: files, batches, units and leases. Each method is one atomic
// operation of the domain that is durable when it returns nil; no transaction crosses this interface. The single
// requests of a batch have no rows. Times are passed in, so that every implementation and fake time agree. One
// conformance suite, storetest, is run on every implementation.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"batchd/internal/batch"
)

// Errors that callers branch on. Implementations wrap them.
var (
	// ErrNotFound means that this tenant has no such object.
	ErrNotFound = errors.New("not found")
	// ErrNoWork means that there is nothing to lease.
	ErrNoWork = errors.New("no work")
	// ErrLeaseLost means that the row no longer carries the lease id that the write named, or is held by nobody, or is
	// not there at all: a write under a lease never answers ErrNotFound.
	ErrLeaseLost = errors.New("lease lost")
	// ErrSealed means that the unit whose lease was named is sealed, so that its results are all there. It is an
	// ErrLeaseLost too.
	ErrSealed = fmt.Errorf("sealed: %w", ErrLeaseLost)
	// ErrConflict means that the object's state forbids the move, or that the id of a new object is taken.
	ErrConflict = errors.New("state forbids it")
	// ErrBadCursor means that a list's After names no object of this tenant.
	ErrBadCursor = errors.New("no such cursor")
	// ErrExpired means that the tenant's object was there until it expired. It is an ErrNotFound too.
	ErrExpired = fmt.Errorf("expired: %w", ErrNotFound)
	// ErrTooLong means that the parts of an upload would have far more bytes than were announced.
	ErrTooLong = errors.New("more bytes than announced")
	// ErrTooManyParts means that an upload has batch.MaxParts parts already.
	ErrTooManyParts = errors.New("too many parts")
	// ErrNoSpace means that there is no room for the write on the disk, or in a quota of its file system. Nothing was done.
	ErrNoSpace = errors.New("no space left for metadata")
	// ErrUnavailable means that the store takes no writes for now, and that nothing was written. The same call works later.
	ErrUnavailable = errors.New("store takes no writes")
	// ErrKeyReused means that an idempotency key is taken by a call that asked for something else.
	ErrKeyReused = errors.New("idempotency key was used for another call")
)

// IdempotencyKeyTTL is how long an idempotency key is remembered, from the creation of its batch: as long as clients
// may expect that a call can be sent again without harm.
const IdempotencyKeyTTL = 24 * time.Hour

// Store is everything. Packages ask for the part they need. All methods may be called concurrently. A context ends
// the wait for a method's turn, and then nothing was done; a write that has begun is finished. An error that wraps none
// of the sentinels and no context error leaves open whether a write was done; reading back by id or lease id shows it.
type Store interface {
	Files
	Uploads
	Batches
	Work
	Maintenance
	Scrub
	Tenants
	Webhooks
	Audit
	Clock
	Repair
	// DefaultTenant returns the UUID of the tenant that was minted with the store.
	DefaultTenant(ctx context.Context) (string, error)
	// ListAllBatches returns a page of the batches of all tenants, newest first, for whoever runs the server. after is
	// the id of the last batch of the page before, "" for the first page; an unknown one is ErrBadCursor.
	ListAllBatches(ctx context.Context, after string, limit int) (Page[batch.Batch], error)
	// Probe writes something that changes nothing, to find out whether the store takes writes.
	Probe(ctx context.Context) error
	// Close waits for running methods and closes the store.
	Close() error
}

// Files are the methods on files. A file that was deleted, or that had expired by the given time, is absent.
type Files interface {
	// CreateFile stores a new file row; Seq is assigned by the store. An id that any tenant's file has is ErrConflict,
	// also one that is hidden. A file that would exceed the tenant's quota of files or bytes is *QuotaError; of calls at the same time only as many
	// succeed as there is room for.
	CreateFile(ctx context.Context, f batch.File) error
	// File returns a file, or ErrNotFound: ErrExpired while it is known that there was one which has expired.
	File(ctx context.Context, tenant, id string, now time.Time) (batch.File, error)
	// ListFiles returns a page in order of creation, newest first unless the query says otherwise.
	ListFiles(ctx context.Context, tenant string, q FileQuery) (Page[batch.File], error)
	// DeleteFile hides the file at once: it is no file any more for its tenant's quota of files. Its bytes count until
	// PurgeFiles.
	DeleteFile(ctx context.Context, tenant, id string, now time.Time) error
}

// FileQuery selects a page of files.
type FileQuery struct {
	// Purpose keeps only files of this purpose; "" keeps all.
	Purpose batch.Purpose
	// After is the id of the last file of the page before; "" for the first page. An unknown one is ErrBadCursor; one
	// that was hidden since serves until it is purged, so that a caller may delete what it pages through.
	After     string
	Limit     int
	Ascending bool
	Now       time.Time
}

// Page is one page of a list.
type Page[T any] struct {
	Items   []T
	HasMore bool
}

// Batches are the methods on batches that the API needs.
type Batches interface {
	// CreateBatch stores a new batch in state validating; Seq is assigned by the store. The input file must exist
	// for the tenant at b.CreatedAt and is held from then on until the batch is terminal; otherwise ErrNotFound. Of b
	// only what its creator chose is taken: ids, key, dialect, endpoint, window and its end, metadata, TTL, remark. An
	// id that is taken is ErrConflict. UpdatedAt is zero until the first change. Where b.Ahead is not 0 it is taken off
	// b.CreatedAt for whatever is decided by the time, and the window ends at the later of what both clocks say, until
	// SettleWindows knows better.
	CreateBatch(ctx context.Context, b batch.Batch) error
	// CreateBatchOnce is CreateBatch under a key, and returns the batch as it then is. While the tenant's key is
	// remembered at b.CreatedAt, nothing is created: the same call gets the batch of the first one, whatever became of
	// its input file, and any other call ErrKeyReused. Of concurrent calls one is the first. A refused one leaves the
	// key free.
	CreateBatchOnce(ctx context.Context, b batch.Batch, key IdempotencyKey) (batch.Batch, error)
	// BatchOfKey returns the batch that was made under the key, as it is now. A key that is not remembered
	// at now is ErrNotFound, one that another call took ErrKeyReused.
	BatchOfKey(ctx context.Context, tenant string, key IdempotencyKey, now time.Time) (batch.Batch, error)
	// CreateFailedBatch stores a batch that is failed from the beginning, with its errors: version 1, no counts, nothing
	// held. Its input file need not exist. It counts against batches per hour only.
	CreateFailedBatch(ctx context.Context, b batch.Batch, errs []batch.LineError) (batch.Batch, error)
	// CreateFailedBatchOnce is CreateFailedBatch under a key, as CreateBatchOnce is CreateBatch.
	CreateFailedBatchOnce(ctx context.Context, b batch.Batch, key IdempotencyKey, errs []batch.LineError) (batch.Batch, error)
	// Batch returns a batch of the tenant, or ErrNotFound.
	Batch(ctx context.Context, tenant, id string) (batch.Batch, error)
	// EditBatch changes what may be changed at any time, and returns the batch as it then is. Version and UpdatedAt
	// move, also if the value is the same.
	EditBatch(ctx context.Context, tenant, id string, e Edit, now time.Time) (batch.Batch, error)
	// ListBatches returns a page, newest first.
	ListBatches(ctx context.Context, tenant string, q BatchQuery) (Page[batch.Batch], error)
	// CancelBatch sets the stop to cancel and the status to cancelling, and returns the batch as it then is. On a
	// batch that is cancelling or cancelled it changes nothing. On another terminal one, or one whose stop is
	// already expire, it is ErrConflict, returned with the batch as it is.
	CancelBatch(ctx context.Context, tenant, id string, now time.Time) (batch.Batch, error)
}

// IdempotencyKey is what a client names a create call by, so that it can be sent again without harm. Keys of different
// tenants have nothing to do with each other.
type IdempotencyKey struct {
	Key string
	// Fingerprint is a SHA-256 of all that the call asks for: two calls with the same one ask for the same.
	Fingerprint [32]byte
}

// BatchQuery selects a page of batches.
type BatchQuery struct {
	// After is the id of the last batch of the page before; "" for the first page. An unknown one is ErrBadCursor.
	After string
	Limit int
	// Statuses keeps only batches in one of these states; none keeps all.
	Statuses []batch.Status
	// CreatedAfter and CreatedBefore keep only batches created at or after, and before, these times; zero keeps all.
	CreatedAfter  time.Time
	CreatedBefore time.Time
}

// Edit is what to change of a batch; nil leaves a field as it is.
type Edit struct{ Remark *string }

// Stage is a step of a batch that runs under a lease on the batch.
type Stage string

// The stages.
const (
	// StageValidate is due for batches that never started: in state validating, stopped ones included, or cancelling
	// without any units. A stopped one wants only CloseBatch.
	StageValidate Stage = "validate"
	// StageFinalize is due for batches that are Ready: finalizing, or stopped with every unit sealed.
	StageFinalize Stage = "finalize"
)

// Holder names who takes a lease. In the single-node store the lock on the data directory is the lease: work held by
// any other node is free to take, since that node must be dead.
type Holder struct {
	// Node is random for each start of the process.
	Node  string
	Lease batch.LeaseID
}

// Work are the methods of the executor: everything between create and close.
type Work interface {
	// LeaseBatch takes a batch that is due for stage and not held by this node, oldest first, or ErrNoWork.
	LeaseBatch(ctx context.Context, stage Stage, h Holder) (batch.Batch, error)
	// ReleaseBatch gives a batch back, so that it can be leased again. StartBatch, FailBatch and CloseBatch do so too
	// when they succeed.
	ReleaseBatch(ctx context.Context, id string, lease batch.LeaseID) error
	// InputFile returns the file a batch reads, also if it has been deleted or has expired since; ErrNotFound once it
	// is purged, which cannot be before the batch is terminal.
	InputFile(ctx context.Context, batchID string) (batch.File, error)
	// StartBatch stores the units, the totals and the plan and moves a validating batch to in_progress, in one
	// transaction. A batch that was stopped meanwhile is ErrConflict and stays as it was; a batch with no lease of this
	// id is ErrLeaseLost; one that would exceed the tenant's quota of enqueued tokens is *QuotaError. It may hold tens
	// of thousands of units, and must hold one. Batch.Model is set if there is one model only.
	StartBatch(ctx context.Context, s Start) error
	// FailBatch moves a validating batch to failed with its errors. ErrConflict if it was stopped meanwhile.
	FailBatch(ctx context.Context, f Failure) error
	// RunningBatches returns the batches with unsealed units: in progress, or stopped and not yet Ready, oldest
	// first.
	RunningBatches(ctx context.Context) ([]batch.Batch, error)
	// BatchByID returns a batch of any tenant.
	BatchByID(ctx context.Context, id string) (batch.Batch, error)
	// LeaseUnits takes up to n pending units of a batch in order of their ordinals, giving each its own new lease id.
	// None left is an empty slice. Units of a stopped batch are leased like any other. No such batch is ErrNotFound.
	LeaseUnits(ctx context.Context, batchID, node string, n int) ([]batch.Unit, error)
	// LeaseUnitsOf is LeaseUnits for units of the given models only, by their ordinals in the batch's table.
	LeaseUnitsOf(ctx context.Context, batchID, node string, models []int, n int) ([]batch.Unit, error)
	// AdoptUnit puts a new lease id in place of any of the ids in from on an unsealed unit, or ErrLeaseLost. A sealed
	// unit is ErrSealed, whatever the ids: only then is a journal of it of no more use.
	AdoptUnit(ctx context.Context, id batch.UnitID, from []batch.LeaseID, h Holder) (batch.Unit, error)
	// ReclaimUnits makes pending again every unit that another node holds, and returns how many. The lease id stays
	// in the row until the next lease replaces it, so that AdoptUnit can bring it back; until then it seals nothing.
	ReclaimUnits(ctx context.Context, node string) (int, error)
	// SealUnits records the results of units, all of one batch, in one transaction: rows, the batch's counts and usage.
	// The seal that reaches the unit count makes the batch Ready and, if no stop is set, moves it to finalizing. If any
	// of the units does not carry its lease id (or is sealed already) nothing is done and the error is ErrLeaseLost.
	SealUnits(ctx context.Context, seals []batch.Seal, now time.Time) (SealResult, error)
	// SealedUnits returns the seals of a batch from ordinal first on, at most n, in order.
	SealedUnits(ctx context.Context, batchID string, first, n int) ([]batch.Seal, error)
	// CloseBatch creates the result files and moves the batch to its terminal state, in one transaction. The stop is
	// read again inside it: none gives completed, cancel cancelled, expire expired. It also closes a batch that was
	// stopped while validating: total 0, no files. It returns the batch as it then is.
	CloseBatch(ctx context.Context, c Close) (batch.Batch, error)
}

// Start is what validation found out.
type Start struct {
	Batch string
	Lease batch.LeaseID
	Now   time.Time
	Units []batch.UnitSpan
	Total int64
	// Tokens is an estimate of the tokens in all requests.
	Tokens      int64
	Plan        batch.Blob
	Models      []string
	InLineOrder bool
}

// Failure is why validation failed: the first errors, and how many there are.
type Failure struct {
	Batch  string
	Lease  batch.LeaseID
	Now    time.Time
	Errors []batch.LineError
	Total  int64
}

// SealResult says where a batch stands after a seal.
type SealResult struct {
	// Ready is set when every unit is sealed.
	Ready bool
	Stop  batch.Stop
}

// Close is what finalizing made. Output and Error are nil where no line went there.
type Close struct {
	Batch  string
	Lease  batch.LeaseID
	Now    time.Time
	Output *ResultFile
	Error  *ResultFile
}

// ResultFile is a result file with the keys of every blob its manifest refers to, directly or through ContentBlob.
type ResultFile struct {
	File  batch.File
	Blobs []string
}

// Maintenance are the methods of the sweeper. Those that take n do at most so many at a time, so that a transaction
// stays short, and return how many they did: fewer than n means that nothing is left to do.
type Maintenance interface {
	// ExpireBatches sets the stop to expire on every batch that is validating or in progress, has no stop, and whose
	// window has passed (Batch.EndsAt), and returns their ids. It writes nothing when there is none. No status changes by
	// it, so neither does a version.
	ExpireBatches(ctx context.Context, now time.Time) ([]string, error)
	// SettleWindows decides when the windows end of batches that were created while the clocks differed (Batch.Ahead), and
	// returns how many there were. It is called when both clocks agree, with the sum of the steps that were taken until then:
	// a window ends Ahead before ExpiresAt, and later by the steps since the batch's creation, so that it is as long as it
	// should be whichever clock was right. It writes nothing when there is none.
	SettleWindows(ctx context.Context, shift time.Duration) (int, error)
	// DeleteExpiredFiles hides files that had expired by now, at most n, and returns how many.
	DeleteExpiredFiles(ctx context.Context, now time.Time, n int) (int, error)
	// HiddenFiles returns a page of the hidden files that no batch holds, longest hidden first.
	HiddenFiles(ctx context.Context, q HiddenQuery) ([]HiddenFile, error)
	// LastReferences returns the keys of the blobs that these hidden files refer to and nothing else does, each once: what
	// has to be deleted before the files are purged. A blob that two of the files share is among them.
	LastReferences(ctx context.Context, fileIDs []string) ([]string, error)
	// PurgeFiles forgets those of the files that are hidden and that no batch holds, and returns how many. From then on
	// their bytes count no more, and their blobs lack that reference.
	PurgeFiles(ctx context.Context, fileIDs []string) (int, error)
	// DroppedBlobs returns the keys, at most n, of blobs that lost their last reference otherwise than by a file: parts
	// of uploads that are over, plans and merged segments of batches that have ended. It was before the given time, or
	// after beyond, which is a time that was never: the clock has gone back since.
	DroppedBlobs(ctx context.Context, before, beyond time.Time, n int) ([]string, error)
	// ForgetDroppedBlobs forgets blobs that are deleted by now. From then on their bytes count no more.
	ForgetDroppedBlobs(ctx context.Context, keys []string) error
	// Freeing returns how many bytes of what is deleted, expired or over still count against a tenant at now, or against
	// all with "".
	Freeing(ctx context.Context, tenant string, now time.Time) (Freeing, error)
	// ForgetIdempotencyKeys forgets the keys of batches created before the given time, oldest first, at most n, and
	// returns how many. The batches stay.
	ForgetIdempotencyKeys(ctx context.Context, before time.Time, n int) (int, error)
	// Unreferenced returns those of the keys that nothing refers to: no file, no part of an upload, no plan or segment
	// of a batch that is not terminal.
	Unreferenced(ctx context.Context, keys []string) ([]string, error)
	// BlobOwners returns what each of the keys is kept for, in their order. A blob that several rows refer to is the first
	// that applies of input, result, plan and deleted.
	BlobOwners(ctx context.Context, keys []string) ([]BlobOwner, error)
	// LiveLeases returns the ids of all leases on units and batches that are held now, for keys that carry them.
	LiveLeases(ctx context.Context) (map[batch.LeaseID]bool, error)
}

// Clock are the methods that keep the time across restarts, so that a clock which is set while the process is down is
// noticed.
type Clock interface {
	// LastTime returns the time that was saved last, zero if none was, with the sum of the steps that had been taken.
	LastTime(ctx context.Context) (t time.Time, shift time.Duration, err error)
	// SaveTime stores a time and a sum in place of the last ones, later or not.
	SaveTime(ctx context.Context, t time.Time, shift time.Duration) error
}

// DeletedStay is how long the bytes of a file stay after it was hidden, and after the last download of it has ended: a
// download that is under way when the file is deleted is served to its end. Those of parts, plans and segments stay as
// long.
const DeletedStay = 10 * time.Minute

// DeletedGone is how long after the file was hidden its bytes are gone at the latest, if nobody downloads it: maintenance
// looks every few seconds.
const DeletedGone = DeletedStay + 30*time.Second

// HiddenQuery selects hidden files.
type HiddenQuery struct {
	// After is the last file of the page before, zero for the first page. One without an id stands for its time alone.
	After HiddenFile
	// Before keeps only files that were hidden before this time; zero keeps all.
	Before time.Time
	Limit  int
}

// HiddenFile is a file that waits for its bytes to go.
type HiddenFile struct {
	ID string
	// Seq is the file's creation sequence.
	Seq      int64
	HiddenAt time.Time
	// Blobs is how many blobs the file refers to.
	Blobs int
}

// Freeing is what deleting has not freed yet.
type Freeing struct {
	// Bytes go by the time By, unless they are being downloaded then. By is zero where there are none.
	Bytes int64
	By    time.Time
	// Held are bytes of files that batches still read. They go soon after these have ended.
	Held int64
}
