package badline

import (
	"bytes"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	// parserDepth is how deep the parser goes itself.
	parserDepth = 10_000
	hexDigits   = "0123456789abcdefABCDEF"
)

// refused is about a line that the parser refused with err while depth brackets were open.
func refused(line []byte, start, depth int, err error) Fault {
	var syntax *jsontext.SyntacticError
	if !errors.As(err, &syntax) {
		return unfinished(line, depth) // of a line that is read from memory nothing else fails
	}
	offset := min(int(syntax.ByteOffset), len(line))
	f := Fault{Reason: Syntax, Member: member(syntax.JSONPointer)}
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		f.Reason, f.Found = DuplicateKey, show([]byte(syntax.JSONPointer.LastToken()), maxFound)
		f.Member = member(syntax.JSONPointer.Parent())
	case depth >= parserDepth:
		f = Fault{Reason: TooDeep}
	case offset == len(line), errors.Is(err, io.ErrUnexpectedEOF):
		if line[start] != '{' {
			return beginning(line, start)
		}
		return unfinished(line, depth)
	default:
		if f = inPlace(line, offset, f); f.Reason == Syntax && line[start] != '{' {
			return beginning(line, start)
		}
	}
	return at(line, offset, f)
}

// unfinished is about a line that ends where an object does not.
func unfinished(line []byte, depth int) Fault {
	last := bytes.TrimRight(line, " \t\r")
	f := Fault{Reason: Unfinished}
	if depth > 0 && bytes.IndexByte([]byte("{[,"), last[len(last)-1]) >= 0 {
		f.Reason = Pretty
	}
	return at(line, len(last)-1, f)
}

// beginning is about a line that begins with no value.
func beginning(line []byte, start int) Fault {
	if c := line[start]; c == '}' || c == ']' {
		return at(line, start, Fault{Reason: Pretty})
	}
	return Fault{Reason: NotObject, Excerpt: show(line[start:], excerptAfter)}
}

// inPlace names what stands at a place where the parser goes no further.
func inPlace(line []byte, offset int, f Fault) Fault {
	rest := line[offset:]
	c := rest[0]
	quoted := inString(line[:offset])
	switch {
	case bytes.HasPrefix(rest, []byte(byteOrderMark)):
		f.Reason = ByteOrderMark
	case c == 0:
		f.Reason = NUL
	case invalid(rest):
		return notUTF8(line, offset, f)
	case c < ' ' && quoted:
		f.Reason, f.Found = Control, controlName(c)
	case c == '\\' && quoted:
		return escape(rest, f)
	case c == ',' && closes(rest[1:]):
		f.Reason = TrailingComma
	case c == '\'':
		f.Reason = SingleQuotes
	default:
		if word := wordAround(line, offset); word != "" {
			f.Reason, f.Found = foreign(word, f.Reason), word
		}
	}
	return f
}

// escape is about a backslash and what follows on it.
func escape(rest []byte, f Fault) Fault {
	f.Reason, f.Found = BadEscape, show(rest[:min(2, len(rest))], maxFound)
	if len(rest) < 2 || rest[1] != 'u' {
		return f
	}
	digits := rest[2:min(6, len(rest))]
	digits = digits[:len(digits)-len(bytes.TrimLeft(digits, hexDigits))]
	f.Found = string(rest[:2+len(digits)])
	if len(digits) == 4 && digits[0]|0x20 == 'd' {
		f.Reason = LoneSurrogate
	}
	return f
}

// foreign returns the reason for a word that is no value of JSON, or the one that is given.
func foreign(word string, other Reason) Reason {
	switch word {
	case "NaN", "nan", "NAN", "Infinity", "-Infinity", "+Infinity", "inf", "-inf", "Inf", "-Inf":
		return NotANumber
	case "None", "True", "False", "undefined", "nil", "NULL", "Null", "TRUE", "FALSE":
		return ForeignWord
	default:
		return other
	}
}

// wordAround returns the word that a place is in, with its sign, "" where it is none or a long one.
func wordAround(line []byte, offset int) string {
	const longest = 12
	letter := func(i int) bool {
		return i >= 0 && i < len(line) && (line[i]|0x20 >= 'a' && line[i]|0x20 <= 'z')
	}
	start, end := offset, offset
	for letter(start-1) && offset-start < longest {
		start--
	}
	if start == offset && (line[offset] == '-' || line[offset] == '+') {
		end++
	}
	for letter(end) && end-offset < longest {
		end++
	}
	if start > 0 && (line[start-1] == '-' || line[start-1] == '+') {
		start--
	}
	return string(line[start:end])
}

// closes reports whether a closing bracket is what comes next.
func closes(rest []byte) bool {
	next := skipSpace(rest, 0)
	return next < len(rest) && (rest[next] == '}' || rest[next] == ']')
}

// inString reports whether what follows on the beginning of a line is in a string. So far the line is JSON.
func inString(beginning []byte) bool {
	quoted := false
	for i := 0; i < len(beginning); i++ {
		switch beginning[i] {
		case '\\':
			i++
		case '"':
			quoted = !quoted
		}
	}
	return quoted
}
