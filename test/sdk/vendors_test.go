package sdk_test

import (
	"testing"

	"batchd/test/harness"
)

// prefixes is where the APIs of the other two vendors always are.
var prefixes = map[string]string{"novita": "/openai/v1", "neosantara": "/neosantara/v1"}

// vendorSteps is what every SDK must have done to have driven another vendor's API. Idempotency keys are in no
// vendor's, and so are driven in OpenAI's alone.
var vendorSteps = []string{
	"upload", "retrieve", "list-files", "create", "poll", "list-batches", "content", "failed", "cancel", "delete",
	"errors",
}

func TestVendorsThroughSDKs(t *testing.T) {
	t.Parallel()
	for vendor, prefix := range prefixes {
		t.Run("python/"+vendor, func(t *testing.T) {
			t.Parallel()
			drive(t, harness.Serve(t)+prefix, python(t, "vendor.py", vendor), vendorSteps)
		})
		t.Run("node/"+vendor, func(t *testing.T) {
			t.Parallel()
			drive(t, harness.Serve(t)+prefix, node(t, "vendor.mjs", vendor), vendorSteps)
		})
		t.Run("go/"+vendor, func(t *testing.T) {
			t.Parallel()
			j := &vendorJourney{user: newUser(harness.Serve(t) + prefix), novita: vendor == "novita"}
			walk(t, vendorSteps, []func(*testing.T){
				j.upload, j.retrieve, j.listFiles, j.create, j.poll, j.listBatches, j.content, j.failed, j.cancel,
				j.delete, j.errors,
			})
		})
	}
}
