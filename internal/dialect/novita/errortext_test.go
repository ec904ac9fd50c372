package novita_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"batchd/internal/batch"
	"batchd/internal/dialect/novita"
)

// errorsOf renders a failed batch with these errors, and returns how they are shown.
func errorsOf(t *testing.T, errs []batch.LineError, total int64) string {
	t.Helper()
	b := failed()
	b.Errors, b.ErrorsTotal = errs, total
	return textOf(t, novita.New(novita.Options{}).Batch(b), "errors")
}

// sized returns n errors whose texts have size characters each, the first on line 1.
func sized(n, size int) []batch.LineError {
	errs := make([]batch.LineError, n)
	for i := range errs {
		head := fmt.Sprintf("line %d: c: ", i+1)
		errs[i] = batch.LineError{Code: "c", Line: int64(i + 1), Message: strings.Repeat("é", size-len(head))}
	}
	return errs
}

func TestErrorsAreOneString(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		errs []batch.LineError
		want string
	}{
		"none":              {nil, ""},
		"of a line":         {[]batch.LineError{{Code: "c", Message: "m", Param: "p", Line: 12}}, "line 12: c: m"},
		"of the whole file": {[]batch.LineError{{Code: "empty_file", Message: "m"}}, "empty_file: m"},
		"several": {
			[]batch.LineError{{Code: "c", Message: "m; n", Line: 1}, {Code: "d", Message: "o", Line: 2}, {Code: "e", Message: "q"}},
			"line 1: c: m; n; line 2: d: o; e: q",
		},
		"not UTF-8": {[]batch.LineError{{Code: "c", Message: "a\xffb", Line: 1}}, "line 1: c: a\ufffdb"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := errorsOf(t, tc.errs, int64(len(tc.errs))); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestErrorsAreCutBetweenEntriesAndCounted(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		errs  []batch.LineError
		total int64
		// whole is how many entries are shown, -1 for a part of the first; counted says that the total is.
		whole   int
		counted bool
	}{
		"one as long as it may be":         {sized(1, 1000), 1, 1, false},
		"two that just fit":                {sized(2, 499), 2, 2, false},
		"two, one character too long":      {append(sized(1, 500), sized(2, 499)[1]), 2, 1, true},
		"ten of a hundred":                 {sized(10, 100), 10, 9, true},
		"more than are listed":             {sized(100, 100), 54321, 9, true},
		"total forgotten":                  {sized(100, 100), 0, 9, true},
		"one too long":                     {sized(1, 1001), 1, -1, true},
		"one huge":                         {sized(1, 1<<20), 7, -1, true},
		"one too long for others after it": {sized(3, 990), 3, -1, true},
		"room for others but not for the count": {
			append(sized(1, 900), batch.LineError{Code: "c", Message: strings.Repeat("m", 80)}, batch.LineError{Code: "d", Message: "long enough"}),
			3, 1, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := errorsOf(t, tc.errs, tc.total)
			if n := utf8.RuneCountInString(got); n > 1000 || !utf8.ValidString(got) {
				t.Fatalf("%d characters", n)
			}
			listed, count, counted := strings.Cut(got, "; … ")
			if counted != tc.counted {
				t.Fatalf("ends with %q", got[max(0, len(got)-80):])
			}
			if want := max(tc.total, int64(len(tc.errs))); counted && count != strconv.FormatInt(want, 10)+" errors in all" {
				t.Errorf("counts %q, want %d", count, want)
			}
			if tc.whole < 0 {
				if utf8.RuneCountInString(got) != 1000 || !strings.HasSuffix(listed, "é…") {
					t.Errorf("does not use its room: %d characters, %q", utf8.RuneCountInString(got), listed[len(listed)-20:])
				}
				return
			}
			if n := len(strings.Split(listed, "; ")); n != tc.whole {
				t.Errorf("shows %d entries, want %d", n, tc.whole)
			}
		})
	}
}

// FuzzErrors gives errors of any text and number: the string is never too long, and says how many there are unless all
// of them are in it.
func FuzzErrors(f *testing.F) {
	f.Add("c", "m", 1, int64(1))
	f.Add("invalid_json_line", strings.Repeat("é; … ", 100), 3, int64(1)<<62)
	f.Add("", "\xff", 100, int64(-1))
	count := regexp.MustCompile(`; … (\d+) errors in all$`)
	f.Fuzz(func(t *testing.T, code, message string, n int, total int64) {
		n = min(max(n, 0), 100)
		errs, whole := make([]batch.LineError, n), ""
		for i := range errs {
			errs[i] = batch.LineError{Code: code, Message: message, Line: int64(i)}
			whole += message
		}
		got := errorsOf(t, errs, total)
		if length := utf8.RuneCountInString(got); length > 1000 {
			t.Fatalf("%d characters", length)
		}
		if utf8.RuneCountInString(whole) <= 1000 {
			return // may be shown whole
		}
		if said := count.FindStringSubmatch(got); said == nil || said[1] != strconv.FormatInt(max(total, int64(n)), 10) {
			t.Fatalf("does not count %d errors: %q", n, got)
		}
	})
}
