package memfs

import "math/rand/v2"

// sector is the number of bytes that a disk writes all or none of.
// The disks of today have larger ones, which tear less.
const sector = 512

// content is what a file holds, in the page cache and on the disk.
type content struct {
	// cached is what a reader sees.
	cached []byte
	// shadow is what a sync would write where that is not cached: after a failed sync. Else it is nil.
	shadow []byte
	// synced is what the last sync left on the disk.
	synced []byte
	// clean is how many leading bytes have not changed since the last sync.
	clean int
}

// flushable returns what a sync would write.
func (c *content) flushable() []byte {
	if c.shadow != nil {
		return c.shadow
	}
	return c.cached
}

// append and truncate change what readers see, and in the shadow what a sync would write.
func (c *content) append(p []byte) {
	c.cached = append(c.cached, p...)
	if c.shadow != nil {
		c.shadow = append(c.shadow, p...)
	}
}

func (c *content) truncate(size int) {
	c.cached = resize(c.cached, size)
	if c.shadow != nil {
		c.shadow = resize(c.shadow, size)
	}
	c.clean = min(c.clean, size)
}

// resize cuts b to size bytes, or extends it with zeros.
func resize(b []byte, size int) []byte {
	if size <= len(b) {
		return b[:size]
	}
	return append(b, make([]byte, size-len(b))...)
}

// sync brings to the disk what has changed since the last sync: the leading clean bytes are there already.
func (c *content) sync() {
	c.synced = append(c.synced[:c.clean], c.flushable()[c.clean:]...)
	c.clean = len(c.synced)
}

// loseUnsynced does what a failed sync does on Linux: the dirty pages are marked clean though they never reached the
// disk. They can be read until the cache lets them go, and a later sync leaves a hole in their place.
func (c *content) loseUnsynced() {
	shadow := append(make([]byte, 0, len(c.cached)), c.flushable()[:c.clean]...)
	if c.clean < len(c.synced) {
		shadow = append(shadow, c.synced[c.clean:min(len(c.synced), len(c.cached))]...)
	}
	c.shadow = resize(shadow, len(c.cached))
}

// clone returns a copy that shares no bytes. An empty shadow stays one: nil would mean that there is none, and a sync
// would write what a failed one has lost.
func (c *content) clone() content {
	d := *c
	d.cached = append([]byte(nil), c.cached...)
	d.synced = append([]byte(nil), c.synced...)
	if c.shadow != nil {
		d.shadow = append([]byte{}, c.shadow...)
	}
	return d
}

// survivor returns what a power cut may leave: the synced bytes, everything, all changes up to some byte, or any set
// of whole sectors under any size between.
func (c *content) survivor(rng *rand.Rand) []byte {
	flushable := c.flushable()
	switch rng.IntN(4) {
	case 0:
		return c.synced
	case 1:
		return flushable
	case 2:
		return flushable[:c.clean+rng.IntN(len(flushable)-c.clean+1)]
	default:
		return c.anySectors(rng)
	}
}

// anySectors returns a file in which each sector that is not clean is from before or after the changes, or zeros where
// neither reaches. Disks write the sectors of one file in any order.
func (c *content) anySectors(rng *rand.Rand) []byte {
	longest := max(len(c.synced), len(c.flushable()))
	size := longest
	if rng.IntN(2) == 0 {
		size = c.clean + rng.IntN(longest-c.clean+1)
	}
	out := make([]byte, size)
	for from := c.clean / sector * sector; from < len(out); from += sector {
		source := c.synced
		if rng.IntN(2) == 0 {
			source = c.flushable()
		}
		if from < len(source) {
			copy(out[from:min(from+sector, len(out))], source[from:])
		}
	}
	copy(out, c.synced[:c.clean])
	return out
}
