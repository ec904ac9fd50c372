package blob

import (
	"sync"

	"batchd/internal/batch"
)

// blockID identifies a block by its place and by what it must be: bytes that were checked against one reference are
// never taken for those of another.
type blockID struct {
	key    string
	index  int64
	length int
	last   bool
	sum    uint32
}

// blockOf returns the identity of block index of b, which must have it.
func blockOf(b batch.Blob, index int64) blockID {
	length := min(b.Size-index*batch.BlobBlock, batch.BlobBlock)
	last := index == int64(len(b.Sums))-1
	return blockID{key: b.Key, index: index, length: int(length), last: last, sum: b.Sums[index]}
}

// cache keeps the checked blocks that were used last. Its buffers never leave it: readers get copies, made under
// the lock, which for lines of some kilobytes takes less time than counting references would.
type cache struct {
	size    int
	buffers *pool

	// mu guards clock and blocks.
	mu     sync.Mutex
	clock  uint64
	blocks map[blockID]*cached
}

// cached is a block with the time of its last use on the cache's clock.
type cached struct {
	buf  *buffer
	used uint64
}

func newCache(size int, buffers *pool) *cache {
	return &cache{size: size, buffers: buffers, blocks: make(map[blockID]*cached)}
}

// copyOut fills p from the block's offset from on and reports whether the block was there.
func (c *cache) copyOut(id blockID, p []byte, from int64) (int, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, ok := c.blocks[id]
	if !ok {
		return 0, false
	}
	c.clock++
	b.used = c.clock
	return copy(p, b.buf[from:id.length]), true
}

// add takes over buf, which holds the checked block. If another reader was faster, buf goes back to the pool.
func (c *cache) add(id blockID, buf *buffer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.blocks[id] != nil || c.size <= 0 {
		c.buffers.give(buf)
		return
	}
	if len(c.blocks) >= c.size {
		c.evictLocked()
	}
	c.clock++
	c.blocks[id] = &cached{buf: buf, used: c.clock}
}

// evictLocked drops the block whose last use is longest ago. Looking at all of them is nothing beside reading one.
func (c *cache) evictLocked() {
	var oldest blockID
	least := c.clock + 1
	for id, b := range c.blocks {
		if b.used < least {
			oldest, least = id, b.used
		}
	}
	c.removeLocked(oldest)
}

func (c *cache) removeLocked(id blockID) {
	c.buffers.give(c.blocks[id].buf)
	delete(c.blocks, id)
}

// forget drops all blocks of an object.
func (c *cache) forget(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := range c.blocks {
		if id.key == key {
			c.removeLocked(id)
		}
	}
}
