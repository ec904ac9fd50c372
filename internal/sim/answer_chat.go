package sim

import (
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

type chatRequest struct {
	common
	Messages       []chatMessage `json:"messages"`
	MaxTokens      *int          `json:"max_tokens"`
	MaxCompletion  *int          `json:"max_completion_tokens"`
	MinTokens      *int          `json:"min_tokens"`
	IgnoreEOS      bool          `json:"ignore_eos"`
	N              *int          `json:"n"`
	ResponseFormat *format       `json:"response_format"`
}

type chatMessage struct {
	Role    string         `json:"role"`
	Content jsontext.Value `json:"content"`
}

type chatAnswer struct {
	ID                string       `json:"id"`
	Object            string       `json:"object"`
	Created           int64        `json:"created"`
	Model             string       `json:"model"`
	Choices           []chatChoice `json:"choices"`
	Usage             usage        `json:"usage"`
	SystemFingerprint string       `json:"system_fingerprint"`
}

type chatChoice struct {
	Index        int       `json:"index"`
	Message      chatReply `json:"message"`
	Logprobs     *struct{} `json:"logprobs"`
	FinishReason string    `json:"finish_reason"`
}

type chatReply struct {
	Role    string    `json:"role"`
	Content string    `json:"content"`
	Refusal *struct{} `json:"refusal"`
}

// answer serves /v1/chat/completions. The answer quotes the last message of the user.
func (r *chatRequest) answer(e *Engine, id identity) (job, *apiError) {
	choices, err := countChoices(r.N)
	if err != nil {
		return job{}, err
	}
	w := wish{
		limit: r.MaxTokens, name: "max_tokens", min: r.MinTokens, ignoreEOS: r.IgnoreEOS, format: r.ResponseFormat,
	}
	if r.MaxCompletion != nil {
		w.limit, w.name = r.MaxCompletion, "max_completion_tokens" // the newer name of the two
	}
	if err := w.check(); err != nil {
		return job{}, err
	}
	j := r.job()
	question, err := j.readMessages(r.Messages, "messages")
	if err != nil {
		return job{}, err
	}
	answer := chatAnswer{
		ID: id.name("chatcmpl-"), Object: "chat.completion", Created: created, Model: r.Model,
		Choices: make([]chatChoice, choices), SystemFingerprint: "fp_sim",
	}
	for i := range answer.Choices {
		p := e.write(question, id, i, w)
		j.add(p, j.promptTokens)
		answer.Choices[i] = chatChoice{Index: i, Message: chatReply{Role: "assistant", Content: p.text}, FinishReason: p.finish()}
	}
	answer.Usage = j.usage()
	j.answer = answer
	return j, nil
}

// readMessages prices a conversation and returns the last text of the user, or the last text if no user speaks.
func (j *job) readMessages(messages []chatMessage, param string) (question string, err *apiError) {
	if len(messages) == 0 {
		return "", missing(param)
	}
	fromUser := false
	for i, m := range messages {
		text, cost, ok := textOf(m.Content)
		if !ok {
			return "", invalid(fmt.Sprintf("%s.%d.content", param, i), "Invalid type for '%s[%d].content': expected a string or an array of parts.", param, i)
		}
		if i < len(messages)-1 {
			j.prefix = hash64(j.prefix, m.Role+"\x00"+text)
			j.prefixTokens += cost + messageTokens
		}
		j.promptTokens += cost + messageTokens
		if m.Role == "user" || !fromUser {
			question, fromUser = text, m.Role == "user"
		}
	}
	return question, nil
}

func countChoices(n *int) (int, *apiError) {
	switch {
	case n == nil:
		return 1, nil
	case *n < 1 || *n > maxChoices:
		return 0, invalid("n", "Invalid 'n': expected 1 to %d, but got %d instead.", maxChoices, *n)
	}
	return *n, nil
}
