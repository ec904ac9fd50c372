package store

import (
	"context"
	"time"

	"batchd/internal/batch"
)

// Scrub are the methods of the scrubber, which reads all files from time to time to see whether their bytes are still what
// they were.
type Scrub interface {
	// ScrubState returns what SaveScrub stored last, zero before the first time.
	ScrubState(ctx context.Context) (ScrubState, error)
	SaveScrub(ctx context.Context, s ScrubState) error
	// FilesFrom returns the files of all tenants that are neither deleted nor noticed to have expired, from the sequence
	// number first on, in order, at most n. Fewer than n means that there are no more.
	FilesFrom(ctx context.Context, first int64, n int) ([]batch.File, error)
	// RecordDamage notes that a file's blob was found damaged at d.Seen, and reports whether that is new. Of a file that is
	// gone or deleted nothing is noted, which is not new. Of one that was known it is kept when it was found first.
	RecordDamage(ctx context.Context, d Damage) (added bool, err error)
	// ForgetDamage forgets what was not found again since the given time.
	ForgetDamage(ctx context.Context, before time.Time) error
	// DropDamage forgets what was found wrong with one blob of a file. What is not known is no error.
	DropDamage(ctx context.Context, fileID, key string) error
	// Damages returns what is known of files that are not deleted, in the order in which it was found, at most n.
	Damages(ctx context.Context, n int) ([]Damage, error)
}

// ScrubState is how far scrubbing has come.
type ScrubState struct {
	// Started is when the pass under way began, or the last one; Finished when the last one was through.
	Started, Finished time.Time
	// File and Offset are where the pass goes on: the sequence number of the next file, and how much of it has been read.
	File, Offset int64
}

// Problem is what is wrong with a stored blob.
type Problem string

// The problems.
const (
	// ProblemDamaged: its bytes do not match their checksums.
	ProblemDamaged Problem = "damaged"
	// ProblemMissing: it is not there.
	ProblemMissing Problem = "missing"
	// ProblemUnreadable: it could not be read, which may pass.
	ProblemUnreadable Problem = "unreadable"
)

// Damage is what was found wrong with one blob that a file rests on.
type Damage struct {
	// File is the id of the file, Seq its sequence number, which Damages fills in, and Key that of the blob.
	File, Key string
	Seq       int64
	Problem   Problem
	// Found is when it was found first, Seen when it was found last.
	Found, Seen time.Time
}
