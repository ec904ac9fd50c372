package app

import (
	"slices"

	"batchd/internal/httpapi"
	"batchd/internal/httpapi/files"
	"batchd/internal/httpapi/form"
	"batchd/internal/httpapi/uploads"
)

// routes returns OpenAI's API and what batchd adds to it. What a dialect lacks of it is left out where it is spoken.
func (e *Engine) routes() []httpapi.Route {
	st, blobs := e.storage.store, e.storage.blobs
	forms := form.NewReceiver(st, blobs)
	return slices.Concat(
		files.New(st, blobs, forms).Routes(),
		uploads.New(st, blobs, forms).Routes(),
		httpapi.Routes(),
	)
}
