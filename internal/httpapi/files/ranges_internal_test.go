package files

import (
	"math"
	"net/http/httptest"
	"testing"
)

// FuzzRangeHeader checks that whatever is asked, the answer lies within the file.
func FuzzRangeHeader(f *testing.F) {
	for _, seed := range []string{
		"bytes=0-0", "bytes=-5", "bytes=5-", "bytes=", "bytes=-", "bytes=5-2", "bytes=1-2,3-4", "bytes=9223372036854775807-",
		"bytes=0-9223372036854775807", "bytes=-9223372036854775808", "lines=1-2", "bytes = 1 - 2", "bytes=--1", "=", "bytes=٣-٤",
	} {
		f.Add(seed, int64(10))
	}
	f.Add("bytes=0-", int64(0))
	f.Add("bytes=-1", int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			t.Skip("no file has this size")
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Range"] = []string{header}
		span, partial, err := selectRange(r, size, `"tag"`, "date")
		switch {
		case err != nil && partial:
			t.Fatal("an error and a range")
		case !partial && span != byteRange{0, size}:
			t.Fatalf("not the whole file: %+v", span)
		case partial && (span.start < 0 || span.length < 1 || span.end() > size):
			t.Fatalf("%q of %d bytes gives %+v", header, size, span)
		}
	})
}
