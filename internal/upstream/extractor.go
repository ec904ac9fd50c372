package upstream

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"batchd/internal/batch"
)

// answer is what batchd wants to know of a JSON answer.
type answer struct {
	// kind is the first byte of the answer: '{', '[', '"', and so on.
	kind byte
	// empty says that the answer is a container with nothing in it.
	empty bool
	// isResponse says that its "object" is "response": the Responses API, whose error may be of the user's making.
	isResponse bool
	// isError says that the answer says itself that it is none: it has a member "error" with something in it (not null, false,
	// 0, "", {} or []), or no other member, its "object" is "error", or it is a
	// response that failed. The fields after it are the error's own; what it does not have is taken from
	// the top level, where some servers write all of it.
	isError      bool
	errorCode    string
	errorType    string
	errorMessage string
	// failure is the finish_reason of a choice that ended as no answer does: "error" or "abort".
	failure string
	usage   batch.Usage
}

// member is a name at the top level of an answer.
type member uint8

const (
	memberOther member = iota
	memberData
	memberResults
	// Of those from here on the names below them are looked at too.
	memberError
	memberUsage
	memberChoices
)

// field is a scalar that is wanted.
type field uint8

const (
	fieldNone field = iota
	fieldError
	fieldObject
	fieldStatus
	fieldCode
	fieldType
	fieldMessage
	fieldFinishReason
	fieldInput
	fieldCached
	fieldOutput
	fieldReasoning
	fieldTotal
)

// maxText is how much of a wanted name or scalar is kept. What is longer is cut: only a message can be, and of one that is
// quoted to the user maxMessage characters are shown, each of which may be an escape of six bytes.
const maxText = 1200

// extractor is the part of a scanner that knows where in an answer it stands.
type extractor struct {
	found answer
	// member is the top-level member that is being read, field the wanted scalar that comes next or is being read.
	member member
	field  field
	// failed says that the answer's "status" is "failed", which in the Responses API means what an error does.
	failed bool
	// filled says of each member whether there is a container in its place that holds something.
	filled [memberChoices + 1]bool
	// bare says that the answer is an object that had no member but "error" so far.
	bare bool
	// collecting says that text takes the bytes of the current name or scalar, without quotes.
	collecting bool
	text       []byte
}

// collect sees the bytes of every string and number, in pieces.
func (x *extractor) collect(p []byte) {
	if x.collecting && len(x.text) < maxText {
		x.text = append(x.text, p[:min(len(p), maxText-len(x.text))]...)
	}
}

// startKey begins a member's name in a container at depth, counted from 1. Below the top level names matter only
// in some members.
func (x *extractor) startKey(depth int) {
	x.collecting = depth == 1 || depth <= 3 && x.member >= memberError
	x.text = x.text[:0]
	x.field = fieldNone
}

// keyEnds sees the end of every member's name.
func (x *extractor) keyEnds(depth int) {
	if !x.collecting {
		return
	}
	x.collecting = false
	if depth == 1 {
		x.member, x.field = topLevel(x.text)
		x.bare = x.bare && x.member == memberError
	} else {
		x.field = below(x.member, depth, x.text)
	}
}

// topLevel knows the names of an answer's members, and those of an error that is not in an object of its own. Like below it
// compares in switches: the compiler searches those by length and by halves, where a map would make the whole scan a tenth
// slower.
func topLevel(name []byte) (member, field) {
	switch string(name) {
	case "error":
		return memberError, fieldError
	case "usage":
		return memberUsage, fieldNone
	case "choices":
		return memberChoices, fieldNone
	case "data":
		return memberData, fieldNone
	case "results":
		return memberResults, fieldNone
	case "object":
		return memberOther, fieldObject
	case "status":
		return memberOther, fieldStatus
	case "code":
		return memberOther, fieldCode
	case "type", "error_type":
		return memberOther, fieldType
	case "message", "detail":
		return memberOther, fieldMessage
	default:
		return memberOther, fieldNone
	}
}

// below knows the names within the members of interest: those of an error object, of which Google writes the word for a code
// as its status; those of a usage object and of its details; and the one that counts of each choice.
func below(m member, depth int, name []byte) field {
	switch {
	case depth == 2 && m == memberError:
		switch string(name) {
		case "code":
			return fieldCode
		case "type", "status":
			return fieldType
		case "message":
			return fieldMessage
		}
	case depth == 2 && m == memberUsage:
		switch string(name) {
		case "prompt_tokens", "input_tokens":
			return fieldInput
		case "completion_tokens", "output_tokens":
			return fieldOutput
		case "total_tokens":
			return fieldTotal
		}
	case depth == 3 && m == memberUsage:
		switch string(name) {
		case "cached_tokens":
			return fieldCached
		case "reasoning_tokens":
			return fieldReasoning
		}
	case depth == 3 && m == memberChoices && string(name) == "finish_reason":
		return fieldFinishReason
	}
	return fieldNone
}

// valueStarts sees the first byte of every value; depth counts the containers around it.
func (x *extractor) valueStarts(c byte, depth int) {
	switch depth {
	case 0:
		x.found.kind = c
		x.found.empty, x.bare = true, c == '{'
	case 1:
		x.found.empty = false
	case 2:
		x.found.isError = x.found.isError || x.member == memberError
		x.filled[x.member] = true
	}
	if x.field == fieldNone {
		return
	}
	if x.field == fieldError && c == 't' {
		x.found.isError = true
	}
	if c == '{' || c == '[' {
		x.field = fieldNone
		return
	}
	x.collecting = true
	x.text = x.text[:0]
	if c != '"' {
		x.text = append(x.text, c)
	}
}

// ends sees the end of the answer.
func (x *extractor) ends() {
	x.found.isError = x.found.isError || x.found.isResponse && x.failed || x.bare && !x.found.empty
}

// scalarEnds sees the end of every scalar: kind is '"' for strings, '0' for numbers, 'l' for true, false and null.
func (x *extractor) scalarEnds(kind byte) {
	if !x.collecting {
		return
	}
	x.collecting = false
	f := x.field
	x.field = fieldNone
	switch kind {
	case '"':
		x.setText(f)
	case '0':
		x.setNumber(f)
	}
}

func (x *extractor) setText(f field) {
	switch f {
	case fieldObject:
		x.found.isResponse = string(x.text) == "response"
		x.found.isError = x.found.isError || string(x.text) == "error"
	case fieldStatus:
		x.failed = string(x.text) == "failed"
	case fieldFinishReason:
		if text := string(x.text); text == "error" || text == "abort" {
			x.found.failure = text
		}
	case fieldCode:
		x.setError(&x.found.errorCode, unquoted(x.text))
	case fieldType:
		x.setError(&x.found.errorType, unquoted(x.text))
	case fieldError:
		x.found.isError = x.found.isError || len(x.text) > 0
		x.found.errorMessage = unquoted(x.text)
	case fieldMessage:
		x.setError(&x.found.errorMessage, unquoted(x.text))
	}
}

// setError stores a field of an error. One of the error object itself goes before one of the top level, whichever comes
// first.
func (x *extractor) setError(field *string, value string) {
	if x.member == memberError || *field == "" {
		*field = value
	}
}

func (x *extractor) setNumber(f field) {
	n := tokens(x.text)
	switch f {
	case fieldError:
		x.found.isError = x.found.isError || strings.Trim(string(x.text), "-0.") != ""
	case fieldCode:
		x.setError(&x.found.errorCode, string(x.text))
	case fieldInput:
		x.found.usage.Input = n
	case fieldCached:
		x.found.usage.Cached = n
	case fieldOutput:
		x.found.usage.Output = n
	case fieldReasoning:
		x.found.usage.Reasoning = n
	case fieldTotal:
		x.found.usage.Total = n
	}
}

// tokens reads a number of tokens. What cannot be one counts as none: negative or absurdly long. Digits
// after a point do not count, since some servers write 12.0.
func tokens(text []byte) int64 {
	const maxDigits = 15
	var n int64
	for i, c := range text {
		switch {
		case c == '.':
			return n
		case c < '0' || c > '9' || i >= maxDigits:
			return 0
		}
		n = n*10 + int64(c-'0')
	}
	return n
}

// unquoted decodes the inside of a JSON string, which may have been cut in the middle of an escape or a character.
func unquoted(raw []byte) string {
	const longestEscape = len(`\ud83d\ude00`)
	quoted := append(append([]byte{'"'}, raw...), '"')
	for cut := 0; cut < longestEscape && len(quoted) > 2; cut++ {
		if s, err := jsontext.AppendUnquote(nil, quoted); err == nil {
			return string(s)
		}
		quoted = append(quoted[:len(quoted)-2], '"')
	}
	return ""
}
