package batch

import "time"

// UploadStatus is the state of an upload in parts.
type UploadStatus string

// The states of an upload. Only a pending one takes parts; the others are final.
const (
	UploadPending   UploadStatus = "pending"
	UploadCompleted UploadStatus = "completed"
	UploadCancelled UploadStatus = "cancelled"
	UploadExpired   UploadStatus = "expired"
)

// UploadTTL is how long after its creation an upload takes parts. Clients are told an hour: the error of an expired upload
// names it.
const UploadTTL = time.Hour

// MaxPartBytes is the longest part of an upload, MaxParts how many parts one may have.
const (
	MaxPartBytes = 64 * MiB
	MaxParts     = 10_000
)

// MaxResent is how many times its announced bytes an upload's parts may have in all: clients send a part again when its
// answer got lost, and which parts count is only said in the end.
const MaxResent = 2

// Upload is a file that arrives in parts.
type Upload struct {
	ID      string
	Tenant  string
	Dialect string
	// Name, Purpose and MIMEType are those of the file it becomes; Bytes is how long that will be.
	Name     string
	Purpose  Purpose
	MIMEType string
	Bytes    int64
	// FileTTL is how long the file it becomes is kept; zero means until it is deleted.
	FileTTL   time.Duration
	Status    UploadStatus
	CreatedAt time.Time
	// ExpiresAt is when a pending upload stops taking parts; its parts are dropped then.
	ExpiresAt time.Time
	// FileID is the file that a completed upload became, else "".
	FileID string
}

// StatusAt returns the status at now: a pending upload expires by itself.
func (u Upload) StatusAt(now time.Time) UploadStatus {
	if u.Status == UploadPending && !now.Before(u.ExpiresAt) {
		return UploadExpired
	}
	return u.Status
}

// Part is a run of an upload's bytes. Its place among the others is said when the upload is completed.
type Part struct {
	ID        string
	Upload    string
	Content   Blob
	Lines     LineSpan
	CreatedAt time.Time
}

// LineSpan counts the non-blank lines of a run of bytes so that the spans of adjacent runs can be joined, in any
// grouping, without reading the bytes again. The zero value is the span of no bytes.
type LineSpan struct {
	// Broken says that the run has a line break; without one it is all Head, and Tail equals Head.
	Broken bool
	// Head says that there is something before the first line break, Tail that there is after the last.
	Head, Tail bool
	// Whole is the number of non-blank lines between the first and the last line break.
	Whole int64
}

// Join returns the span of a's bytes followed by b's.
func (a LineSpan) Join(b LineSpan) LineSpan {
	switch {
	case !a.Broken && !b.Broken:
		either := a.Head || b.Head
		return LineSpan{Head: either, Tail: either}
	case !a.Broken:
		b.Head = a.Head || b.Head
		return b
	case !b.Broken:
		a.Tail = a.Tail || b.Head
		return a
	}
	joined := LineSpan{Broken: true, Head: a.Head, Tail: b.Tail, Whole: a.Whole + b.Whole}
	if a.Tail || b.Head {
		joined.Whole++
	}
	return joined
}

// Lines returns the number of non-blank lines of a file that is just this run.
func (a LineSpan) Lines() int64 {
	n := a.Whole
	if a.Head {
		n++
	}
	if a.Broken && a.Tail {
		n++
	}
	return n
}
