package batch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// manifestVersion is the first byte of every encoded manifest.
const manifestVersion = 1

var errBadManifest = errors.New("malformed manifest")

// EncodeManifest returns m in a compact binary form: a version byte, the number of extents, then each extent's
// blob (key, size, checksums), offset and length as unsigned varints. Starts are implied by the lengths.
func EncodeManifest(m Manifest) []byte {
	out := []byte{manifestVersion}
	out = binary.AppendUvarint(out, uint64(len(m)))
	for _, e := range m {
		out = AppendBlob(out, e.Blob)
		out = binary.AppendUvarint(out, uint64(e.Offset))
		out = binary.AppendUvarint(out, uint64(e.Length))
	}
	return out
}

// DecodeManifest reverses EncodeManifest. It refuses anything it would not itself have written.
func DecodeManifest(raw []byte) (Manifest, error) {
	if len(raw) == 0 || raw[0] != manifestVersion {
		return nil, fmt.Errorf("%w: unknown version", errBadManifest)
	}
	d := decoder{raw: raw[1:]}
	n := d.int()
	var m Manifest
	for i := int64(0); i < n && d.err == nil; i++ {
		b := d.blob()
		offset, length := d.int(), d.int()
		m = m.Append(b, offset, length)
	}
	if d.err == nil && len(d.raw) > 0 {
		d.err = fmt.Errorf("%w: %d bytes too many", errBadManifest, len(d.raw))
	}
	if d.err != nil {
		return nil, d.err
	}
	return m, nil
}

// AppendBlob appends the binary form of a blob reference to out.
func AppendBlob(out []byte, b Blob) []byte {
	out = binary.AppendUvarint(out, uint64(len(b.Key)))
	out = append(out, b.Key...)
	out = binary.AppendUvarint(out, uint64(b.Size))
	out = binary.AppendUvarint(out, uint64(len(b.Sums)))
	for _, s := range b.Sums {
		out = binary.LittleEndian.AppendUint32(out, s)
	}
	return out
}

// DecodeBlob reverses AppendBlob; raw must hold exactly one reference.
func DecodeBlob(raw []byte) (Blob, error) {
	d := decoder{raw: raw}
	b := d.blob()
	if d.err == nil && len(d.raw) > 0 {
		d.err = fmt.Errorf("%w: %d bytes after a blob", errBadManifest, len(d.raw))
	}
	return b, d.err
}

// decoder reads fields off raw and keeps the first error.
type decoder struct {
	raw []byte
	err error
}

func (d *decoder) int() int64 {
	if d.err != nil {
		return 0
	}
	v, n := binary.Uvarint(d.raw)
	if n <= 0 || v > math.MaxInt64 {
		d.err = fmt.Errorf("%w: bad number", errBadManifest)
		return 0
	}
	d.raw = d.raw[n:]
	return int64(v)
}

func (d *decoder) bytes(n int64) []byte {
	if d.err != nil {
		return nil
	}
	if n > int64(len(d.raw)) {
		d.err = fmt.Errorf("%w: cut short", errBadManifest)
		return nil
	}
	b := d.raw[:n]
	d.raw = d.raw[n:]
	return b
}

func (d *decoder) blob() Blob {
	key := string(d.bytes(d.int()))
	size := d.int()
	n := d.int()
	if d.err == nil && n != (size+BlobBlock-1)/BlobBlock {
		d.err = fmt.Errorf("%w: %d checksums for %d bytes", errBadManifest, n, size)
	}
	raw := d.bytes(n * 4)
	if d.err != nil {
		return Blob{}
	}
	sums := make([]uint32, n)
	for i := range sums {
		sums[i] = binary.LittleEndian.Uint32(raw[i*4:])
	}
	return Blob{Key: key, Size: size, Sums: sums}
}
