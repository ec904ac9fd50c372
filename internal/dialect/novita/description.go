package novita

import _ "embed"

// document describes the dialect with all that batchd adds.
//
//go:embed openapi.json
var document string

// Description returns the OpenAPI 3.1 document of the dialect. The bytes must not be changed.
func (d *Dialect) Description() []byte { return d.description }
