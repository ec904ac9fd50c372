package blobtest_test

import (
	"testing"

	"batchd/internal/blob"
	"batchd/internal/blob/blobtest"
)

func newMemory(*testing.T) blob.Backend { return blobtest.NewMemory() }

func TestMemoryConforms(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, newMemory)
}

func TestStoreOnMemory(t *testing.T) {
	t.Parallel()
	blobtest.RunStore(t, newMemory)
}
