package repair

import (
	"testing"

	"batchd/internal/batch"
)

func TestUsageIsReadFromAResultLine(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]batch.Usage{
		`{"response":{"status_code":200,"body":{"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,` +
			`"prompt_tokens_details":{"cached_tokens":2},"completion_tokens_details":{"reasoning_tokens":1}}}}}`: {Input: 3, Cached: 2, Output: 4, Reasoning: 1, Total: 7},
		`{"response":{"body":{"usage":{"input_tokens":3,"output_tokens":4,"input_tokens_details":{"cached_tokens":2}}}}}`: {Input: 3, Cached: 2, Output: 4},
		`{"response":{"body":{"usage":{"prompt_tokens":-3,"completion_tokens":1e99,"total_tokens":"7","x":null}}}}`:       {},
		`{"response":{"body":{"usage":null}}}`:   {},
		`{"response":{"body":"text"}}`:           {},
		`{"response":null,"error":{"code":"x"}}`: {},
		`[]`:                                     {},
		``:                                       {},
	} {
		if got := usageIn([]byte(line)); got != want {
			t.Errorf("%s: got %+v, want %+v", line, got, want)
		}
	}
}
