package sim

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	defaultDimensions = 64
	maxDimensions     = 8192
	// embeddedWords is how many words of a text count: enough to tell texts apart, few enough to stay fast.
	embeddedWords = 1024
)

type embeddingRequest struct {
	common
	Input          jsontext.Value `json:"input"`
	Dimensions     *int           `json:"dimensions"`
	EncodingFormat string         `json:"encoding_format"`
}

type embeddingAnswer struct {
	Object string          `json:"object"`
	Data   []embeddingItem `json:"data"`
	Model  string          `json:"model"`
	Usage  embeddingUsage  `json:"usage"`
}

type embeddingItem struct {
	Object    string `json:"object"`
	Index     int    `json:"index"`
	Embedding any    `json:"embedding"` // []float32, or their bytes in base64
}

type embeddingUsage struct {
	PromptTokens int `json:"prompt_tokens"`
	TotalTokens  int `json:"total_tokens"`
}

// answer serves /v1/embeddings. A vector depends on the seed and the text alone, so the same text has the same
// vector in every request, and texts that share words are near each other.
func (r *embeddingRequest) answer(e *Engine, _ identity) (job, *apiError) {
	dims := defaultDimensions
	if r.Dimensions != nil {
		dims = *r.Dimensions
	}
	if dims < 1 || dims > maxDimensions {
		return job{}, invalid("dimensions", "Invalid 'dimensions': expected 1 to %d, but got %d instead.", maxDimensions, dims)
	}
	if f := r.EncodingFormat; f != "" && f != "float" && f != "base64" {
		return job{}, invalid("encoding_format", "Invalid value: '%s'. Supported values are: 'float' and 'base64'.", f)
	}
	texts, err := inputs("input", r.Input)
	if err != nil {
		return job{}, err
	}
	j := r.job()
	j.promptTokens = countTokens(texts)
	answer := embeddingAnswer{
		Object: "list", Data: make([]embeddingItem, len(texts)), Model: r.Model,
		Usage: embeddingUsage{PromptTokens: j.promptTokens, TotalTokens: j.promptTokens},
	}
	for i, in := range texts {
		v := embed(e.opts.Seed, in.text, dims)
		answer.Data[i] = embeddingItem{Object: "embedding", Index: i, Embedding: v}
		if r.EncodingFormat == "base64" {
			raw := make([]byte, 0, 4*len(v))
			for _, x := range v {
				raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
			}
			answer.Data[i].Embedding = base64.StdEncoding.EncodeToString(raw)
		}
	}
	j.answer = answer
	return j, nil
}

// embed returns a unit vector: the sum of one pseudo-random vector per word, and a faint one for the text as a whole,
// which keeps the order of words from being lost and an empty text from having none.
func embed(seed uint64, text string, dims int) []float32 {
	sum := make([]float64, dims)
	scatter(sum, hash64(seed, text), 0.1)
	n := 0
	for word := range strings.FieldsSeq(text) {
		if n++; n > embeddedWords {
			break
		}
		scatter(sum, hash64(seed, strings.ToLower(word)), 1)
	}
	var square float64
	for _, x := range sum {
		square += float64(x * x)
	}
	norm := math.Sqrt(square)
	v := make([]float32, dims)
	for i, x := range sum {
		v[i] = float32(x / norm)
	}
	return v
}

// scatter adds a pseudo-random vector with coordinates within ±weight. The generator is splitmix64. The products are
// converted explicitly, since a fused multiply-add would make vectors differ between processors.
func scatter(sum []float64, state uint64, weight float64) {
	for i := range sum {
		state += 0x9e3779b97f4a7c15
		z := state
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		z ^= z >> 31
		unit := float64(float64(int64(z)>>11) / (1 << 52))
		sum[i] += float64(unit * weight)
	}
}
