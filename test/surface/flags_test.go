package surface

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"batchd/internal/cli"
)

// run runs a command to its end and returns its exit code and what it printed.
func run(environ []string, args ...string) (code int, stdout, stderr string) {
	var out, problems bytes.Buffer
	code = cli.Main(cli.Process{
		Args: args, Environ: environ, Stdout: &out, Stderr: &problems,
		Signals: make(chan os.Signal), Exit: func(int) {}, Version: "v0",
	})
	return code, out.String(), problems.String()
}

var (
	commandLine  = regexp.MustCompile(`(?m)^  ([a-z]+(?:[ -][a-z]+)*)(?: <.*>)?(?:   .*)?$`)
	flagLine     = regexp.MustCompile(`(?m)^  (?:(-\w), |    )(--\S+)`)
	argumentLine = regexp.MustCompile(`(?m)^  (\[?<\S+>\S*)`)
)

// flags lists the arguments and flags of every command, as its help has them.
func flags(t *testing.T) list {
	t.Helper()
	found := list{}
	commands := map[string]bool{"": true}
	for _, m := range commandLine.FindAllStringSubmatch(section(help(t, ""), "Commands:"), -1) {
		for words := m[1]; words != ""; words = words[:max(0, strings.LastIndex(words, " "))] {
			commands[words] = true
		}
	}
	if len(commands) < 20 {
		t.Fatalf("the help lists %d commands only", len(commands))
	}
	for command := range commands {
		text, name := help(t, command), strings.TrimSpace("batchd "+command)
		found.add(name)
		for _, m := range flagLine.FindAllStringSubmatch(section(text, "Flags:"), -1) {
			found.add(strings.TrimSpace(name + " " + m[2] + " " + m[1]))
		}
		for _, m := range argumentLine.FindAllStringSubmatch(section(text, "Arguments:"), -1) {
			found.add(name + " " + m[1])
		}
	}
	return found
}

func help(t *testing.T, command string) string {
	t.Helper()
	code, text, problems := run(nil, append(strings.Fields(command), "--help")...)
	if code != 0 || text == "" {
		t.Fatalf("batchd %s --help ends with %d: %s", command, code, problems)
	}
	return text
}

// section is what stands below a heading, to the next one.
func section(text, heading string) string {
	_, below, _ := strings.Cut(text, "\n"+heading+"\n")
	if end := regexp.MustCompile(`(?m)^\S`).FindStringIndex(below); end != nil {
		below = below[:end[0]]
	}
	return below
}
