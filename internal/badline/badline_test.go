package badline_test

import (
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"batchd/internal/badline"
)

// wide returns text as UTF-16 in one order of bytes.
func wide(text string, order binary.AppendByteOrder) string {
	var raw []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		raw = order.AppendUint16(raw, unit)
	}
	return string(raw)
}

// content is a line whose content is the given text between quotes.
func content(text string) string {
	return `{"custom_id":"a","body":{"model":"m","messages":[{"role":"user","content":"` + text + `"}]}}`
}

const inContent = " in body.messages[0].content"

func TestEachReasonHasItsWordsAndItsPlace(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		line   string
		reason badline.Reason
		want   string
	}{
		"no byte":             {"", badline.Blank, "It is blank."},
		"spaces":              {" \t\r", badline.Blank, "It is blank."},
		"gzip":                {"\x1f\x8b\x08\x00\x00", badline.Packed, "It is not text but gzip. Unpack the file first."},
		"zip":                 {"PK\x03\x04\x14", badline.Packed, "It is not text but a ZIP archive. Unpack the file first."},
		"UTF-16 with mark":    {"\xff\xfe" + wide("{}", binary.LittleEndian), badline.Foreign, "It is not UTF-8 but looks like UTF-16. Save the file as UTF-8."},
		"UTF-16 big":          {wide(content("é日本"), binary.BigEndian), badline.Foreign, "It is not UTF-8 but looks like UTF-16. Save the file as UTF-8."},
		"UTF-16, second line": {"\x00" + wide(content("x"), binary.LittleEndian), badline.Foreign, "It is not UTF-8 but looks like UTF-16. Save the file as UTF-8."},
		"UTF-32":              {"\xff\xfe\x00\x00{\x00\x00\x00", badline.Foreign, "It is not UTF-8 but looks like UTF-32. Save the file as UTF-8."},
		"Latin-1":             {content("caf\xe9 x"), badline.Latin, `It is not UTF-8 but looks like Latin-1 or Windows-1252, at byte 79` + inContent + `, near '…","content":"caf\xe9 x"}]}}'. Save the file as UTF-8.`},
		"overlong":            {content("\xc0\xaf"), badline.NotUTF8, `In it, 0xC0 is not UTF-8, at byte 76` + inContent + `, near '…ser","content":"\xc0\xaf"}]}}'.`},
		"encoded surrogate":   {content("\xed\xa0\x80"), badline.NotUTF8, `In it, 0xED is not UTF-8, at byte 76` + inContent + `, near '…ser","content":"\xed\xa0\x80"}]}}'.`},
		"character cut short": {content("日\xe6\x9c"), badline.NotUTF8, `In it, 0xE6 is not UTF-8, at byte 79` + inContent + `, near '…er","content":"日\xe6\x9c"}]}}'.`},
		"mark inside":         {"\ufeff{}", badline.ByteOrderMark, `In it, a byte order mark stands where none may (only the start of a file can have one), at byte 1, near '\ufeff{}'.`},
		"NUL":                 {content("a\x00b"), badline.NUL, `In it, there are NULs, at byte 77` + inContent + `, near '…er","content":"a\x00b"}]}}'.`},
		"nothing but NULs":    {strings.Repeat("\x00", 40), badline.NUL, `In it, there are NULs, at byte 1, near '` + strings.Repeat(`\x00`, 24) + `…'.`},
		"NULs behind":         {`{}` + "\x00\x00", badline.NUL, `In it, there are NULs, at byte 3, near '{}\x00\x00'.`},
		"raw tab":             {content("a\tb"), badline.Control, `In it, U+0009 (write \t) stands unescaped in a string, at byte 77` + inContent + `, near '…er","content":"a\tb"}]}}'.`},
		"raw escape":          {content("\x1b[0m"), badline.Control, `In it, U+001B (write \u001b) stands unescaped in a string, at byte 76` + inContent + `, near '…ser","content":"\x1b[0m"}]}}'.`},
		"array":               {`[{"custom_id":"a"}]`, badline.NotObject, "It must be a JSON object, and is an array."},
		"array that is cut":   {`[`, badline.NotObject, "It must be a JSON object, and is an array."},
		"string":              {`"x\""`, badline.NotObject, "It must be a JSON object, and is a string."},
		"number":              {`17`, badline.NotObject, "It must be a JSON object, and is a number."},
		"null":                {`null`, badline.NotObject, "It must be a JSON object, and is null."},
		"words":               {`not JSON`, badline.NotObject, "It must be a JSON object, and begins with 'not JSON'."},
		"half a string":       {`"half`, badline.NotObject, "It must be a JSON object, and begins with '\"half'."},
		"CSV":                 {`custom_id,method,url`, badline.NotObject, "It must be a JSON object, and begins with 'custom_id,method,url'."},
		"HTML":                {`<!DOCTYPE html><html><body>`, badline.NotObject, "It must be a JSON object, and begins with '<!DOCTYPE html><html><bo…'."},
		"first line, pretty":  {`{`, badline.Pretty, "It is part of JSON that goes over several lines, at byte 1, near '{'. Each request is one line, not pretty-printed."},
		"inner line, pretty":  {`  "custom\"_id" : "a",`, badline.Pretty, `It is part of JSON that goes over several lines, at byte 3, near '  "custom\"_id" : "a",'. Each request is one line, not pretty-printed.`},
		"last line, pretty":   {` }`, badline.Pretty, "It is part of JSON that goes over several lines, at byte 2, near ' }'. Each request is one line, not pretty-printed."},
		"opened, pretty":      {`{"body": {`, badline.Pretty, `It is part of JSON that goes over several lines, at byte 10, near '{"body": {'. Each request is one line, not pretty-printed.`},
		"cut in a string":     {`{"custom_id":"a`, badline.Unfinished, `In it, the object does not end (a request is one line, without line breaks), at byte 15, near '{"custom_id":"a'.`},
		"cut behind a value":  {`{"custom_id":"a" `, badline.Unfinished, `In it, the object does not end (a request is one line, without line breaks), at byte 16, near '{"custom_id":"a" '.`},
		"two objects":         {`{"a":1}{"b":2}`, badline.TwoValues, `In it, a second value follows the object, at byte 8, near '{"a":1}{"b":2}'. Each request is a line of its own.`},
		"lone CR":             {"{}\r{}", badline.TwoValues, `In it, a second value follows behind a lone carriage return, at byte 4, near '{}\r{}'. Lines end with a line feed.`},
		"comma behind":        {`{"a":1},`, badline.CommaBehind, `In it, a comma follows the object (only line breaks stand between requests), at byte 8, near '{"a":1},'.`},
		"text behind":         {`{"a":1} // x`, badline.TextBehind, `In it, text follows the object, at byte 9, near '{"a":1} // x'.`},
		"trailing comma":      {`{"body":{"a":[1, ]}}`, badline.TrailingComma, `In it, a comma stands before a closing bracket, at byte 16 in body.a, near '{"body":{"a":[1, ]}}'.`},
		"key twice":           {`{"body":{"temperature":0,"temperature":1}}`, badline.DuplicateKey, `In it, the key 'temperature' appears twice, at byte 26 in body, near '…"temperature":0,"temperature":1}}'.`},
		"key by an escape":    {`{"a":1,"\u0061":2}`, badline.DuplicateKey, `In it, the key 'a' appears twice, at byte 8, near '{"a":1,"\u0061":2}'.`},
		"lone surrogate":      {content(`cut \ud83d`), badline.LoneSurrogate, `In it, \ud83d is a lone surrogate, half of a character such as an emoji, at byte 80` + inContent + `, near '…,"content":"cut \ud83d"}]}}'.`},
		"surrogates swapped":  {content(`\ude00\ud83d`), badline.LoneSurrogate, `In it, \ude00 is a lone surrogate, half of a character such as an emoji, at byte 76` + inContent + `, near '…ser","content":"\ude00\ud83d"}]}}'.`},
		"unknown escape":      {content(`C:\x`), badline.BadEscape, `In it, \x is no escape that JSON knows, at byte 78` + inContent + `, near '…r","content":"C:\x"}]}}'.`},
		"escape that is cut":  {content(`\u12`), badline.BadEscape, `In it, \u12 is no escape that JSON knows, at byte 76` + inContent + `, near '…ser","content":"\u12"}]}}'.`},
		"NaN":                 {`{"body":{"score":NaN}}`, badline.NotANumber, `In it, NaN is no JSON value (null is one), at byte 18 in body.score, near '…"body":{"score":NaN}}'.`},
		"minus infinity":      {`{"score":-Infinity}`, badline.NotANumber, `In it, -Infinity is no JSON value (null is one), at byte 11 in score, near '{"score":-Infinity}'.`},
		"nan of C":            {`{"score":nan}`, badline.NotANumber, `In it, nan is no JSON value (null is one), at byte 11 in score, near '{"score":nan}'.`},
		"None":                {`{"n":[None]}`, badline.ForeignWord, `In it, None is no JSON value (true, false and null are), at byte 7 in n[0], near '{"n":[None]}'.`},
		"single quotes":       {`{'custom_id': 'a'}`, badline.SingleQuotes, `In it, strings stand in single quotes, where JSON has double ones, at byte 2, near '{'custom_id': 'a'}'.`},
		"bare key":            {`{a:1}`, badline.Syntax, `In it, the JSON is malformed, at byte 2, near '{a:1}'.`},
		"no comma":            {`{"a":1 "b":2}`, badline.Syntax, `In it, the JSON is malformed, at byte 8, near '{"a":1 "b":2}'.`},
		"deeper than allowed": {`{"a":[[1]]}`, badline.TooDeep, `It is nested too deeply, at byte 7, near '{"a":[[1]]}'.`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, bad := badline.Find([]byte(tc.line), 2+strings.Count(tc.line, "messages")*10+strings.Count(tc.line, "body"))
			if !bad || f.Reason != tc.reason {
				t.Fatalf("%q, %v, want %q", f.Reason, bad, tc.reason)
			}
			if got := f.Sentence(); got != tc.want {
				t.Errorf("words\n got %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestTooDeepForTheParserIsTold(t *testing.T) {
	t.Parallel()
	for _, opened := range []string{`{"a":`, "["} {
		line := `{"x":` + strings.Repeat(opened, 10_001)
		f, bad := badline.Find([]byte(line), 0)
		if got := f.Sentence(); !bad || f.Reason != badline.TooDeep || len(got) > 200 {
			t.Errorf("%.20s…: %q, %v: %.300s", line, f.Reason, bad, got)
		}
	}
}

func TestGoodLinesAreNotBad(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		`{}`, ` {"a":[1,2,{"b":null}]} ` + "\t\r", content("é日本🦊\u2028\ufeff"), content(`\ud83d\ude00\u0000\/`),
		`{"x":1e999,"y":-0.0,"z":123456789012345678901234567890}`,
	} {
		if f, bad := badline.Find([]byte(line), 0); bad {
			t.Errorf("%s: %s", line, f.Sentence())
		}
	}
}

// FuzzFind never panics, calls a line bad exactly if it is no JSON object, and says so briefly in words that can be shown.
func FuzzFind(f *testing.F) {
	for _, seed := range []string{
		`{}`, ``, " \r", "\ufeff{}", content("caf\xe9"), content("a\x00"), content(`\ud83d`), content("\t"), `{"a":1,"a":2}`, `{"a":NaN}`,
		`{"a":[1,]}`, `{"a":1},`, "{}\r{}", `[{}]`, `"a":1,`, `{`, `}`, `{"a":"`, `{"a":"\`, `{"a":-`, `{'a'`, "\x1f\x8b", "\xff\xfe{\x00",
		wide(content("x"), binary.LittleEndian), `{"a":"\u12`, `{"a":tru`, `{"a":+Infinity}`, `"\`, `"a\":`, "{\"a\":\"\xe6\x9c", `{"":{"":{"":1,"":2}}}`,
	} {
		f.Add([]byte(seed), 0)
		f.Add([]byte(seed), 1)
	}
	f.Fuzz(func(t *testing.T, line []byte, depth int) {
		before := string(line)
		fault, bad := badline.Find(line, depth)
		if string(line) != before {
			t.Fatalf("%q was changed to %q", before, line)
		}
		value := jsontext.Value(line)
		object := value.IsValid() && value.Kind() == jsontext.KindBeginObject
		switch {
		case bad && object && fault.Reason != badline.TooDeep:
			t.Fatalf("%q is called bad: %s", line, fault.Sentence())
		case !bad && !object:
			t.Fatalf("%q is called good", line)
		case !bad:
			return
		}
		words := fault.Sentence()
		if !utf8.ValidString(words) || len(words) > 1500 || !strings.HasSuffix(words, ".") || strings.ContainsAny(words, "\x00\r\n\t") || strings.Contains(words, "%!") {
			t.Fatalf("%q: %q", line, words)
		}
		if fault.Byte < 0 || fault.Byte > len(line) {
			t.Fatalf("%q: byte %d of %d", line, fault.Byte, len(line))
		}
	})
}
