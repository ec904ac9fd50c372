package check

import (
	"strconv"
	"strings"

	"batchd/internal/batch"
	"batchd/internal/blob"
)

// Kind is what a file of a data directory is for.
type Kind string

// The kinds of files. What is stored under a key of no known form is Unknown.
const (
	Database Kind = "database"
	Sequence Kind = "sequence"
	Upload   Kind = "upload"
	Plan     Kind = "plan"
	Segment  Kind = "segment"
	Manifest Kind = "manifest"
	Result   Kind = "result"
	Journal  Kind = "journal"
	Lost     Kind = "lost"
	Unknown  Kind = "unknown"
)

// Object is what the key of a blob says of it.
type Object struct {
	Kind Kind
	// Batch is the id of the batch that the key carries, "" if it carries none.
	Batch string
	// Unit is the ordinal of a segment's unit.
	Unit int
	// Tail is the end of the key: the lease of a plan, the hash of a segment.
	Tail string
}

// ParseKey reads the key of a blob. An upload's carries no batch; a merged result lies beside uploads and carries one. Ids
// of batches may hold hyphens, so keys are read from their end.
func ParseKey(key string) Object {
	kind, rest, _ := strings.Cut(key, "/")
	switch kind {
	case "plans":
		_, name, _ := strings.Cut(rest, "/")
		id, lease := cutLast(name)
		if isLease(lease) && blob.BatchKey(kind, id, lease) == key {
			return Object{Kind: Plan, Batch: id, Tail: lease}
		}
	case "segments":
		_, name, _ := strings.Cut(rest, "/")
		name, hash := cutLast(name)
		id, number := cutLast(name)
		unit, err := strconv.Atoi(number)
		if err == nil && unit >= 0 && isLease(hash) && blob.BatchKey(kind, id, number+"-"+hash) == key {
			return Object{Kind: Segment, Batch: id, Unit: unit, Tail: hash}
		}
	case "manifests":
		if id, name, ok := strings.Cut(rest, "/"); ok {
			if lease, _ := cutLast(name); isLease(lease) {
				return Object{Kind: Manifest, Batch: id, Tail: lease}
			}
		}
	case blob.Files:
		name, _ := cutLast(rest)
		if id, lease := cutLast(name); isLease(lease) {
			return Object{Kind: Result, Batch: id, Tail: lease}
		}
		return Object{Kind: Upload}
	}
	return Object{Kind: Unknown}
}

// cutLast cuts a name at its last hyphen; without one all of it is the tail.
func cutLast(name string) (before, tail string) {
	i := strings.LastIndexByte(name, '-')
	if i < 0 {
		return "", name
	}
	return name[:i], name[i+1:]
}

// isLease reports whether a part of a name has the form of a lease id, which hashes share.
func isLease(s string) bool {
	_, err := batch.ParseLeaseID(s)
	return err == nil
}
