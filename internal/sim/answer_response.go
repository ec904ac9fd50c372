package sim

import "github.com/go-json-experiment/json/jsontext"

type responseRequest struct {
	common
	Input        jsontext.Value `json:"input"`
	Instructions *string        `json:"instructions"`
	MaxOutput    *int           `json:"max_output_tokens"`
	Metadata     jsontext.Value `json:"metadata"`
	Temperature  *float64       `json:"temperature"`
	TopP         *float64       `json:"top_p"`
	Text         struct {
		Format *format `json:"format"`
	} `json:"text"`
}

type responseAnswer struct {
	ID                string            `json:"id"`
	Object            string            `json:"object"`
	CreatedAt         int64             `json:"created_at"`
	Status            string            `json:"status"`
	Error             *struct{}         `json:"error"`
	IncompleteDetails *incompleteReason `json:"incomplete_details"`
	Instructions      *string           `json:"instructions"`
	MaxOutputTokens   *int              `json:"max_output_tokens"`
	Model             string            `json:"model"`
	Output            []responseItem    `json:"output"`
	ParallelToolCalls bool              `json:"parallel_tool_calls"`
	Temperature       float64           `json:"temperature"`
	ToolChoice        string            `json:"tool_choice"`
	Tools             []struct{}        `json:"tools"`
	TopP              float64           `json:"top_p"`
	Metadata          jsontext.Value    `json:"metadata"`
	Usage             responseUsage     `json:"usage"`
}

type incompleteReason struct {
	Reason string `json:"reason"`
}

type responseItem struct {
	ID      string         `json:"id"`
	Type    string         `json:"type"`
	Status  string         `json:"status"`
	Role    string         `json:"role"`
	Content []responsePart `json:"content"`
}

type responsePart struct {
	Type        string     `json:"type"`
	Text        string     `json:"text"`
	Annotations []struct{} `json:"annotations"`
}

type responseUsage struct {
	InputTokens         int           `json:"input_tokens"`
	InputTokensDetails  inputDetails  `json:"input_tokens_details"`
	OutputTokens        int           `json:"output_tokens"`
	OutputTokensDetails outputDetails `json:"output_tokens_details"`
	TotalTokens         int           `json:"total_tokens"`
}

type inputDetails struct {
	CachedTokens int `json:"cached_tokens"`
}

type outputDetails struct {
	ReasoningTokens int `json:"reasoning_tokens"`
}

// answer serves /v1/responses. What the request sets comes back in the answer, as clients of that API expect.
func (r *responseRequest) answer(e *Engine, id identity) (job, *apiError) {
	w := wish{limit: r.MaxOutput, name: "max_output_tokens", format: r.Text.Format}
	if err := w.check(); err != nil {
		return job{}, err
	}
	j := r.job()
	question, err := j.readResponseInput(r)
	if err != nil {
		return job{}, err
	}
	p := e.write(question, id, 0, w)
	j.add(p, j.promptTokens)
	a := responseAnswer{
		ID: id.name("resp_"), Object: "response", CreatedAt: created, Status: "completed", Model: r.Model,
		Instructions: r.Instructions, MaxOutputTokens: r.MaxOutput, Metadata: r.Metadata,
		ParallelToolCalls: true, ToolChoice: "auto", Temperature: 1, TopP: 1,
		Usage: responseUsage{InputTokens: j.promptTokens, OutputTokens: j.outputTokens, TotalTokens: j.totalTokens()},
	}
	if r.Temperature != nil {
		a.Temperature = *r.Temperature
	}
	if r.TopP != nil {
		a.TopP = *r.TopP
	}
	if len(a.Metadata) == 0 {
		a.Metadata = jsontext.Value("{}")
	}
	if p.cut {
		a.Status, a.IncompleteDetails = "incomplete", &incompleteReason{"max_output_tokens"}
	}
	a.Output = []responseItem{{
		ID: id.name("msg_"), Type: "message", Status: a.Status, Role: "assistant",
		Content: []responsePart{{Type: "output_text", Text: p.text}},
	}}
	j.answer = a
	return j, nil
}

// readResponseInput prices what a response goes on from: the instructions, and a text or a conversation.
func (j *job) readResponseInput(req *responseRequest) (question string, err *apiError) {
	if len(req.Input) == 0 || req.Input.Kind() == 'n' {
		return "", missing("input")
	}
	var messages []chatMessage
	if req.Instructions != nil {
		messages = append(messages, chatMessage{Role: "system", Content: mustEncode(*req.Instructions)})
	}
	if req.Input.Kind() == '"' {
		return j.readMessages(append(messages, chatMessage{Role: "user", Content: req.Input}), "input")
	}
	var items []chatMessage
	if err := decode(req.Input, &items); err != nil || len(items) == 0 {
		return "", invalid("input", "'input' must be a string or an array of items, and not empty.")
	}
	return j.readMessages(append(messages, items...), "input")
}
