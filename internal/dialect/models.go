package dialect

// model is a model as OpenAI shows it. When it was made and by whom no upstream's list says reliably, so that all have the
// same there: members that clients read must not be absent.
type model struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

func newModel(name string) model { return model{ID: name, Object: "model", OwnedBy: "batchd"} }

// OpenAIModels renders models as OpenAI does, for all vendors who show them alike. The zero value is ready for use.
type OpenAIModels struct{}

// Model renders a model.
func (OpenAIModels) Model(name string) []byte { return Encode(newModel(name)) }

// ModelList renders a list of models.
func (OpenAIModels) ModelList(names []string) []byte { return EncodeList(names, newModel) }

// EncodeList renders a list that has no pages, with an object for each name.
func EncodeList[T any](names []string, object func(name string) T) []byte {
	data := make([]T, len(names))
	for i, name := range names {
		data[i] = object(name)
	}
	return Encode(struct {
		Object string `json:"object"`
		Data   []T    `json:"data"`
	}{"list", data})
}
