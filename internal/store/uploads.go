package store

import (
	"context"
	"time"

	"batchd/internal/batch"
)

// Uploads are the methods on files that arrive in parts. Times decide: an upload that has expired takes nothing more,
// whatever its row says. Parts that an upload drops are gone for it at once; those that no file refers to count until
// ForgetDroppedBlobs.
type Uploads interface {
	// CreateUpload stores a new pending upload. An id that is taken is ErrConflict. The tenant's quotas of files and bytes
	// must have room for the whole file; else *QuotaError.
	CreateUpload(ctx context.Context, u batch.Upload) error
	// Upload returns an upload, and the file that it became if it is completed and the file is not deleted.
	Upload(ctx context.Context, tenant, id string, now time.Time) (batch.Upload, *batch.File, error)
	// AddPart stores a part of a pending upload; its blob is referenced from then on. An upload that is not pending at
	// now is ErrConflict. A part longer than the upload announced, or parts longer in all than batch.MaxResent times that,
	// are ErrTooLong, more than batch.MaxParts of them ErrTooManyParts. The tenant's quota of bytes holds. Parts may be
	// added at the same time, in any order.
	AddPart(ctx context.Context, tenant string, p batch.Part, now time.Time) error
	// Parts returns all parts of an upload, oldest first.
	Parts(ctx context.Context, tenant, uploadID string) ([]batch.Part, error)
	// CompleteUpload makes file f of a pending upload and drops its parts, in one transaction; the bytes of parts that the
	// file refers to count no longer, the file's do. An upload that is completed already is returned as it is with its file, so that a call may
	// be sent again; one that is cancelled or expired is ErrConflict, returned with the upload. So is an id of f that is
	// taken; the upload is then pending still. The quota of files holds, and that of bytes where f is longer than the
	// parts.
	CompleteUpload(ctx context.Context, tenant, id string, f batch.File, now time.Time) (batch.Upload, *batch.File, error)
	// CancelUpload ends a pending upload and drops its parts. One that is cancelled already is returned as it is; one
	// that is completed or expired is ErrConflict, returned with the upload.
	CancelUpload(ctx context.Context, tenant, id string, now time.Time) (batch.Upload, error)
	// ExpireUploads ends at most n pending uploads that have expired, drops their parts, and returns how many.
	ExpireUploads(ctx context.Context, now time.Time, n int) (int, error)
	// ForgetUploads forgets at most n uploads that are not pending and had expired before the given time, and
	// returns how many. Their files stay.
	ForgetUploads(ctx context.Context, before time.Time, n int) (int, error)
}
