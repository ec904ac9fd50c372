package badline

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

const byteOrderMark = "\ufeff"

// packed are the first bytes of files that are no text.
var packed = [...]struct{ magic, name string }{
	{"\x1f\x8b", "gzip"},
	{"PK\x03\x04", "a ZIP archive"},
	{"\x28\xb5\x2f\xfd", "Zstandard"},
	{"PAR1", "Parquet"},
}

// encodingFault finds lines that are no text, or text in an encoding of which every character shows.
func encodingFault(line []byte) (Fault, bool) {
	for _, p := range packed {
		if bytes.HasPrefix(line, []byte(p.magic)) {
			return Fault{Reason: Packed, Found: p.name}, true
		}
	}
	switch {
	case bytes.HasPrefix(line, []byte("\xff\xfe\x00\x00")), bytes.HasPrefix(line, []byte("\x00\x00\xfe\xff")):
		return Fault{Reason: Foreign, Found: "UTF-32"}, true
	case bytes.HasPrefix(line, []byte("\xff\xfe")), bytes.HasPrefix(line, []byte("\xfe\xff")), everySecondIsNUL(line):
		return Fault{Reason: Foreign, Found: "UTF-16"}, true
	}
	return Fault{}, false
}

// everySecondIsNUL reports whether a line looks like ASCII in UTF-16 without its mark, or behind the first line.
func everySecondIsNUL(line []byte) bool {
	const sample, fewest = 64, 4
	var zeros, others [2]int
	for i, c := range line[:min(sample, len(line))] {
		if c == 0 {
			zeros[i%2]++
		} else {
			others[i%2]++
		}
	}
	// Some of the characters may be others than ASCII.
	return zeros[0] >= fewest && zeros[0] > 2*others[0] && zeros[1] == 0 || zeros[1] >= fewest && zeros[1] > 2*others[1] && zeros[0] == 0
}

// invalid reports whether text begins with a byte that is not UTF-8.
func invalid(text []byte) bool {
	r, size := utf8.DecodeRune(text)
	return r == utf8.RuneError && size == 1
}

// notUTF8 is about a byte that is not UTF-8. Alone in a word it is a letter with an accent in an encoding of single bytes.
func notUTF8(line []byte, offset int, f Fault) Fault {
	f.Reason, f.Found = NotUTF8, fmt.Sprintf("0x%02X", line[offset])
	ascii := func(i int) bool { return i < 0 || i >= len(line) || line[i] < utf8.RuneSelf }
	letter := func(i int) bool { return i >= 0 && i < len(line) && line[i]|0x20 >= 'a' && line[i]|0x20 <= 'z' }
	if ascii(offset-1) && ascii(offset+1) && (letter(offset-1) || letter(offset+1)) {
		f.Reason = Latin
	}
	return f
}
