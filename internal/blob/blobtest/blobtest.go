// Package blobtest is the conformance suite of blob backends, and of blob.Store on top of one; and it has a backend
// in memory for tests that need blobs but no disk. A promise of the contract enters the suite before any backend. It
// knows nothing of how a backend works.
package blobtest

import (
	"math/rand/v2"
	"slices"
	"testing"

	"batchd/internal/blob"
)

// Run tests the backends that newBackend makes; each must be empty and not shared.
func Run(t *testing.T, newBackend func(t *testing.T) blob.Backend) {
	run(t, newBackend, slices.Concat(putCases, readCases, deleteCases, listCases, keyCases, concurrencyCases))
}

// RunStore tests blob.NewStore on the backends that newBackend makes; each must be empty and not shared.
func RunStore(t *testing.T, newBackend func(t *testing.T) blob.Backend) {
	run(t, newBackend, storeCases)
}

// test is one promise of the contract, tried on an empty backend.
type test struct {
	name string
	run  func(t *testing.T, b blob.Backend)
}

// run runs each test at the same time as the others, on a backend of its own.
func run(t *testing.T, newBackend func(t *testing.T) blob.Backend, tests []test) {
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, newBackend(t))
		})
	}
}

// Random returns n bytes that depend on seed alone.
func Random(seed uint64, n int) []byte {
	var key [32]byte
	key[0] = byte(seed)
	p := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(p) // never fails
	return p
}
