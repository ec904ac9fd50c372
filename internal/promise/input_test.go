package promise

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// input is an input file whose lines are known: custom ids in order, and what the engine answers to each.
type input struct {
	lines int
	// model names a line's model; nil stands for one model.
	model func(n int) string
	// bad reports the lines that the engine refuses with 400; nil for none.
	bad func(n int) bool
	// padding is added to each body.
	padding string
	// mode picks the answer that a simulated engine gives to a line, by a word in its body; nil leaves it to the engine.
	mode func(n int) string
	// anyAnswer says that the upstream is not our engine: what it answers is not looked at.
	anyAnswer bool
}

// name is the custom id of line n, counted from 1. Lines that the engine refuses say so.
func (in input) name(n int) string {
	if in.bad != nil && in.bad(n) {
		return fmt.Sprintf("bad-%07d", n)
	}
	return fmt.Sprintf("line-%07d", n)
}

// number is the inverse of name; 0 for a name that is none.
func (in input) number(name string) int {
	var n int
	_, digits, _ := strings.Cut(name, "-")
	if _, err := fmt.Sscanf(digits, "%d", &n); err != nil || n < 1 || n > in.lines || in.name(n) != name {
		return 0
	}
	return n
}

// write writes the whole file.
func (in input) write(w io.Writer) error {
	out := bufio.NewWriter(w)
	for n := 1; n <= in.lines; n++ {
		model := "m"
		if in.model != nil {
			model = in.model(n)
		}
		padding := in.padding
		if in.mode != nil {
			padding += " MODE:" + in.mode(n)
		}
		_, err := fmt.Fprintf(out, `{"custom_id":"%s","method":"POST","url":"/v1/chat/completions",`+
			`"body":{"model":"%s","messages":[{"role":"user","content":"%[1]s"}],"user":"%[3]s"}}`+"\n", in.name(n), model, padding)
		if err != nil {
			return err
		}
	}
	return out.Flush()
}
