// Package storetest is the conformance suite of store.Store: every implementation passes it. It promises that what
// passes keeps each sentence of the contract, one subtest for each, and it knows nothing of how a store does that.
package storetest

import (
	"testing"

	"batchd/internal/store"
)

// Opener opens the store that is at place, making a new one where there is none. It fails the test if it cannot.
// The suite closes what it opens; a place is never open twice at the same time.
type Opener func(t testing.TB, place string) store.Store

// Run runs the suite. Each subtest gets a store of its own.
func Run(t *testing.T, open Opener) {
	groups := []struct {
		name  string
		tests []test
	}{
		{"files", fileTests()},
		{"file lists", fileListTests()},
		{"batches", batchTests()},
		{"I28 batches created once", onceTests()},
		{"I28 expiry of keys", keyTTLTests()},
		{"cancel", cancelTests()},
		{"stages", stageTests()},
		{"starts", startTests()},
		{"units", unitTests()},
		{"adoption", adoptionTests()},
		{"seals", sealTests()},
		{"sealed units", sealHistoryTests()},
		{"closing", closingTests()},
		{"closing refused", closingRefusalTests()},
		{"moves", moveTests()},
		{"maintenance", maintenanceTests()},
		{"references", referenceTests()},
		{"list filters by status", statusFilterTests()},
		{"list filters by time", timeFilterTests()},
		{"edits", editTests()},
		{"batches that failed at once", failedBatchTests()},
		{"webhooks", webhookTests()},
		{"secrets", secretTests()},
		{"outbox", outboxTests()},
		{"leased deliveries", leasedDeliveryTests()},
		{"attempts", attemptTests()},
		{"delivery lists", deliveryListTests()},
		{"tenants", tenantTests()},
		{"usage", usageTests()},
		{"keys", keyTests()},
		{"uploads", uploadTests()},
		{"parts", partTests()},
		{"completed uploads", completionTests()},
		{"quotas of storage", storageQuotaTests()},
		{"quotas of uploads", uploadQuotaTests()},
		{"quotas of batches", batchQuotaTests()},
		{"quotas of tokens", tokenQuotaTests()},
		{"expired files", endedFileTests()},
		{"what a batch's creator chooses", chosenTests()},
		{"D9 foreign ids", foreignTests()},
		{"whole store", wholeTests()},
		{"callers", callerTests()},
	}
	for _, g := range groups {
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
	t.Run("life cycle agrees with a model", func(t *testing.T) {
		t.Parallel()
		runModel(t, open)
	})
	t.Run("outbox agrees with a model", func(t *testing.T) {
		t.Parallel()
		runOutboxModel(t, open)
	})
	t.Run("what is stored agrees with what is counted", func(t *testing.T) {
		t.Parallel()
		runCounters(t, open)
	})
}

// test is one promise of the contract.
type test struct {
	name string
	run  func(x *fixture)
}
