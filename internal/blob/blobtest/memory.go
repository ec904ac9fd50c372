package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"batchd/internal/blob"
)

// Memory is a blob.Backend in memory, for tests. It keeps every promise of the contract but to outlast the process.
type Memory struct {
	// mu guards objects, whose contents are never changed.
	mu      sync.Mutex
	objects map[string]object
}

type object struct {
	contents []byte
	stored   time.Time
}

var _ blob.Backend = (*Memory)(nil)

// NewMemory returns an empty backend.
func NewMemory() *Memory { return &Memory{objects: make(map[string]object)} }

// Put implements blob.Backend.
func (m *Memory) Put(ctx context.Context, key string, r io.Reader) (int64, error) {
	if err := usable(ctx, key); err != nil {
		return 0, fmt.Errorf("put blob: %w", err)
	}
	contents, err := readAll(ctx, r)
	if err != nil {
		return 0, fmt.Errorf("put blob %s: %w", key, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.objects[key] = object{contents: contents, stored: time.Now()}
	return int64(len(contents)), nil
}

// readAll reads r to its end. It gives up when ctx ends, and on a reader that goes on yielding nothing.
func readAll(ctx context.Context, r io.Reader) ([]byte, error) {
	var all []byte
	piece := make([]byte, 32<<10)
	for empty := 0; empty < 100; empty++ {
		n, err := r.Read(piece)
		all = append(all, piece[:n]...)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		if n > 0 {
			empty = -1
		}
	}
	return nil, io.ErrNoProgress
}

// ReadAt implements blob.Backend.
func (m *Memory) ReadAt(ctx context.Context, key string, p []byte, off int64) (int, error) {
	o, err := m.find(ctx, key)
	if err != nil {
		return 0, fmt.Errorf("read blob %s: %w", key, err)
	}
	return bytes.NewReader(o.contents).ReadAt(p, off)
}

// Stat implements blob.Backend.
func (m *Memory) Stat(ctx context.Context, key string) (blob.Info, error) {
	o, err := m.find(ctx, key)
	if err != nil {
		return blob.Info{}, fmt.Errorf("stat blob %s: %w", key, err)
	}
	return blob.Info{Key: key, Size: int64(len(o.contents)), Stored: o.stored}, nil
}

// find returns the object, whose contents stay as they are also if the key is put again or deleted.
func (m *Memory) find(ctx context.Context, key string) (object, error) {
	if err := usable(ctx, key); err != nil {
		return object{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.objects[key]
	if !ok {
		return object{}, blob.ErrNotExist
	}
	return o, nil
}

// Delete implements blob.Backend.
func (m *Memory) Delete(ctx context.Context, key string) error {
	if err := usable(ctx, key); err != nil {
		return fmt.Errorf("delete blob: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, key)
	return nil
}

// List implements blob.Backend. It reports the objects that were there when it was called, and calls fn without the lock: fn may
// call Delete.
func (m *Memory) List(ctx context.Context, prefix string, fn func(blob.Info) error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("list blobs: %w", context.Cause(ctx))
	}
	var infos []blob.Info
	m.mu.Lock()
	for key, o := range m.objects {
		if strings.HasPrefix(key, prefix) {
			infos = append(infos, blob.Info{Key: key, Size: int64(len(o.contents)), Stored: o.stored})
		}
	}
	m.mu.Unlock()
	slices.SortFunc(infos, func(a, b blob.Info) int { return strings.Compare(a.Key, b.Key) })
	for _, info := range infos {
		if err := fn(info); err != nil {
			return err
		}
	}
	return nil
}

// usable refuses a bad key, and a context that has ended.
func usable(ctx context.Context, key string) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	return context.Cause(ctx)
}
