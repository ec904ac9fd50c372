package httpapi

import "net/http"

// Routes returns the routes of OpenAI's API and of what batchd adds to it.
func Routes() []Route {
	return []Route{
		{Path: "/files", Methods: map[string]Handler{"POST": (*Call).uploadFile, "GET": (*Call).listFiles}},
		{Path: "/files/{id}", Methods: map[string]Handler{"GET": (*Call).retrieveFile, "DELETE": (*Call).deleteFile}},
		{Path: "/files/{id}/content", Methods: map[string]Handler{"GET": (*Call).fileContent}},
		{Path: "/batches", Methods: map[string]Handler{"POST": (*Call).createBatch, "GET": (*Call).listBatches}},
		{
			Path:    "/batches/{id}",
			Methods: map[string]Handler{"GET": (*Call).retrieveBatch, "PATCH": (*Call).editBatch},
			Offered: func(c *Call, method string) bool { return method != http.MethodPatch || c.edits() },
		},
		{Path: "/batches/{id}/cancel", Methods: map[string]Handler{"POST": (*Call).cancelBatch}},
		{
			Path: "/batches/{id}/retry", Methods: map[string]Handler{"POST": (*Call).retryBatch},
			Offered: func(c *Call, _ string) bool { return c.retries() },
		},
		{Path: "/uploads", Methods: map[string]Handler{"POST": inParts((*Call).createUpload)}, Offered: (*Call).takesParts},
		{Path: "/uploads/{id}/parts", Methods: map[string]Handler{"POST": inParts((*Call).addPart)}, Offered: (*Call).takesParts},
		{Path: "/uploads/{id}/complete", Methods: map[string]Handler{"POST": inParts((*Call).completeUpload)}, Offered: (*Call).takesParts},
		{Path: "/uploads/{id}/cancel", Methods: map[string]Handler{"POST": inParts((*Call).cancelUpload)}, Offered: (*Call).takesParts},
		{Path: "/upstreams", Methods: map[string]Handler{"GET": (*Call).listUpstreams}, Offered: (*Call).watches},
	}
}
