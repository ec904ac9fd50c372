package upstream

import (
	"bytes"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"batchd/internal/limit"
)

const (
	// maxCode and maxMessage are how many characters of an upstream's own words are handed on.
	maxCode    = 64
	maxMessage = 200
	// maxQuoted is how much of a body without a message is looked at.
	maxQuoted = 1 << 10
)

// words is what an error answer says in its own words.
type words struct{ code, kind, message string }

// wordsOf returns the words of an answer. A body that names no message speaks by its first bytes: as they are if it is JSON,
// and else without the quotes in which it was put to stand in a line. An empty body, which has become null, says nothing.
func wordsOf(c content) words {
	w := words{code: c.found.errorCode, kind: c.found.errorType, message: c.found.errorMessage}
	if w.message != "" || c.body == nil {
		return w
	}
	raw := c.body.Bytes() // nil for a body in a file
	switch {
	case c.isJSON:
		w.message = string(raw[:min(len(raw), maxQuoted)])
	case len(raw) > 0 && raw[0] == '"':
		w.message = unquoted(raw[1 : 1+min(len(raw)-2, maxQuoted)])
	}
	return w
}

// says reports whether the code or the type is the word.
func (w words) says(word string) bool { return w.code == word || w.kind == word }

// saysInvalid reports whether the code or the type calls the request bad, in whatever spelling: invalid_request_error,
// BadRequestError, INVALID_ARGUMENT.
func (w words) saysInvalid() bool {
	for _, word := range []string{w.code, w.kind} {
		word = strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(word))
		if strings.HasPrefix(word, "invalidrequest") || strings.HasPrefix(word, "badrequest") || strings.HasPrefix(word, "invalidargument") {
			return true
		}
	}
	return false
}

// told returns what a known phrase in the words means, or "".
func (w words) told() limit.Reason {
	code, kind, message := phrase(w.code), phrase(w.kind), strings.ToLower(w.message)
	for _, p := range phrases {
		if code == p.text || kind == p.text || strings.Contains(message, p.text) {
			return p.reason
		}
	}
	return ""
}

// phrase makes a code like invalid_api_key the phrase that it stands for.
func phrase(code string) string {
	return strings.ReplaceAll(strings.ReplaceAll(strings.ToLower(code), "_", " "), "-", " ")
}

// label is the code if it says more than a number, else the type.
func (w words) label() string {
	if _, err := strconv.Atoi(w.code); err == nil && isLabel(w.kind) {
		return w.kind
	}
	for _, s := range []string{w.code, w.kind} {
		if isLabel(s) {
			return s
		}
	}
	return ""
}

func isLabel(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return s != "" && utf8.RuneCountInString(s) <= maxCode
}

// excerpt is the begin of the message, on one line and without what a terminal or a log would obey.
func (w words) excerpt() string {
	clean := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, w.message)
	clean = strings.Join(strings.Fields(clean), " ")
	n := 0
	for i := range clean {
		if n == maxMessage {
			return clean[:i]
		}
		n++
	}
	return clean
}

// names reports whether an answer names the model, as a word of its own.
func (c content) names(model string) bool {
	if model == "" {
		return false
	}
	if names([]byte(c.found.errorMessage), model) {
		return true
	}
	return c.body != nil && names(c.body.Bytes(), model)
}

func names(text []byte, model string) bool {
	for {
		at := bytes.Index(text, []byte(model))
		if at < 0 {
			return false
		}
		end := at + len(model)
		if (at == 0 || !isWordByte(text[at-1])) && (end == len(text) || !isWordByte(text[end])) {
			return true
		}
		text = text[at+1:]
	}
}

func isWordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c >= utf8.RuneSelf
}
