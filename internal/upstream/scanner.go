package upstream

import (
	"encoding/binary"
	"math/bits"
)

// maxDepth is the deepest nesting of an answer; deeper ones are taken for damage. encoding/json has the same bound, so that
// what passes here can be read by those who fetch the results.
const maxDepth = 10_000

// A scanner checks that the bytes written to it are one JSON value (RFC 8259), and picks out what batchd wants to know
// of an answer. It takes the bytes in pieces of any size and keeps none of them, so that an answer of any length is
// checked in constant memory, even one that is a single long string. Duplicate names and lone surrogates pass: it is
// the upstream's text. Bytes from 0x80 on pass inside strings; whether they are UTF-8 is checked elsewhere. The numbers that
// Python's json writes and JSON lacks, NaN and the infinities, pass too and are counted: see finite.
type scanner struct {
	state state
	// hex counts the digits still wanted of a \u escape; literal is what is still wanted of true, false or null.
	hex     int
	literal string
	// inKey says that the current string is a member's name.
	inKey bool
	// lineBreaks is set by the first raw CR or LF. It can only stand between tokens.
	lineBreaks bool
	// notFinite counts the values NaN, Infinity and -Infinity; tooDeep says that nesting is what broke the value.
	notFinite int
	tooDeep   bool

	// depth counts the open containers; bit i of objects says that container i is an object.
	depth   int
	objects [maxDepth/64 + 1]uint64

	extractor
}

type state uint8

const (
	wantValue    state = iota // at the start, after a colon, after a comma in an array
	wantElement               // after [: a value or ]
	wantKey                   // after a comma in an object
	wantFirstKey              // after {: a name or }
	wantColon
	wantComma // after a value: a comma or the container's end
	wantEnd   // after the whole value: only white space
	inString
	inEscape
	inHex
	inLiteral
	afterMinus // in a number, from here on
	afterZero
	inInteger
	afterPoint
	inFraction
	afterE
	afterExpSign
	inExponent
	broken
)

// reset readies a scanner of the pool for another answer. The buffer of text stays, or each call would allocate one.
func (s *scanner) reset() {
	text := s.text[:0]
	*s = scanner{}
	s.text = text
}

// write takes the next bytes and reports whether they can still be part of a JSON value.
func (s *scanner) write(p []byte) bool {
	for i := 0; i < len(p) && s.state != broken; {
		switch s.state {
		case inString:
			i = s.scanString(p, i)
		case inEscape, inHex:
			s.scanEscape(p[i])
			i++
		case inLiteral:
			i = s.scanLiteral(p, i)
		case afterMinus, afterZero, inInteger, afterPoint, inFraction, afterE, afterExpSign, inExponent:
			i = s.scanNumber(p, i)
		default:
			i = s.scanToken(p, i)
		}
	}
	return s.state != broken
}

// close reports whether what was written is a whole JSON value.
func (s *scanner) close() bool {
	if s.depth == 0 && numberMayEnd(s.state) {
		s.endScalar('0')
	}
	s.ends()
	return s.state == wantEnd
}

// scanToken skips white space and takes one structural character or the first one of a scalar.
func (s *scanner) scanToken(p []byte, i int) int {
	for ; i < len(p); i++ {
		switch c := p[i]; c {
		case ' ', '\t':
		case '\n', '\r':
			s.lineBreaks = true
		default:
			s.token(c)
			return i + 1
		}
	}
	return i
}

// token takes the first byte of a token: what may come depends on the state and on the container around it.
func (s *scanner) token(c byte) {
	switch {
	case s.state == wantColon && c == ':':
		s.state = wantValue
	case s.state == wantComma && c == ',':
		s.state = wantValue
		if s.inObject() {
			s.state = wantKey
		}
	case c == '"' && (s.state == wantKey || s.state == wantFirstKey):
		s.state, s.inKey = inString, true
		s.startKey(s.depth)
	case c == '}' && s.inObject() && (s.state == wantComma || s.state == wantFirstKey),
		c == ']' && !s.inObject() && (s.state == wantComma || s.state == wantElement):
		s.depth--
		s.endValue()
	case s.state == wantValue || s.state == wantElement:
		s.startValue(c)
	default:
		s.state = broken
	}
}

// startValue takes the first byte of a value, and tells the extractor before the state moves on.
func (s *scanner) startValue(c byte) {
	s.valueStarts(c, s.depth)
	switch c {
	case '{', '[':
		s.open(c == '{')
	case '"':
		s.state = inString
	case '-':
		s.state = afterMinus
	case '0':
		s.state = afterZero
	case '1', '2', '3', '4', '5', '6', '7', '8', '9':
		s.state = inInteger
	case 't':
		s.state, s.literal = inLiteral, "true"[1:]
	case 'f':
		s.state, s.literal = inLiteral, "false"[1:]
	case 'n':
		s.state, s.literal = inLiteral, "null"[1:]
	case 'N', 'I':
		s.startNotFinite(c)
	default:
		s.state = broken
	}
}

// startNotFinite takes the first letter of NaN or Infinity.
func (s *scanner) startNotFinite(c byte) {
	s.notFinite++
	s.state, s.literal = inLiteral, notANumber[1:]
	if c == 'I' {
		s.literal = infinity[1:]
	}
}

func (s *scanner) open(object bool) {
	if s.depth == maxDepth {
		s.state, s.tooDeep = broken, true
		return
	}
	word, bit := &s.objects[s.depth/64], uint64(1)<<(s.depth%64)
	s.depth++
	if object {
		*word |= bit
		s.state = wantFirstKey
	} else {
		*word &^= bit
		s.state = wantElement
	}
}

func (s *scanner) inObject() bool {
	top := s.depth - 1
	return top >= 0 && s.objects[top/64]&(1<<(top%64)) != 0
}

func (s *scanner) endValue() {
	s.state = wantComma
	if s.depth == 0 {
		s.state = wantEnd
	}
}

func (s *scanner) endScalar(kind byte) {
	s.scalarEnds(kind)
	s.endValue()
}

// scanString takes a string up to its next escape or its end.
func (s *scanner) scanString(p []byte, i int) int {
	start := i
	i += plainText(p[i:])
	s.collect(p[start:i])
	if i == len(p) {
		return i
	}
	switch {
	case p[i] == '\\':
		s.collect(p[i : i+1])
		s.state = inEscape
	case p[i] != '"':
		s.state = broken
	case s.inKey:
		s.inKey = false
		s.keyEnds(s.depth)
		s.state = wantColon
	default:
		s.endScalar('"')
	}
	return i + 1
}

// plainText returns how many bytes at the beginning of p go on inside a string: those before a quote, a backslash or a control
// character. Nearly all bytes of an answer do, so they are looked at eight at a time: (x-1)&^x has the high bit set in the
// lowest byte of x that is zero, and in none below it (Warren, Hacker's Delight, 6-1).
func plainText(p []byte) int {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(p); i += 8 {
		word := binary.LittleEndian.Uint64(p[i:])
		quote, backslash := word^(ones*'"'), word^(ones*'\\')
		if stops := ((quote-ones)&^quote | (backslash-ones)&^backslash | (word-ones*' ')&^word) & high; stops != 0 {
			return i + bits.TrailingZeros64(stops)/8
		}
	}
	for i < len(p) && p[i] >= ' ' && p[i] != '"' && p[i] != '\\' {
		i++
	}
	return i
}

// scanEscape takes one byte after a backslash. Surrogates need not come in pairs: encoding/json does not demand it either.
func (s *scanner) scanEscape(c byte) {
	s.collect([]byte{c})
	switch {
	case s.state == inHex && isHex(c):
		s.hex--
		if s.hex == 0 {
			s.state = inString
		}
	case s.state == inHex:
		s.state = broken
	case c == 'u':
		s.state, s.hex = inHex, 4
	case c == '"' || c == '\\' || c == '/' || c == 'b' || c == 'f' || c == 'n' || c == 'r' || c == 't':
		s.state = inString
	default:
		s.state = broken
	}
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// scanLiteral takes what is left of true, false or null.
func (s *scanner) scanLiteral(p []byte, i int) int {
	for ; i < len(p) && s.literal != ""; i++ {
		if p[i] != s.literal[0] {
			s.state = broken
			return i
		}
		s.literal = s.literal[1:]
	}
	if s.literal == "" {
		s.endScalar('l')
	}
	return i
}

// scanNumber takes the rest of a number. The byte after it is left for scanToken, since only that byte tells
// that the number has ended.
func (s *scanner) scanNumber(p []byte, i int) int {
	start := i
	if s.state == afterMinus && p[i] == 'I' {
		s.startNotFinite('I')
		return i + 1
	}
	for ; i < len(p); i++ {
		next := afterNumberByte(s.state, p[i])
		if next != broken {
			s.state = next
			continue
		}
		s.collect(p[start:i])
		if numberMayEnd(s.state) {
			s.endScalar('0')
		} else {
			s.state = broken
		}
		return i
	}
	s.collect(p[start:i])
	return i
}

// afterNumberByte returns the state that byte c leads to, or broken if the number cannot go on with it.
func afterNumberByte(st state, c byte) state {
	switch {
	case c >= '0' && c <= '9':
		return afterDigit(st, c)
	case c == '.' && (st == afterZero || st == inInteger):
		return afterPoint
	case (c == 'e' || c == 'E') && (st == afterZero || st == inInteger || st == inFraction):
		return afterE
	case (c == '+' || c == '-') && st == afterE:
		return afterExpSign
	default:
		return broken
	}
}

func afterDigit(st state, c byte) state {
	switch st {
	case afterMinus:
		if c == '0' {
			return afterZero
		}
		return inInteger
	case inInteger:
		return inInteger
	case afterPoint, inFraction:
		return inFraction
	case afterE, afterExpSign, inExponent:
		return inExponent
	default: // a digit after a leading zero
		return broken
	}
}

func numberMayEnd(st state) bool {
	return st == afterZero || st == inInteger || st == inFraction || st == inExponent
}
