// Package storetest is the conformance suite of store.Store: every implementation passes it. It promises that what
// passes keeps each sentence of the contract, one subtest for each, and it knows nothing of how a store does that.
package storetest

import (
	"slices"
	"testing"

	"batchd/internal/store"
)

// Opener opens the store that is at place, making a new one where there is none. It fails the test if it cannot.
// The suite closes what it opens; a place is never open twice at the same time.
type Opener func(t testing.TB, place string) store.Store

// Run runs the suite. Each subtest gets a store of its own.
func Run(t *testing.T, open Opener) {
	for _, g := range slices.Concat(
		fileCases, batchCases, onceCases, stageCases, unitCases, sealCases, closingCases, moveCases, filterCases, editCases,
		webhookCases, outboxCases, attemptCases, tenantCases, keyCases, uploadCases, completionCases, quotaCases, endedCases,
		deletedCases, foreignCases, wholeCases, auditCases, ownerCases, clockCases, scrubCases, redeliveryCases,
	) {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			for _, c := range g.tests {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.run(newFixture(t, open))
				})
			}
		})
	}
	for _, p := range []property{batchProperty, outboxProperty, countersProperty} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.run(t, open)
		})
	}
}

// group is the promises about one part of the contract. Each file lists its own, beside what they need.
type group struct {
	name  string
	tests []test
}

// test is one promise of the contract.
type test struct {
	name string
	run  func(x *fixture)
}

// property is a promise about any history of calls. It opens a store for each history that it draws.
type property struct {
	name string
	run  func(t *testing.T, open Opener)
}
