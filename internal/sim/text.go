package sim

import (
	"math"
	"strings"
	"unicode/utf8"
)

const (
	// bytesPerToken is the whole tokenizer: it is near enough for English, and exact arithmetic for tests.
	bytesPerToken = 4
	// imageTokens is what a part of a message that is not text costs.
	imageTokens = 85
	// messageTokens is the overhead of one message of a chat.
	messageTokens = 4
	// maxOutputTokens is the longest text generated, whatever a request asks for.
	maxOutputTokens = 32 << 10
	// quotedBytes is how much of the user's text an answer repeats.
	quotedBytes = 200
	// maxChoices bounds n.
	maxChoices = 128
	// maxInputs bounds the texts of one request, and the choices of a completion's prompts together.
	maxInputs = 2048
)

func tokens(text string) int { return (len(text) + bytesPerToken - 1) / bytesPerToken }

// head is the longest prefix of whole characters within n bytes.
func head(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// A wish is how long generated text is to be.
type wish struct {
	limit     *int   // tokens; nil: none
	name      string // the parameter that gave the limit
	min       *int
	ignoreEOS bool    // go on to the limit
	format    *format // nil: plain text
}

func (w wish) check() *apiError {
	if w.limit != nil && *w.limit < 1 {
		return invalid(w.name, "Invalid '%s': integer below minimum value. Expected a value >= 1, but got %d instead.", w.name, *w.limit)
	}
	return nil
}

// A format is what a request says of the text it wants. In /v1/responses the schema is a member of the format, in
// chat completions it is one level deeper.
type format struct {
	Type       string `json:"type"`
	Schema     schema `json:"schema"`
	JSONSchema struct {
		Schema schema `json:"schema"`
	} `json:"json_schema"`
}

// instance renders a text as the JSON value the format asks for; a format that wants plain text returns it unchanged.
func (f *format) instance(text string) string {
	switch {
	case f == nil:
		return text
	case f.Type == "json_object":
		return string(mustEncode(struct {
			Answer string `json:"answer"`
		}{text}))
	case f.Type == "json_schema" && len(f.JSONSchema.Schema) > 0:
		return string(newInstance(f.JSONSchema.Schema, text))
	case f.Type == "json_schema":
		return string(newInstance(f.Schema, text))
	}
	return text
}

// A passage is generated text.
type passage struct {
	text   string
	tokens int
	cut    bool
}

func (p passage) finish() string {
	if p.cut {
		return "length"
	}
	return "stop"
}

// openings begin the answers. Alternatives for one request begin differently, so that a test can tell them apart.
var openings = [...]string{
	"This is a simulated answer to: ",
	"The simulated engine read this: ",
	"A simulated model replies to: ",
	"Simulated answer. The question was: ",
}

// write generates the answer to a text. The choice tells the alternatives for one request apart.
func (e *Engine) write(prompt string, id identity, choice int, w wish) passage {
	text := openings[(int(id[0])+choice)%len(openings)] + quoted(prompt)
	want := e.drawLength(id, choice)
	if w.min != nil {
		want = max(want, *w.min)
	}
	limit := maxOutputTokens
	if w.limit != nil {
		limit = min(limit, *w.limit)
		if w.ignoreEOS {
			want = limit
		}
	}
	want = min(want, limit)
	text = lengthen(text, want, id, choice)
	text = w.format.instance(text)
	p := passage{text: head(text, limit*bytesPerToken), cut: len(text) > limit*bytesPerToken || (w.ignoreEOS && w.limit != nil)}
	p.tokens = tokens(p.text)
	return p
}

// quoted is the user's text on one line, shortened.
func quoted(prompt string) string {
	// Only what can be shown is looked at: a prompt may have megabytes.
	short := head(prompt, 2*quotedBytes)
	line := strings.Join(strings.Fields(strings.ToValidUTF8(short, "\uFFFD")), " ")
	if len(line) > quotedBytes || len(short) < len(prompt) {
		return head(line, quotedBytes) + "…"
	}
	return line
}

func (e *Engine) drawLength(id identity, choice int) int {
	if e.opts.OutputTokens == 0 {
		return 0
	}
	if e.opts.OutputSpread == 0 {
		return e.opts.OutputTokens
	}
	z := id.rand(drawLength ^ uint64(choice)<<32).NormFloat64()
	n := float64(e.opts.OutputTokens) * math.Exp(e.opts.OutputSpread*z)
	return int(min(max(n, 1), maxOutputTokens))
}

// lengthen adds words until the text has at least so many tokens, and ends it at exactly so many if words were added.
func lengthen(text string, want int, id identity, choice int) string {
	size := want * bytesPerToken
	if len(text) >= size {
		return text
	}
	words := [...]string{
		"and", "then", "the", "simulated", "model", "goes", "on", "with", "more", "words", "that", "mean", "nothing",
		"but", "take", "time", "to", "make", "as", "real", "ones", "would",
	}
	r := id.rand(drawWords ^ uint64(choice)<<32)
	var b strings.Builder
	b.Grow(size + 16)
	b.WriteString(text)
	for b.Len() < size {
		b.WriteByte(' ')
		b.WriteString(words[r.IntN(len(words))])
	}
	return head(b.String(), size)
}
