package store

// BlobUse is what a blob is kept for.
type BlobUse string

// What blobs are kept for.
const (
	// BlobInput is what users gave: a file that they uploaded, or a part of an upload that is not over.
	BlobInput BlobUse = "input"
	// BlobResult is a result file, or a sealed unit of a batch that has none yet.
	BlobResult BlobUse = "result"
	// BlobPlan is the plan of a batch that is not terminal.
	BlobPlan BlobUse = "plan"
	// BlobDeleted is a file that was deleted or has expired, and that nothing else keeps, or a dropped blob.
	BlobDeleted BlobUse = "deleted"
	// BlobUnreferenced is what Unreferenced returns: no row refers to it.
	BlobUnreferenced BlobUse = "unreferenced"
)

// BlobOwner is whose a blob is, and what it is kept for.
type BlobOwner struct {
	Use BlobUse
	// Tenant is the id of the tenant; "" for an unreferenced blob.
	Tenant string
}
