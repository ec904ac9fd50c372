package sdk_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"batchd/test/harness"
)

const (
	// documentedServer is where README.md's snippets expect the server.
	documentedServer = "http://127.0.0.1:8080"
	// inputName is the file that they expect in the working folder.
	inputName = "requests.jsonl"
)

// fence is a fenced block of code with its language and its text.
var fence = regexp.MustCompile("(?s)```([a-z]+)\n(.*?)```")

func TestREADMESnippets(t *testing.T) {
	t.Parallel()
	readme := readFile(t, filepath.Join(harness.Root(t), "README.md"))
	programs := map[string]func(t *testing.T, code string) *exec.Cmd{
		"python": pythonProgram, "node": nodeProgram, "go": goProgram,
	}
	for language, program := range programs {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			code, err := snippet(readme, language)
			if err != nil {
				t.Fatal(err)
			}
			server := harness.Serve(t)
			command := program(t, strings.ReplaceAll(code, documentedServer, server))
			command.Dir = t.TempDir()
			writeFile(t, filepath.Join(command.Dir, inputName), string(requests(3)))
			if output := runAgainst(t, server+"/v1", command); strings.TrimSpace(output) == "" {
				t.Error("the snippet printed nothing: a reader would not see that it worked")
			}
		})
	}
}

// snippet returns the code between the markers of one language in a Markdown text, which must hold one fenced block
// and nothing else.
func snippet(text, language string) (string, error) {
	opening := "<!-- snippet:" + language + " -->"
	_, rest, found := strings.Cut(text, opening)
	if !found {
		return "", fmt.Errorf("no %s", opening)
	}
	marked, _, found := strings.Cut(rest, "<!-- /snippet -->")
	if !found {
		return "", fmt.Errorf("no <!-- /snippet --> after %s", opening)
	}
	block := fence.FindStringSubmatch(marked)
	if block == nil || strings.TrimSpace(marked) != strings.TrimSpace(block[0]) {
		return "", fmt.Errorf("%s must be followed by one fenced block and <!-- /snippet -->", opening)
	}
	return block[2], nil
}

func TestSnippetIsTheOneFencedBlockBetweenItsMarkers(t *testing.T) {
	t.Parallel()
	good := "a\n<!-- snippet:go -->\n```go\nx := 1\n```\n<!-- /snippet -->\nb"
	if got, err := snippet(good, "go"); got != "x := 1\n" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	for name, bad := range map[string]string{
		"no marker":       "```go\nx := 1\n```",
		"no end":          "<!-- snippet:go -->\n```go\nx := 1\n```",
		"no block":        "<!-- snippet:go -->\nx := 1\n<!-- /snippet -->",
		"prose inside":    "<!-- snippet:go -->\nlook:\n```go\nx := 1\n```\n<!-- /snippet -->",
		"other language":  strings.ReplaceAll(good, "snippet:go", "snippet:node"),
		"unclosed fences": "<!-- snippet:go -->\n```go\nx := 1\n<!-- /snippet -->",
	} {
		if got, err := snippet(bad, "go"); err == nil {
			t.Errorf("%s: got %q, want an error", name, got)
		}
	}
}

func pythonProgram(t *testing.T, code string) *exec.Cmd {
	t.Helper()
	python := harness.Cached(t, "python", "venv/bin/python")
	script := filepath.Join(t.TempDir(), "snippet.py")
	writeFile(t, script, code)
	return exec.CommandContext(limited(t), python, script)
}

func nodeProgram(t *testing.T, code string) *exec.Cmd {
	t.Helper()
	script := filepath.Join(nodeFolder(t), "snippet.mjs")
	writeFile(t, script, code)
	return nodeCommand(t, script)
}

// goProgram builds the snippet, wrapped into a main function unless it is a whole program, in this module, which has
// the SDK among its requirements.
func goProgram(t *testing.T, code string) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	source, binary := filepath.Join(dir, "main.go"), filepath.Join(dir, "snippet")
	writeFile(t, source, wholeProgram(code))
	build := exec.CommandContext(limited(t), "go", "build", "-o", binary, source)
	build.Dir = harness.Root(t)
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the Go snippet: %v\n%s", err, output)
	}
	return exec.CommandContext(limited(t), binary)
}

// wholeProgram adds to a bare run of statements the frame that README.md leaves out: the package, the imports of the
// packages that the statements name, and main.
func wholeProgram(code string) string {
	if strings.Contains(code, "package main") {
		return code
	}
	imports := []struct{ name, path string }{
		{"bytes", "bytes"},
		{"context", "context"},
		{"fmt", "fmt"},
		{"io", "io"},
		{"log", "log"},
		{"os", "os"},
		{"strings", "strings"},
		{"time", "time"},
		{"openai", "github.com/openai/openai-go/v3"},
		{"option", "github.com/openai/openai-go/v3/option"},
	}
	var program strings.Builder
	program.WriteString("package main\n\nimport (\n")
	for _, candidate := range imports {
		if regexp.MustCompile(`\b` + candidate.name + `\.[A-Z]`).MatchString(code) {
			fmt.Fprintf(&program, "\t%q\n", candidate.path)
		}
	}
	program.WriteString(")\n\nfunc main() {\n" + code + "}\n")
	return program.String()
}
