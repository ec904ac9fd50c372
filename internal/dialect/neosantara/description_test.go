package neosantara_test

import (
	"testing"

	"batchd/internal/dialect/dialecttest"
	"batchd/internal/dialect/neosantara"
)

func TestDescriptionNamesEveryRouteAndHasNoLooseEnds(t *testing.T) {
	t.Parallel()
	dialecttest.Description(t, neosantara.New(neosantara.Options{}).Description(),
		"DELETE /files/{id}", "GET /batches", "GET /batches/{id}", "GET /files", "GET /files/{id}", "GET /files/{id}/content",
		"GET /models", "GET /models/{id}", "GET /openapi.json", "POST /batches", "POST /batches/{id}/cancel", "POST /batches/{id}/retry", "POST /files",
	)
}

func TestStrictDescriptionHasNothingOfOurs(t *testing.T) {
	t.Parallel()
	dialecttest.StrictDescription(t, neosantara.New(neosantara.Options{Strict: true}).Description())
}
