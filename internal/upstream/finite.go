package upstream

// What Python's json, and servers written with it, write for the numbers that JSON does not have; infinity may have a minus.
const (
	notANumber = "NaN"
	infinity   = "Infinity"
)

// finite puts null in the place of each NaN, Infinity and -Infinity of a JSON text that comes in pieces. The text has been
// through a scanner, so that outside of strings the letters N and I begin nothing else. The zero value is ready.
type finite struct {
	inString, escaped bool
	// minus says that a minus was read and is not written yet, skip how many letters of a literal are still to come.
	minus bool
	skip  int
}

// append appends the next piece to dst.
func (f *finite) append(dst, piece []byte) []byte {
	for _, c := range piece {
		switch {
		case f.skip > 0:
			f.skip--
		case f.inString:
			f.inString = f.escaped || c != '"'
			f.escaped = !f.escaped && c == '\\'
			dst = append(dst, c)
		case c == '-':
			f.minus = true
		case c == 'N' || c == 'I':
			f.minus, f.skip = false, len(notANumber)-1
			if c == 'I' {
				f.skip = len(infinity) - 1
			}
			dst = append(dst, "null"...)
		default:
			if f.minus {
				f.minus = false
				dst = append(dst, '-')
			}
			f.inString = c == '"'
			dst = append(dst, c)
		}
	}
	return dst
}
