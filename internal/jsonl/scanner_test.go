package jsonl_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/jsonl"
)

// scanned is a Line with its bytes as a string, so that it outlives the next call.
type scanned struct {
	Number, Offset, Length int64
	Text                   string
	TooLong                bool
	Blanks                 int64
}

func scanAll(t testing.TB, s *jsonl.Scanner) []scanned {
	t.Helper()
	var lines []scanned
	for {
		l, err := s.Next()
		if errors.Is(err, io.EOF) {
			return lines
		}
		if err != nil {
			t.Fatalf("after %d lines: %v", len(lines), err)
		}
		lines = append(lines, scanned{l.Number, l.Offset, l.Length, string(l.Bytes), l.TooLong, l.BlanksBefore})
	}
}

// split is a scanner that holds the whole file: what Scanner must equal.
func split(file string, maxLine int64) []scanned {
	var offset, number, blanks int64
	if rest, ok := strings.CutPrefix(file, "\ufeff"); ok {
		file, offset = rest, 3
	}
	var lines []scanned
	for file != "" {
		raw, rest, found := strings.Cut(file, "\n")
		number++
		text := strings.TrimSuffix(raw, "\r")
		switch {
		case strings.Trim(text, " \t\r") == "":
			blanks++
		case int64(len(text)) > maxLine:
			lines = append(lines, scanned{number, offset, int64(len(text)), "", true, blanks})
			blanks = 0
		default:
			lines = append(lines, scanned{number, offset, int64(len(text)), text, false, blanks})
			blanks = 0
		}
		offset += int64(len(raw))
		if found {
			offset++
		}
		file = rest
	}
	return lines
}

func TestScannerSplitsLines(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file string
		want []scanned
	}{
		"empty file":                       {"", nil},
		"only newlines":                    {"\n\n\n", nil},
		"only a byte order mark":           {"\ufeff", nil},
		"mark and blank lines":             {"\ufeff\n \n", nil},
		"one line":                         {"abc\n", []scanned{{1, 0, 3, "abc", false, 0}}},
		"last line without newline":        {"a\nbc", []scanned{{1, 0, 1, "a", false, 0}, {2, 2, 2, "bc", false, 0}}},
		"CRLF":                             {"a\r\nb\r\n", []scanned{{1, 0, 1, "a", false, 0}, {2, 3, 1, "b", false, 0}}},
		"CR at the end of the file":        {"a\r", []scanned{{1, 0, 1, "a", false, 0}}},
		"only one CR goes":                 {"a\r\r\n", []scanned{{1, 0, 2, "a\r", false, 0}}},
		"lone CR is no line break":         {"a\rb\n", []scanned{{1, 0, 3, "a\rb", false, 0}}},
		"U+2028 is no line break":          {"a\u2028b\n", []scanned{{1, 0, 5, "a\u2028b", false, 0}}},
		"NUL is data":                      {"a\x00b\n", []scanned{{1, 0, 3, "a\x00b", false, 0}}},
		"mark at the start":                {"\ufeffa\nb", []scanned{{1, 3, 1, "a", false, 0}, {2, 5, 1, "b", false, 0}}},
		"second mark is data":              {"\ufeff\ufeffa", []scanned{{1, 3, 4, "\ufeffa", false, 0}}},
		"mark in the middle is data":       {"a\n\ufeffb", []scanned{{1, 0, 1, "a", false, 0}, {2, 2, 4, "\ufeffb", false, 0}}},
		"half a mark is data":              {"\xef\xbb", []scanned{{1, 0, 2, "\xef\xbb", false, 0}}},
		"blank lines at the start":         {"\n\r\na", []scanned{{3, 3, 1, "a", false, 2}}},
		"blank lines between":              {"a\n\n \t\nb\n", []scanned{{1, 0, 1, "a", false, 0}, {4, 6, 1, "b", false, 2}}},
		"blank lines at the end":           {"a\n\n \r\n", []scanned{{1, 0, 1, "a", false, 0}}},
		"spaces at the end of a line stay": {"a  \n", []scanned{{1, 0, 3, "a  ", false, 0}}},
		"as long as allowed":               {"12345678\r\n", []scanned{{1, 0, 8, "12345678", false, 0}}},
		"one byte too long":                {"123456789\nb", []scanned{{1, 0, 9, "", true, 0}, {2, 10, 1, "b", false, 0}}},
		"far too long, at the end":         {"\n" + strings.Repeat("x", 99), []scanned{{2, 1, 99, "", true, 1}}},
		"far too long, with CRLF":          {strings.Repeat("x", 99) + "\r\n", []scanned{{1, 0, 99, "", true, 0}}},
		"too long but blank":               {strings.Repeat(" ", 99) + "\na", []scanned{{2, 100, 1, "a", false, 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := scanAll(t, jsonl.NewScanner(strings.NewReader(c.file), 8))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("lines differ (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.want, split(c.file, 8)); diff != "" {
				t.Errorf("the reference differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestScannerReportsAReadErrorAfterTheWholeLinesBeforeIt(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk is gone")
	s := jsonl.NewScanner(io.MultiReader(strings.NewReader("a\nb\nhalf"), iotest.ErrReader(broken)), 100)
	for _, want := range []string{"a", "b"} {
		if l, err := s.Next(); err != nil || string(l.Bytes) != want {
			t.Fatalf("line = %q, %v, want %q", l.Bytes, err, want)
		}
	}
	for range 2 {
		if l, err := s.Next(); !errors.Is(err, broken) {
			t.Errorf("line = %q, %v, want the reader's error", l.Bytes, err)
		}
	}
}

func TestScannerReportsAReadErrorInsideALineThatIsTooLong(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk is gone")
	s := jsonl.NewScanner(io.MultiReader(strings.NewReader("0123456789"), iotest.ErrReader(broken)), 4)
	if _, err := s.Next(); !errors.Is(err, broken) {
		t.Errorf("error = %v, want the reader's", err)
	}
}

func TestScannerGivesUpOnAReaderThatReturnsNothing(t *testing.T) {
	t.Parallel()
	s := jsonl.NewScanner(emptyReader{}, 4)
	if _, err := s.Next(); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("error = %v, want io.ErrNoProgress", err)
	}
}

type emptyReader struct{}

func (emptyReader) Read([]byte) (int, error) { return 0, nil }

func TestScannerHoldsNoMoreThanTheLimitOfALongLine(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	huge := io.MultiReader(io.LimitReader(repeat('x'), 100<<20), strings.NewReader("\nb\n"))
	s := jsonl.NewScanner(huge, limit)
	got := scanAll(t, s)
	want := []scanned{{1, 0, 100 << 20, "", true, 0}, {2, 100<<20 + 1, 1, "b", false, 0}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines differ (-want +got):\n%s", diff)
	}
	if n := jsonl.ScannerBuffer(s); n > limit+2 {
		t.Errorf("buffer = %d bytes, want at most %d", n, limit+2)
	}
}

func TestScannerCountsAnyNumberOfBlankLines(t *testing.T) {
	t.Parallel()
	const blanks = 5 << 20
	file := io.MultiReader(strings.NewReader("a\n"), io.LimitReader(repeat('\n'), blanks), strings.NewReader("b"))
	got := scanAll(t, jsonl.NewScanner(file, 100))
	want := []scanned{{1, 0, 1, "a", false, 0}, {blanks + 2, blanks + 2, 1, "b", false, blanks}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines differ (-want +got):\n%s", diff)
	}
}

// repeat is an endless stream of one byte.
type repeat byte

func (c repeat) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(c)
	}
	return len(p), nil
}

func FuzzScanner(f *testing.F) {
	for _, file := range []string{
		"", "\n", "\ufeff", "\ufeff{}\r\n{}", "a\n\n\nb\n\n", "{\"a\":1}\r{}\n", "123456789\r\n1", "\xef\xbb\xbf\xef\xbb\xbf\n",
		"\r\n\r\r\n \t\nx", strings.Repeat("y", 70) + "\n" + strings.Repeat(" ", 70) + "\nz",
	} {
		f.Add([]byte(file), int64(8), 1)
		f.Add([]byte(file), int64(1), 7)
	}
	f.Fuzz(func(t *testing.T, file []byte, maxLine int64, size int) {
		maxLine, size = 1+abs(maxLine)%64, 1+int(abs(int64(size))%64)
		want := split(string(file), maxLine)
		for name, s := range map[string]*jsonl.Scanner{
			"whole":           jsonl.NewScanner(bytes.NewReader(file), maxLine),
			"small buffer":    jsonl.NewScannerSize(bytes.NewReader(file), maxLine, max(size, 3)),
			"byte by byte":    jsonl.NewScannerSize(iotest.OneByteReader(bytes.NewReader(file)), maxLine, max(size, 3)),
			"data with error": jsonl.NewScanner(iotest.DataErrReader(bytes.NewReader(file)), maxLine),
		} {
			if diff := cmp.Diff(want, scanAll(t, s)); diff != "" {
				t.Fatalf("%s: lines differ (-want +got):\n%s", name, diff)
			}
		}
		for _, l := range want {
			if at := string(file[l.Offset : l.Offset+l.Length]); !l.TooLong && at != l.Text {
				t.Fatalf("line %d: the span holds %q, the line %q", l.Number, at, l.Text)
			}
		}
	})
}

func abs(n int64) int64 { return max(n, -(n + 1)) }

func BenchmarkScanner(b *testing.B) {
	line := append(bytes.Repeat([]byte("x"), 1023), '\n')
	file := bytes.Repeat(line, 4096)
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		s := jsonl.NewScanner(bytes.NewReader(file), 1<<20)
		for {
			if _, err := s.Next(); err != nil {
				break
			}
		}
	}
}
