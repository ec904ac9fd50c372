package realmodel_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"batchd/test/harness"
	"batchd/test/realmodel"
)

const (
	lines = 600
	// enough is the share of right answers that the model is held to, over vocabulary it was trained on. It knows
	// them all when asked alone; batching other sequences beside one changes its arithmetic in the last bit.
	enough = 0.95
	// runWithin is a hundred times what the run needs alone on two cores.
	runWithin = 5 * time.Minute
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

func TestModelKnowsTheAnswersWhenAskedDirectly(t *testing.T) {
	base := startModel(t)
	prompts := realmodel.Prompts(lines/3, 1)
	answers := make([]string, len(prompts))
	var wait sync.WaitGroup
	for worker := range realmodel.Sequences {
		wait.Go(func() {
			for i := worker; i < len(prompts); i += realmodel.Sequences {
				answers[i] = ask(t, base, prompts[i])
			}
		})
	}
	wait.Wait()
	judge(t, prompts, answers)
}

func TestRunAnswersEveryPromptInOrder(t *testing.T) {
	base := startModel(t)
	prompts := realmodel.Prompts(lines, 2)
	dir := t.TempDir()
	input := filepath.Join(dir, "prompts.jsonl")
	writeInput(t, input, prompts)

	ctx, cancel := context.WithTimeout(t.Context(), runWithin)
	defer cancel()
	run := exec.CommandContext(ctx, harness.Binary(t), "run", input, "--upstream", base, "--concurrency", fmt.Sprint(realmodel.Sequences),
		"--output", filepath.Join(dir, "answers.jsonl"), "--errors", filepath.Join(dir, "errors.jsonl"),
		"--state", filepath.Join(dir, "state"))
	if output, err := run.CombinedOutput(); err != nil {
		t.Fatalf("batchd run: %v\n%s", err, output)
	}

	if failed, err := os.ReadFile(filepath.Join(dir, "errors.jsonl")); err == nil && len(failed) > 0 {
		t.Errorf("errors.jsonl holds lines though every prompt can be answered:\n%.2000s", failed)
	}
	judge(t, prompts, readAnswers(t, filepath.Join(dir, "answers.jsonl"), prompts))
}

// judge checks that enough answers are right, overall and of each kind: a batch whose answers came back in the wrong
// places would still hold plausible ones.
func judge(t *testing.T, prompts []realmodel.Prompt, answers []string) {
	t.Helper()
	if len(answers) != len(prompts) {
		t.Fatalf("got %d answers to %d prompts", len(answers), len(prompts))
	}
	asked, right := map[string]int{}, map[string]int{}
	for i, prompt := range prompts {
		asked[prompt.Kind]++
		if answers[i] == prompt.Answer {
			right[prompt.Kind]++
		} else {
			t.Logf("%q: got %q, want %q", prompt.Text, answers[i], prompt.Answer)
		}
	}
	for kind, n := range asked {
		t.Logf("%s: %d of %d right", kind, right[kind], n)
		if float64(right[kind]) < enough*float64(n) {
			t.Errorf("%s: %d of %d answers are right, want at least %.0f%%", kind, right[kind], n, enough*100)
		}
	}
}

// startModel serves the tiny model until the test ends and returns the base URL that an OpenAI SDK would take.
func startModel(t *testing.T) string {
	t.Helper()
	harness.Platform(t, realmodel.Platform)
	harness.Cached(t, "model", "npm/model/node_modules")
	harness.Cached(t, "model", "bin/node")
	serve, remove, err := realmodel.Server(harness.Root(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(remove)
	return harness.Start(t, serve).Await(t, regexp.MustCompile(`^ready (\S+)$`))
}

// completion is the part of an answer that is judged.
type completion struct {
	Choices []struct {
		Message realmodel.Message `json:"message"`
	} `json:"choices"`
	Usage struct {
		TotalTokens int `json:"total_tokens"`
	} `json:"usage"`
}

// ask puts one prompt to the model without batchd. It may run outside the test's goroutine.
func ask(t *testing.T, base string, prompt realmodel.Prompt) string {
	encoded, err := json.Marshal(prompt.Body())
	if err != nil {
		t.Error(err)
		return ""
	}
	response, err := http.Post(base+"/chat/completions", "application/json", bytes.NewReader(encoded))
	if err != nil {
		t.Error(err)
		return ""
	}
	defer func() { _ = response.Body.Close() }()
	var answer completion
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || len(answer.Choices) != 1 {
		t.Errorf("%q: status %d, %d choices, %v", prompt.Text, response.StatusCode, len(answer.Choices), err)
		return ""
	}
	return answer.Choices[0].Message.Content
}

func writeInput(t *testing.T, path string, prompts []realmodel.Prompt) {
	t.Helper()
	var input bytes.Buffer
	if err := realmodel.WriteInput(&input, prompts); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, input.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// readAnswers reads an output file and checks everything but the answers' meaning: one whole line for every prompt, in
// the order of the input, each a success with its usage.
func readAnswers(t *testing.T, path string, prompts []realmodel.Prompt) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var ids, answers []string
	for line := range bytes.Lines(text) {
		var result struct {
			CustomID string `json:"custom_id"`
			Response struct {
				StatusCode int        `json:"status_code"`
				Body       completion `json:"body"`
			} `json:"response"`
			Error json.RawMessage `json:"error"`
		}
		if err := json.Unmarshal(line, &result); err != nil {
			t.Fatalf("line %d: %v: %s", len(ids)+1, err, line)
		}
		answer := result.Response.Body
		if result.Response.StatusCode != http.StatusOK || string(result.Error) != "null" ||
			len(answer.Choices) != 1 || answer.Usage.TotalTokens == 0 {
			t.Fatalf("line %d is not a success: %s", len(ids)+1, line)
		}
		ids = append(ids, result.CustomID)
		answers = append(answers, answer.Choices[0].Message.Content)
	}
	want := make([]string, len(prompts))
	for i, prompt := range prompts {
		want[i] = prompt.CustomID(i)
	}
	if !slices.Equal(ids, want) {
		t.Fatalf("the output's custom_ids are not those of the input, in order: got %d, want %d; first %.5v", len(ids), len(want), ids)
	}
	return answers
}
