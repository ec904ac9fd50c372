package batch

import "strings"

// EndpointPath returns the path of the API that an endpoint names. Azure's pages leave out the version: "/chat/completions" is
// "/v1/chat/completions". Batches keep their endpoint as the client wrote it.
func EndpointPath(endpoint string) string {
	const version = "/v1"
	if strings.HasPrefix(endpoint, version+"/") || !strings.HasPrefix(endpoint, "/") {
		return endpoint
	}
	return version + endpoint
}
