package batch

import "bytes"

// EscapeSeparators returns JSON text with its raw U+0085, U+2028 and U+2029 written as escapes, which are the same text to
// every reader of JSON. Some clients cut lines at them too, such as Python's str.splitlines, and take one result for
// several that are broken. Valid JSON has them in strings only. Text that has none is returned as it is, else a copy.
func EscapeSeparators(text []byte) []byte {
	for _, s := range [...]struct{ raw, escaped string }{
		{"\u0085", `\u0085`}, {"\u2028", `\u2028`}, {"\u2029", `\u2029`},
	} {
		if contains(text, s.raw) { // replacing copies in any case
			text = bytes.ReplaceAll(text, []byte(s.raw), []byte(s.escaped))
		}
	}
	return text
}

// contains looks for a character by its last byte, which is rare, unlike the first: E2 begins every typographic quote.
func contains(text []byte, character string) bool {
	last := len(character) - 1
	for from := last; from < len(text); {
		i := bytes.IndexByte(text[from:], character[last])
		if i < 0 {
			return false
		}
		if at := from + i; string(text[at-last:at+1]) == character {
			return true
		}
		from += i + 1
	}
	return false
}
