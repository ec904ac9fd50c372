package blob

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"batchd/internal/batch"
)

const (
	// defaultCacheBlocks keeps the block cache at 16 MiB.
	defaultCacheBlocks = 16
	// loadsAtOnce is how many blocks are read into it at the same time, each into a buffer of 1 MiB: hundreds of downloads that
	// begin together cost no more memory than that, and read no more slowly.
	loadsAtOnce = 16
)

// Options tunes a Store.
type Options struct {
	// CacheBlocks is how many blocks of 1 MiB the cache of ReadAt keeps; 0 means 16, less than 0 none.
	CacheBlocks int
	// OnCorrupt, if set, is called whenever a block does not match its reference, before the error is returned. It
	// may be called concurrently.
	OnCorrupt func(key string, block int64)
}

// NewStore returns the Store that keeps its objects in backend.
func NewStore(backend Backend, opts Options) Store {
	if opts.CacheBlocks == 0 {
		opts.CacheBlocks = defaultCacheBlocks
	}
	if opts.OnCorrupt == nil {
		opts.OnCorrupt = func(string, int64) {}
	}
	s := &store{backend: backend, onCorrupt: opts.OnCorrupt, loading: make(chan struct{}, loadsAtOnce)}
	s.cache = &cache{size: opts.CacheBlocks, buffers: &s.buffers, blocks: make(map[blockID]*cached)}
	return s
}

// buffer has room for one block and one byte more, which only an object that is too long fills.
type buffer [batch.BlobBlock + 1]byte

// pool hands out buffers. Their contents are left over from the last use.
type pool struct{ free sync.Pool }

func (p *pool) take() *buffer {
	if b, ok := p.free.Get().(*buffer); ok {
		return b
	}
	return new(buffer)
}

func (p *pool) give(b *buffer) { p.free.Put(b) }

// store is the Store over a backend. Its fields are fixed.
type store struct {
	backend   Backend
	onCorrupt func(key string, block int64)
	buffers   pool
	cache     *cache
	// loading has an entry for each block that is being read into the cache.
	loading chan struct{}
}

// Put implements Store.
func (s *store) Put(ctx context.Context, key string, r io.Reader) (batch.Blob, error) {
	sums := summer{r: r}
	stored, err := s.backend.Put(ctx, key, &sums)
	if err != nil {
		return batch.Blob{}, err
	}
	if stored != sums.size {
		return batch.Blob{}, fmt.Errorf("put blob %s: backend stored %d of %d bytes", key, stored, sums.size)
	}
	return sums.blob(key), nil
}

// ReadAt implements Store.
func (s *store) ReadAt(ctx context.Context, b batch.Blob, p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read blob %s: negative offset %d", b.Key, off)
	}
	if err := s.checkReference(b); err != nil {
		return 0, err
	}
	n := 0
	for n < len(p) && off+int64(n) < b.Size {
		at := off + int64(n)
		copied, err := s.copyBlock(ctx, b, p[n:], at)
		if err != nil {
			return 0, err
		}
		n += copied
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// copyBlock fills p from position at on, up to the end of the block that holds it.
func (s *store) copyBlock(ctx context.Context, b batch.Blob, p []byte, at int64) (int, error) {
	if err := context.Cause(ctx); err != nil {
		return 0, fmt.Errorf("read blob %s: %w", b.Key, err)
	}
	index, from := at/batch.BlobBlock, at%batch.BlobBlock
	id := blockOf(b, index)
	if n, ok := s.cache.copyOut(id, p, from); ok {
		return n, nil
	}
	select {
	case s.loading <- struct{}{}:
		defer func() { <-s.loading }()
	case <-ctx.Done():
		return 0, fmt.Errorf("read blob %s: %w", b.Key, context.Cause(ctx))
	}
	if n, ok := s.cache.copyOut(id, p, from); ok { // somebody else has read it meanwhile
		return n, nil
	}
	buf := s.buffers.take()
	if err := s.readBlock(ctx, id, buf); err != nil {
		s.buffers.give(buf)
		return 0, err
	}
	n := copy(p, buf[from:id.length])
	s.cache.add(id, buf)
	return n, nil
}

// readBlock fills buf with a block and checks it. On an error buf holds nothing of use.
func (s *store) readBlock(ctx context.Context, id blockID, buf *buffer) error {
	// The last block is read with one byte more than it has, to notice an object that is too long.
	want := buf[:id.length]
	if id.last {
		want = buf[:id.length+1]
	}
	n, err := s.backend.ReadAt(ctx, id.key, want, id.index*batch.BlobBlock)
	if err != nil && !errors.Is(err, io.EOF) {
		if ctx.Err() != nil || errors.Is(err, ErrNotExist) || errors.Is(err, ErrBadKey) {
			return err
		}
		return fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	if n != id.length {
		return s.corrupt(id, "the object is not %d bytes long", id.index*batch.BlobBlock+int64(id.length))
	}
	if sum := crc32.Checksum(want[:n], castagnoli); sum != id.sum {
		return s.corrupt(id, "checksum is %08x instead of %08x", sum, id.sum)
	}
	return nil
}

// corrupt reports a damaged block and returns the error for it.
func (s *store) corrupt(id blockID, format string, args ...any) error {
	s.onCorrupt(id.key, id.index)
	return fmt.Errorf("read blob %s block %d: %w: %s", id.key, id.index, ErrCorrupt, fmt.Sprintf(format, args...))
}

// checkReference refuses a reference that cannot have come from Put: one without a checksum for every block.
func (s *store) checkReference(b batch.Blob) error {
	if b.Size < 0 || int64(len(b.Sums)) != blocks(b.Size) {
		return fmt.Errorf("read blob %s: %w: reference has %d checksums for %d bytes", b.Key, ErrCorrupt, len(b.Sums), b.Size)
	}
	return nil
}

// Open implements Store.
func (s *store) Open(ctx context.Context, b batch.Blob, offset, length int64) io.ReadCloser {
	r := &reader{ctx: ctx, store: s, blob: b, next: offset, end: offset + length}
	if offset < 0 || length < 0 || offset > b.Size-length {
		r.err = fmt.Errorf("read blob %s: %d bytes at %d are not within its %d", b.Key, length, offset, b.Size)
	} else {
		r.err = s.checkReference(b)
	}
	return r
}

// Delete implements Store.
func (s *store) Delete(ctx context.Context, key string) error {
	if err := s.backend.Delete(ctx, key); err != nil {
		return err
	}
	s.cache.forget(key)
	return nil
}

// List implements Store.
func (s *store) List(ctx context.Context, prefix string, fn func(Info) error) error {
	return s.backend.List(ctx, prefix, fn)
}

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
		// The block goes whose last use is longest ago. Looking at all of them is nothing beside reading one.
		var oldest blockID
		least := c.clock + 1
		for id, b := range c.blocks {
			if b.used < least {
				oldest, least = id, b.used
			}
		}
		c.removeLocked(oldest)
	}
	c.clock++
	c.blocks[id] = &cached{buf: buf, used: c.clock}
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
