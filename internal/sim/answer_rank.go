package sim

import (
	"cmp"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

type rerankRequest struct {
	common
	Query     *string        `json:"query"`
	Documents jsontext.Value `json:"documents"`
	TopN      *int           `json:"top_n"`
}

type rerankAnswer struct {
	ID      string         `json:"id"`
	Model   string         `json:"model"`
	Usage   embeddingUsage `json:"usage"`
	Results []rerankResult `json:"results"`
}

type rerankResult struct {
	Index          int            `json:"index"`
	Document       rerankDocument `json:"document"`
	RelevanceScore float64        `json:"relevance_score"`
}

type rerankDocument struct {
	Text string `json:"text"`
}

// answer serves /v1/rerank in the shape vLLM took from Jina and Cohere: best first, equals in the order given.
func (r *rerankRequest) answer(e *Engine, id identity) (job, *apiError) {
	if r.Query == nil {
		return job{}, missing("query")
	}
	docs, err := inputs("documents", r.Documents)
	if err != nil {
		return job{}, err
	}
	results := make([]rerankResult, len(docs))
	cost := 0
	query := embed(e.opts.Seed, *r.Query, defaultDimensions)
	for i, d := range docs {
		results[i] = rerankResult{Index: i, Document: rerankDocument{d.text}, RelevanceScore: e.similarity(query, d.text)}
		cost += tokens(*r.Query) + d.tokens
	}
	slices.SortStableFunc(results, func(a, b rerankResult) int { return cmp.Compare(b.RelevanceScore, a.RelevanceScore) })
	if r.TopN != nil && *r.TopN > 0 && *r.TopN < len(results) {
		results = results[:*r.TopN]
	}
	j := r.job()
	j.promptTokens, j.answer = cost, rerankAnswer{
		ID: id.name("rerank-"), Model: r.Model, Usage: embeddingUsage{PromptTokens: cost, TotalTokens: cost}, Results: results,
	}
	return j, nil
}

type scoreRequest struct {
	common
	Text1 jsontext.Value `json:"text_1"`
	Text2 jsontext.Value `json:"text_2"`
}

type scoreAnswer struct {
	ID      string      `json:"id"`
	Object  string      `json:"object"`
	Created int64       `json:"created"`
	Model   string      `json:"model"`
	Data    []scoreItem `json:"data"`
	Usage   usage       `json:"usage"`
}

type scoreItem struct {
	Index  int     `json:"index"`
	Object string  `json:"object"`
	Score  float64 `json:"score"`
}

// answer serves vLLM's /v1/score: text_1 against each text of text_2, or pair by pair if both are lists of one length.
func (r *scoreRequest) answer(e *Engine, id identity) (job, *apiError) {
	left, err := inputs("text_1", r.Text1)
	if err != nil {
		return job{}, err
	}
	right, err := inputs("text_2", r.Text2)
	if err != nil {
		return job{}, err
	}
	if len(left) != 1 && len(left) != len(right) {
		return job{}, invalid("text_1", "'text_1' must be one text, or as many as 'text_2'.")
	}
	j := r.job()
	items := make([]scoreItem, len(right))
	for i, t := range right {
		l := left[i%len(left)]
		items[i] = scoreItem{Index: i, Object: "score", Score: e.similarity(embed(e.opts.Seed, l.text, defaultDimensions), t.text)}
		j.promptTokens += l.tokens + t.tokens
	}
	j.answer = scoreAnswer{ID: id.name("score-"), Object: "list", Created: created, Model: r.Model, Data: items, Usage: j.usage()}
	return j, nil
}

// similarity is the cosine between a vector and a text's, brought into 0 to 1.
func (e *Engine) similarity(v []float32, text string) float64 {
	var dot float64
	for i, x := range embed(e.opts.Seed, text, len(v)) {
		dot += float64(float64(x) * float64(v[i]))
	}
	return min(1, max(0, (1+dot)/2))
}
