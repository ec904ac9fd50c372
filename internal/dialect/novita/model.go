package novita

import "batchd/internal/dialect"

// modelObject has of the members of Novita's models those that are known: no upstream's list has prices or sizes, and a
// zero there would be taken for the price.
type modelObject struct {
	Created     int64  `json:"created"`
	ID          string `json:"id"`
	Object      string `json:"object"`
	Title       string `json:"title"`
	Description string `json:"description"`
	// Endpoints is how Novita's clients find the models that batches may use.
	Endpoints []string `json:"endpoints"`
}

func newModelObject(name string) modelObject {
	return modelObject{ID: name, Object: "model", Title: name, Endpoints: []string{"batch-api"}}
}

// Model renders a model.
func (d *Dialect) Model(name string) []byte { return dialect.Encode(newModelObject(name)) }

// ModelList renders a list of models.
func (d *Dialect) ModelList(names []string) []byte { return dialect.EncodeList(names, newModelObject) }
