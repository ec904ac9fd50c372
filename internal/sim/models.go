package sim

import (
	"net/http"
	"slices"
	"strings"
)

type modelList struct {
	Object string      `json:"object"`
	Data   []modelItem `json:"data"`
}

type modelItem struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

// served is the list of models shown.
func (e *Engine) served() []string {
	if len(e.opts.Models) == 0 {
		return []string{DefaultModel}
	}
	return e.opts.Models
}

// modelName is the model named in metrics: like vLLM's, the first one served.
func (e *Engine) modelName() string { return e.served()[0] }

func newModelItem(id string) modelItem {
	return modelItem{ID: id, Object: "model", Created: created, OwnedBy: "batchd-sim"}
}

// serveModels answers with the list of models, or with the one that the path names.
func (e *Engine) serveModels(w http.ResponseWriter, r *http.Request) {
	if id, one := strings.CutPrefix(r.URL.Path, "/v1/models/"); one {
		if !slices.Contains(e.served(), id) {
			writeError(w, modelNotFound(id))
			return
		}
		writeJSON(w, mustEncode(newModelItem(id)))
		return
	}
	list := modelList{Object: "list"}
	for _, id := range e.served() {
		list.Data = append(list.Data, newModelItem(id))
	}
	writeJSON(w, mustEncode(list))
}

func writeJSON(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // a client that left is not the engine's trouble
}
