package badline

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	// excerptBefore and excerptAfter are how many characters are shown on either side of a place.
	excerptBefore = 16
	excerptAfter  = 24
	// maxFound and maxMember bound what is repeated of a line beside that, in characters.
	maxFound  = 64
	maxMember = 80
)

// clauses say what a line has in it, to follow on "In it, " and to go on with the place; %s is what was found.
var clauses = map[Reason]string{
	NotUTF8:       "%s is not UTF-8",
	ByteOrderMark: "a byte order mark stands where none may (only the start of a file can have one)",
	NUL:           "there are NULs",
	Control:       "%s stands unescaped in a string",
	Unfinished:    "the object does not end (a request is one line, without line breaks)",
	TextBehind:    "text follows the object",
	CommaBehind:   "a comma follows the object (only line breaks stand between requests)",
	TrailingComma: "a comma stands before a closing bracket",
	DuplicateKey:  "the key '%s' appears twice",
	LoneSurrogate: `%s is a lone surrogate, half of a character such as an emoji`,
	BadEscape:     "%s is no escape that JSON knows",
	NotANumber:    "%s is no JSON value (null is one)",
	ForeignWord:   "%s is no JSON value (true, false and null are)",
	SingleQuotes:  "strings stand in single quotes, where JSON has double ones",
	Syntax:        "the JSON is malformed",
}

// Sentence says what is wrong as a sentence that follows on one about the line.
func (f Fault) Sentence() string {
	switch f.Reason {
	case Empty, Blank:
		return "It is " + string(f.Reason) + "."
	case Packed:
		return "It is not text but " + f.Found + ". Unpack the file first."
	case Foreign:
		return "It is not UTF-8 but looks like " + f.Found + ". Save the file as UTF-8."
	case Latin:
		return "It is not UTF-8 but looks like Latin-1 or Windows-1252" + f.place() + ". Save the file as UTF-8."
	case NotObject:
		if f.Found != "" {
			return "It must be a JSON object, and is " + f.Found + "."
		}
		return "It must be a JSON object, and begins with '" + f.Excerpt + "'."
	case Pretty:
		return "It is part of JSON that goes over several lines" + f.place() + ". Each request is one line, not pretty-printed."
	case TooDeep:
		return "It is nested too deeply" + f.place() + "."
	case TwoValues:
		if f.Found == "\r" {
			return "In it, a second value follows behind a lone carriage return" + f.place() + ". Lines end with a line feed."
		}
		return "In it, a second value follows the object" + f.place() + ". Each request is a line of its own."
	}
	clause := clauses[f.Reason]
	if strings.Contains(clause, "%s") {
		clause = fmt.Sprintf(clause, f.Found)
	}
	return "In it, " + clause + f.place() + "."
}

// place says where it is, as the end of a clause.
func (f Fault) place() string {
	if f.Byte == 0 {
		return ""
	}
	s := fmt.Sprintf(", at byte %d", f.Byte)
	if f.Member != "" {
		s += " in " + f.Member
	}
	if f.Excerpt != "" {
		s += ", near '" + f.Excerpt + "'"
	}
	return s
}

// at returns f with a place, an offset from 0 in the line, and what stands there.
func at(line []byte, offset int, f Fault) Fault {
	f.Byte = offset + 1
	// A place that is within a character, as one that is broken, shows its bytes.
	from := offset
	for n := 0; n < excerptBefore && from > 0; n++ {
		_, size := utf8.DecodeLastRune(line[:from])
		from -= size
	}
	head := show(line[from:offset], excerptBefore)
	if from > 0 {
		head = "…" + head
	}
	f.Excerpt = head + show(line[offset:], excerptAfter)
	return f
}

// show returns the first most characters of text as they can be printed, with an ellipsis if there are more. What is no
// character, or none that shows, is escaped.
func show(text []byte, most int) string {
	var b strings.Builder
	for n := 0; len(text) > 0; n++ {
		if n == most {
			return b.String() + "…"
		}
		r, size := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[0])
		case strconv.IsPrint(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		text = text[size:]
	}
	return b.String()
}

// controlName returns a control character as it is written about, with the escape that would be right.
func controlName(c byte) string {
	return fmt.Sprintf(`U+%04X (write %s)`, c, shortEscape(c))
}

// shortEscape returns how JSON writes a control character in a string.
func shortEscape(c byte) string {
	switch c {
	case '\t':
		return `\t`
	case '\r':
		return `\r`
	case '\b':
		return `\b`
	case '\f':
		return `\f`
	default:
		return fmt.Sprintf(`\u%04x`, c)
	}
}

// member writes a pointer the way that parameters are named: body.messages[0].content.
func member(p jsontext.Pointer) string {
	var b strings.Builder
	for token := range p.Tokens() {
		switch {
		case token != "" && strings.Trim(token, "0123456789") == "":
			b.WriteString("[" + token + "]")
		case b.Len() > 0:
			b.WriteString("." + token)
		default:
			b.WriteString(token)
		}
		if b.Len() > 4*maxMember {
			break
		}
	}
	return show([]byte(b.String()), maxMember)
}
