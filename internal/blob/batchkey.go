package blob

import (
	"fmt"
	"hash/crc32"
)

// BatchKey returns the key of an object that belongs to a batch: a kind, one of 16 directories chosen by the batch's
// id, then the id and the rest of the name. A directory of its own for each batch would cost each an fsync more, and
// one directory for all would grow without bound.
func BatchKey(kind, batchID, rest string) string {
	return fmt.Sprintf("%s/%x/%s-%s", kind, crc32.ChecksumIEEE([]byte(batchID))%16, batchID, rest)
}
