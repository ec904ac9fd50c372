package sim

import (
	"errors"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"batchd/internal/sim/batching"
)

// A request is the body of an inference request, decoded.
type request interface {
	// check looks at the members that every request may have.
	check() *apiError
	// answer checks the rest, and works out the answer and its cost. It does not wait.
	answer(e *Engine, id identity) (job, *apiError)
}

// endpoints are the paths of inference requests, and what their bodies are decoded into.
var endpoints = map[string]func() request{
	"/v1/chat/completions": func() request { return new(chatRequest) },
	"/v1/completions":      func() request { return new(completionRequest) },
	"/v1/responses":        func() request { return new(responseRequest) },
	"/v1/embeddings":       func() request { return new(embeddingRequest) },
	"/v1/moderations":      func() request { return new(moderationRequest) },
	"/v1/rerank":           func() request { return new(rerankRequest) },
	"/v1/score":            func() request { return new(scoreRequest) },
}

// A job is a checked request: its answer, and what the engine is to account for.
type job struct {
	model        string
	priority     int
	promptTokens int
	outputTokens int // of all choices
	longest      int // of the longest choice: choices are generated side by side
	choices      []choice
	prefix       uint64
	prefixTokens int
	cut          bool // some choice ended at its token limit
	answer       any
}

// A choice is one text that is generated: its tokens, and those of the prompt that it goes on from.
type choice struct{ prompt, output int }

// add accounts for a generated passage, the answer to a prompt of so many tokens.
func (j *job) add(p passage, prompt int) {
	j.outputTokens += p.tokens
	j.longest = max(j.longest, p.tokens)
	j.cut = j.cut || p.cut
	j.choices = append(j.choices, choice{prompt, p.tokens})
}

// sequences are what the job is to an engine that batches: each choice is one of its own with its whole prompt, of which
// so many tokens are cached. What generates nothing is over when its text is read.
func (j job) sequences(cached int) []batching.Request {
	choices := j.choices
	if len(choices) == 0 {
		choices = []choice{{j.promptTokens, 1}}
	}
	all := make([]batching.Request, len(choices))
	for i, c := range choices {
		all[i] = batching.Request{
			PromptTokens: max(1, c.prompt), CachedTokens: cached, OutputTokens: max(1, c.output), Priority: j.priority,
		}
	}
	return all
}

func (j job) totalTokens() int { return j.promptTokens + j.outputTokens }

// common are the members every inference request may have.
type common struct {
	Model    string `json:"model"`
	Stream   bool   `json:"stream"`
	Priority int    `json:"priority"` // vLLM's: lower is served first
}

// job begins the job of a request.
func (c common) job() job { return job{model: c.Model, priority: c.Priority} }

func (c common) check() *apiError {
	switch {
	case c.Model == "":
		return missing("model")
	case c.Stream:
		err := invalid("stream", "This engine does not stream: 'stream' must be false or absent.")
		err.code = "unsupported_value"
		return err
	}
	return nil
}

// decode reads a request body as the common engines do: names are case-sensitive, unknown members are ignored, the
// last of duplicate members wins, and invalid UTF-8 is replaced.
func decode(body []byte, into any) *apiError {
	err := json.Unmarshal(body, into, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if err == nil {
		return nil
	}
	if semantic := (*json.SemanticError)(nil); errors.As(err, &semantic) && semantic.JSONPointer != "" {
		// OpenAI names parameters with dots: messages.0.content.
		param := strings.Join(slices.Collect(semantic.JSONPointer.Tokens()), ".")
		bad := invalid(param, "Invalid type for '%s': got %s.", param, semantic.JSONKind)
		bad.code = "invalid_type"
		return bad
	}
	return invalid("", "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library correctly. The API expects a JSON payload.)")
}

// mustEncode encodes an answer. The types encoded here are this package's own and always encode.
func mustEncode(v any) []byte {
	b, err := json.Marshal(v, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		panic("sim: encode an answer: " + err.Error())
	}
	return b
}

type usage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
}

func (j job) usage() usage {
	return usage{PromptTokens: j.promptTokens, CompletionTokens: j.outputTokens, TotalTokens: j.totalTokens()}
}
