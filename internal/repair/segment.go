package repair

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"batchd/internal/batch"
	"batchd/internal/blob"
	"batchd/internal/check"
	"batchd/internal/journal"
)

// errDamaged says that a segment's bytes are not those that its key was made from.
var errDamaged = errors.New("its bytes are not those that its name was made from")

// segment is a segment that is whole.
type segment struct {
	key   string
	size  int64
	index []journal.IndexEntry
}

// readSegment reads a segment that no row refers to. Without a row there are no checksums, but its key ends in a hash of all
// of its bytes.
func (r *repairer) readSegment(ctx context.Context, key string) (segment, error) {
	info, err := r.Objects.Stat(ctx, key)
	if err != nil {
		return segment{}, err
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, r.object(ctx, key, info.Size)); err != nil {
		return segment{}, err
	}
	if sum := hash.Sum(nil); hex.EncodeToString(sum[:16]) != check.ParseKey(key).Tail {
		return segment{}, errDamaged
	}
	index, err := journal.ReadIndex(objectAt{ctx, r.Objects, key}, info.Size)
	if err != nil {
		return segment{}, err
	}
	return segment{key, info.Size, index}, nil
}

// object reads an object from its beginning.
func (r *repairer) object(ctx context.Context, key string, size int64) *io.SectionReader {
	return io.NewSectionReader(objectAt{ctx, r.Objects, key}, 0, size)
}

// objectAt is one object as an io.ReaderAt, unchecked.
type objectAt struct {
	ctx     context.Context
	objects blob.Backend
	key     string
}

// ReadAt implements io.ReaderAt.
func (o objectAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := o.objects.ReadAt(o.ctx, o.key, p, off)
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

// sealOf makes the seal of a unit from a segment that has all of its lines. The bytes are stored again under the same key,
// which gives the checksums that the row needs.
func (r *repairer) sealOf(ctx context.Context, u batch.Unit, s segment) (batch.Seal, error) {
	seal := batch.Seal{UnitID: u.UnitID, Lease: u.Lease}
	for _, e := range s.index {
		if e.Kind == batch.KindOutput {
			seal.OutputLines++
			seal.OutputBytes += e.Length + 1
		} else {
			seal.ErrorLines++
			seal.ErrorBytes += e.Length + 1
			if e.Kind == batch.KindFailed {
				seal.Failed++
			}
		}
		usage, err := r.usageOf(ctx, s.key, e)
		if err != nil {
			return seal, fmt.Errorf("line %d: %w", e.Line, err)
		}
		seal.Usage = seal.Usage.Add(usage)
	}
	ref, err := r.Blobs.Put(ctx, s.key, r.object(ctx, s.key, s.size))
	seal.Segment = ref
	return seal, err
}

// usageOf reads the usage of a result line as the answer in it tells it. The journal that had it is gone.
func (r *repairer) usageOf(ctx context.Context, key string, e journal.IndexEntry) (batch.Usage, error) {
	raw := make([]byte, e.Length)
	if _, err := io.ReadFull(io.NewSectionReader(objectAt{ctx, r.Objects, key}, e.Offset, e.Length), raw); err != nil {
		return batch.Usage{}, err
	}
	return usageIn(raw), nil
}

// usageIn finds the usage in a result line; a line that has none, or a form of its own, has none.
func usageIn(line []byte) batch.Usage {
	var result struct {
		Response *struct {
			Body struct {
				Usage map[string]json.RawMessage `json:"usage"`
			} `json:"body"`
		} `json:"response"`
	}
	var u batch.Usage
	if json.Unmarshal(line, &result) != nil || result.Response == nil {
		return u
	}
	fields := map[string]*int64{
		"prompt_tokens": &u.Input, "input_tokens": &u.Input, "completion_tokens": &u.Output, "output_tokens": &u.Output,
		"total_tokens": &u.Total,
	}
	details := map[string]*int64{"cached_tokens": &u.Cached, "reasoning_tokens": &u.Reasoning}
	for name, value := range result.Response.Body.Usage {
		if field := fields[name]; field != nil {
			setTokens(field, value)
			continue
		}
		var inside map[string]json.RawMessage
		if json.Unmarshal(value, &inside) != nil {
			continue
		}
		for name, value := range inside {
			if field := details[name]; field != nil {
				setTokens(field, value)
			}
		}
	}
	return u
}

// setTokens takes a number of tokens; what cannot be one counts as none, as it did when it came.
func setTokens(field *int64, value json.RawMessage) {
	var n int64
	if json.Unmarshal(value, &n) == nil && n > 0 {
		*field = n
	}
}
