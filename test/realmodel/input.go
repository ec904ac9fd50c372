package realmodel

import (
	"encoding/json"
	"fmt"
	"io"
)

// Request is the body of a chat completion; its fields are the ones the model's server reads.
type Request struct {
	Model       string    `json:"model"`
	Messages    []Message `json:"messages"`
	MaxTokens   int       `json:"max_tokens"`
	Temperature float64   `json:"temperature"`
}

// Message is one turn of a chat.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// Body returns the request that asks for a prompt's answer.
func (p Prompt) Body() Request {
	return Request{Model: "tiny", Messages: []Message{{Role: "user", Content: p.Text}}, MaxTokens: 32}
}

// CustomID returns the custom_id of the prompt that is line i of an input file, from 0 on.
func (p Prompt) CustomID(i int) string { return fmt.Sprintf("%s-%04d", p.Kind, i) }

// WriteInput writes an input file with a line for each prompt.
func WriteInput(w io.Writer, prompts []Prompt) error {
	encoder := json.NewEncoder(w)
	for i, p := range prompts {
		line := map[string]any{"custom_id": p.CustomID(i), "method": "POST", "url": "/v1/chat/completions", "body": p.Body()}
		if err := encoder.Encode(line); err != nil {
			return err
		}
	}
	return nil
}
