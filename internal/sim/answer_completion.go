package sim

import "github.com/go-json-experiment/json/jsontext"

type completionRequest struct {
	common
	Prompt    jsontext.Value `json:"prompt"`
	MaxTokens *int           `json:"max_tokens"`
	MinTokens *int           `json:"min_tokens"`
	IgnoreEOS bool           `json:"ignore_eos"`
	N         *int           `json:"n"`
	Echo      bool           `json:"echo"`
}

type completionAnswer struct {
	ID      string             `json:"id"`
	Object  string             `json:"object"`
	Created int64              `json:"created"`
	Model   string             `json:"model"`
	Choices []completionChoice `json:"choices"`
	Usage   usage              `json:"usage"`
}

type completionChoice struct {
	Index        int       `json:"index"`
	Text         string    `json:"text"`
	Logprobs     *struct{} `json:"logprobs"`
	FinishReason string    `json:"finish_reason"`
}

// answer serves /v1/completions: n choices for each prompt, in the order of the prompts.
func (r *completionRequest) answer(e *Engine, id identity) (job, *apiError) {
	w := wish{limit: r.MaxTokens, name: "max_tokens", min: r.MinTokens, ignoreEOS: r.IgnoreEOS}
	if err := w.check(); err != nil {
		return job{}, err
	}
	n, err := countChoices(r.N)
	if err != nil {
		return job{}, err
	}
	prompts, err := inputs("prompt", r.Prompt)
	if err != nil {
		return job{}, err
	}
	if n*len(prompts) > maxInputs {
		return job{}, invalid("n", "Invalid 'n': %d choices for each of %d prompts are more than %d.", n, len(prompts), maxInputs)
	}
	j := r.job()
	j.promptTokens = countTokens(prompts)
	answer := completionAnswer{ID: id.name("cmpl-"), Object: "text_completion", Created: created, Model: r.Model}
	for _, prompt := range prompts {
		for range n {
			i := len(answer.Choices)
			p := e.write(prompt.text, id, i, w)
			j.add(p, prompt.tokens)
			text := p.text
			if r.Echo {
				text = prompt.text + text
			}
			answer.Choices = append(answer.Choices, completionChoice{Index: i, Text: text, FinishReason: p.finish()})
		}
	}
	answer.Usage = j.usage()
	j.answer = answer
	return j, nil
}
