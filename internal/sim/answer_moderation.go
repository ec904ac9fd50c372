package sim

import (
	"cmp"
	"math/rand/v2"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

type moderationRequest struct {
	common
	Input jsontext.Value `json:"input"`
}

type moderationAnswer struct {
	ID      string             `json:"id"`
	Model   string             `json:"model"`
	Results []moderationResult `json:"results"`
}

type moderationResult struct {
	Flagged        bool                   `json:"flagged"`
	Categories     moderationSet[bool]    `json:"categories"`
	CategoryScores moderationSet[float64] `json:"category_scores"`
}

// A moderationSet has one value per category, in the order they are shown.
type moderationSet[T any] struct {
	Harassment           T `json:"harassment"`
	HarassmentThreat     T `json:"harassment/threatening"`
	Hate                 T `json:"hate"`
	HateThreat           T `json:"hate/threatening"`
	Illicit              T `json:"illicit"`
	IllicitViolent       T `json:"illicit/violent"`
	SelfHarm             T `json:"self-harm"`
	SelfHarmInstructions T `json:"self-harm/instructions"`
	SelfHarmIntent       T `json:"self-harm/intent"`
	Sexual               T `json:"sexual"`
	SexualMinors         T `json:"sexual/minors"`
	Violence             T `json:"violence"`
	ViolenceGraphic      T `json:"violence/graphic"`
}

// check lets the model be left out, which no other endpoint does.
func (r *moderationRequest) check() *apiError {
	c := r.common
	c.Model = cmp.Or(c.Model, DefaultModel)
	return c.check()
}

// answer serves /v1/moderations. Only a text that contains the word "violence" is flagged, which is enough to
// see both answers.
func (r *moderationRequest) answer(e *Engine, id identity) (job, *apiError) {
	r.Model = cmp.Or(r.Model, e.modelName())
	texts, err := inputs("input", r.Input)
	if err != nil {
		return job{}, err
	}
	answer := moderationAnswer{ID: id.name("modr-"), Model: r.Model, Results: make([]moderationResult, len(texts))}
	for i, in := range texts {
		scores := rand.New(rand.NewPCG(hash64(e.opts.Seed, in.text), 0))
		result := &answer.Results[i]
		s := &result.CategoryScores
		for _, score := range []*float64{
			&s.Harassment, &s.HarassmentThreat, &s.Hate, &s.HateThreat, &s.Illicit, &s.IllicitViolent, &s.SelfHarm,
			&s.SelfHarmInstructions, &s.SelfHarmIntent, &s.Sexual, &s.SexualMinors, &s.Violence, &s.ViolenceGraphic,
		} {
			*score = scores.Float64() / 100
		}
		if strings.Contains(strings.ToLower(in.text), "violence") {
			result.Flagged, result.Categories.Violence, s.Violence = true, true, 0.9+s.Violence
		}
	}
	j := r.job()
	j.promptTokens, j.answer = countTokens(texts), answer
	return j, nil
}
