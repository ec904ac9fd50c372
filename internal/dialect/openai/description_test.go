package openai_test

import (
	"testing"

	"batchd/internal/dialect/dialecttest"
	"batchd/internal/dialect/openai"
)

func TestDescriptionNamesEveryRouteAndHasNoLooseEnds(t *testing.T) {
	t.Parallel()
	dialecttest.Description(t, openai.New(openai.Options{}).Description(),
		"DELETE /files/{id}", "GET /batches", "GET /batches/{id}", "GET /files", "GET /files/{id}", "GET /files/{id}/content",
		"GET /models", "GET /models/{id}", "GET /openapi.json", "POST /batches", "POST /batches/{id}/cancel", "POST /batches/{id}/retry", "POST /files", "POST /uploads",
		"POST /uploads/{id}/cancel", "POST /uploads/{id}/complete", "POST /uploads/{id}/parts",
	)
}

func TestStrictDescriptionHasNothingOfOurs(t *testing.T) {
	t.Parallel()
	dialecttest.StrictDescription(t, openai.New(openai.Options{Strict: true}).Description())
}
