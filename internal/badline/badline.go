// Package badline says what is wrong with a line that should be a JSON object: the reason, the place, and a short excerpt. It
// is asked only about lines that an ordinary check has refused, so it may take its time; it calls no line bad that is a JSON
// object. What else a request must hold is its callers' business.
package badline

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// Reason is what is wrong with a line.
type Reason string

// The reasons. A line has the first of its faults, but one that is in another encoding has that.
const (
	// Empty is a file without a byte, which only those who see the whole file can tell.
	Empty Reason = "empty"
	Blank Reason = "blank"
	// Packed is the start of a compressed file or an archive, Foreign text in another encoding that spans bytes.
	Packed  Reason = "packed"
	Foreign Reason = "foreign_encoding"
	// Latin is a byte that is not UTF-8 and stands in a word, NotUTF8 any other one.
	Latin         Reason = "latin"
	NotUTF8       Reason = "not_utf8"
	ByteOrderMark Reason = "byte_order_mark"
	NUL           Reason = "nul"
	Control       Reason = "control_character"
	// NotObject is another value than an object, or text that is no JSON from its first character on.
	NotObject Reason = "not_object"
	// Unfinished is a line that ends within its object, Pretty one that seems to be a part of an object over several lines.
	Unfinished Reason = "unfinished"
	Pretty     Reason = "pretty_printed"
	// TwoValues is a second value behind the object, CommaBehind a comma there, TextBehind anything else.
	TwoValues   Reason = "two_values"
	CommaBehind Reason = "comma_behind"
	TextBehind  Reason = "text_behind"
	// TrailingComma is a comma before a closing bracket.
	TrailingComma Reason = "trailing_comma"
	DuplicateKey  Reason = "duplicate_key"
	LoneSurrogate Reason = "lone_surrogate"
	BadEscape     Reason = "bad_escape"
	// NotANumber is NaN or an infinity, ForeignWord another language's word for a value, SingleQuotes a string in those.
	NotANumber   Reason = "not_a_number"
	ForeignWord  Reason = "foreign_word"
	SingleQuotes Reason = "single_quotes"
	TooDeep      Reason = "too_deep"
	// Syntax is everything else.
	Syntax Reason = "syntax"
)

// Fault is what is wrong with a line. Everything in it is short and safe to show to whom the line belongs.
type Fault struct {
	Reason Reason
	// Byte is the place, counted in bytes of the line from 1; 0 where it is the whole line.
	Byte int
	// Member is the path of the value that the place is in, like "body.messages[0].content"; "" for none.
	Member string
	// Found is the word, the key, the byte, the encoding or the kind of value that the reason is about; "" for none.
	Found string
	// Excerpt is what stands at the place, with a little before it; "" where that would show nothing.
	Excerpt string
}

// Find returns what is wrong with a line, given without its line break; false if it is a JSON object, nested up to maxDepth
// deep, 0 for what the parser takes.
func Find(line []byte, maxDepth int) (Fault, bool) {
	start := skipSpace(line, 0)
	if start == len(line) {
		return Fault{Reason: Blank}, true
	}
	if f, foreign := encodingFault(line); foreign {
		return f, true
	}
	d := jsontext.NewDecoder(bytes.NewBuffer(line))
	for deep := 0; ; {
		token, err := d.ReadToken()
		if err != nil {
			return refused(line, start, d.StackDepth(), err), true
		}
		if deep == 0 && token.Kind() != jsontext.KindBeginObject {
			return notObject(line, start, token.Kind()), true
		}
		deep = d.StackDepth()
		if maxDepth > 0 && deep > maxDepth {
			return at(line, int(d.InputOffset())-1, Fault{Reason: TooDeep}), true
		}
		if deep == 0 {
			break
		}
	}
	return behind(line, int(d.InputOffset()))
}

// notObject is about a line that begins with a value of another kind; the value may go on.
func notObject(line []byte, start int, kind jsontext.Kind) Fault {
	f := Fault{Reason: NotObject, Found: kindName(kind)}
	if kind != jsontext.KindString {
		return f
	}
	end := start + 1 // of the string, which has been read
	for ; line[end] != '"'; end++ {
		if line[end] == '\\' {
			end++
		}
	}
	if next := skipSpace(line, end+1); next < len(line) && line[next] == ':' {
		return at(line, start, Fault{Reason: Pretty})
	}
	return f
}

// kindName returns the name of a kind of value with its article.
func kindName(kind jsontext.Kind) string {
	switch kind {
	case jsontext.KindBeginArray:
		return "an array"
	case jsontext.KindString:
		return "a string"
	case jsontext.KindNumber:
		return "a number"
	case jsontext.KindNull:
		return "null"
	default:
		return "a boolean"
	}
}

// behind looks at what follows on an object that ends at byte end.
func behind(line []byte, end int) (Fault, bool) {
	next := skipSpace(line, end)
	if next == len(line) {
		return Fault{}, false
	}
	f := Fault{Reason: TextBehind}
	switch line[next] {
	case ',':
		f.Reason = CommaBehind
	case '{', '[':
		f.Reason = TwoValues
		if bytes.IndexByte(line[end:next], '\r') >= 0 {
			f.Found = "\r"
		}
	case 0:
		f.Reason = NUL
	}
	return at(line, next, f), true
}

// skipSpace returns where the first byte from i on is that is no white space of JSON, or the line's length.
func skipSpace(line []byte, i int) int {
	for i < len(line) && (line[i] == ' ' || line[i] == '\t' || line[i] == '\r' || line[i] == '\n') {
		i++
	}
	return i
}
