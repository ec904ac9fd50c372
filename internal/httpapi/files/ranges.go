package files

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"batchd/internal/batch"
)

// Ranges and conditions are read by hand, since http.ServeContent keeps fewer promises: it refuses a header that means
// nothing in plain text instead of sending the whole file, answers several ranges with a form, gives HEAD a range, and ends
// a body that it could not read as if the client had gone.

// byteRange is a run of a file's bytes.
type byteRange struct{ start, length int64 }

func (b byteRange) end() int64 { return b.start + b.length }

// header returns the value of Content-Range for a file of size bytes.
func (b byteRange) header(size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", b.start, b.end()-1, size)
}

// selectRange returns the bytes that a request for a file of size bytes asks for, and whether they answer a Range. A
// range that no byte of the file is in is an error; a header that means nothing, several ranges, or a condition that
// does not hold give the whole file, as HTTP allows.
func selectRange(r *http.Request, size int64, tag, modified string) (byteRange, bool, error) {
	whole := byteRange{0, size}
	header := r.Header.Get("Range")
	condition := r.Header.Get("If-Range")
	if r.Method != http.MethodGet || header == "" || condition != "" && condition != tag && condition != modified {
		return whole, false, nil
	}
	span, ok := parseRange(header, size)
	if !ok {
		return whole, false, nil
	}
	if span.length == 0 {
		return whole, false, &batch.Error{
			Class: batch.RangeNotSatisfiable, Message: fmt.Sprintf("The requested range lies outside the file, which has %d bytes.", size),
		}
	}
	return span, true, nil
}

// parseRange reads a header of one range, and reports false for anything else, after which the range means nothing. One
// that is outside the file has no length.
func parseRange(header string, size int64) (byteRange, bool) {
	unit, spec, ok := strings.Cut(header, "=")
	if !ok || !strings.EqualFold(strings.TrimSpace(unit), "bytes") {
		return byteRange{}, false
	}
	first, last, ok := strings.Cut(strings.TrimSpace(spec), "-")
	if !ok {
		return byteRange{}, false
	}
	if first == "" {
		// The last bytes of the file, all of it if there are fewer.
		n, ok := parsePosition(last)
		n = min(n, size)
		return byteRange{size - n, n}, ok
	}
	start, ok := parsePosition(first)
	if !ok {
		return byteRange{}, false
	}
	end := size
	if last != "" {
		n, ok := parsePosition(last)
		if !ok || n < start {
			return byteRange{}, false
		}
		end = min(n, size-1) + 1
	}
	if start >= size {
		return byteRange{}, true
	}
	return byteRange{start, end - start}, true
}

// parsePosition reads digits only: no sign, no space. A number too large for a file is as good as the largest one.
func parsePosition(s string) (int64, bool) {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' }) {
		return 0, false
	}
	n, _ := strconv.ParseInt(s, 10, 64) // saturates at the largest
	return n, true
}
