package upstream_test

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"batchd/internal/dispatch"
	"batchd/internal/limit"
	"batchd/internal/upstream"
)

// Where an answer goes changes after so many bytes: to memory under a permit, and to a file.
const (
	chunk        = 64 << 10
	maxLargeBody = 4 << 20
)

// inPieces sends bytes so that they come apart in odd places, until the other side has gone.
func inPieces(c net.Conn, s string) error {
	const piece = 60_001
	for len(s) > 0 {
		n, err := io.WriteString(c, s[:min(piece, len(s))])
		if err != nil {
			return err
		}
		s = s[n:]
	}
	return nil
}

// whole answers with a body, in pieces.
func whole(body string) script {
	return func(c net.Conn, _ *http.Request) {
		_ = inPieces(c, reply(200, body)) // a client that has gone is the test's to see
	}
}

// endless answers with a byte without end, and counts how often it was taken.
func endless(status int, head string, b byte, taken *int) script {
	return func(c net.Conn, _ *http.Request) {
		defer func() { _ = c.Close() }()
		block := strings.Repeat(string(b), chunk)
		for err := inPieces(c, fmt.Sprintf("HTTP/1.1 %d X\r\n\r\n%s", status, head)); err == nil; {
			var n int
			n, err = io.WriteString(c, block)
			*taken += n
		}
	}
}

// playing returns an upstream in memory whose server plays the script.
func playing(t *testing.T, play script, o upstream.Options) *upstream.Upstream {
	t.Helper()
	o.DialContext = piped(func(c net.Conn) { serveConn(c, play) })
	return newUpstream(t, upstream.Config{URL: "http://h/v1"}, o)
}

// object returns a JSON object of n bytes with line breaks and a bad byte in it, and what must become of it.
func object(n int) (raw, want string) {
	const head, tail = "{\"a\":\n\"", "\"\r}"
	fill := strings.Repeat("é", (n-len(head)-len(tail))/2)
	if (n-len(head)-len(tail))%2 == 1 {
		fill += "x"
	}
	return head + fill + tail, strings.NewReplacer("\n", " ", "\r", " ").Replace(head + fill + tail)
}

func TestBodyReaderReadsAnswersOfAnyLength(t *testing.T) {
	t.Parallel()
	sizes := []int{
		16, 1000, chunk - 1, chunk, chunk + 1, 2*chunk + 1, 4*chunk - 1, 4 * chunk, 4*chunk + 1,
		maxLargeBody - 1, maxLargeBody, maxLargeBody + 1, maxLargeBody + chunk, 5<<20 + 3,
	}
	for _, n := range sizes {
		o := upstream.Options{LargeBodies: upstream.NewLargeBodyBudget(1), SpoolDir: t.TempDir(), MaxResponseBytes: 64 << 20}
		raw, want := object(n)
		u := playing(t, whole(raw), o)
		check := func(inMemory bool) {
			t.Helper()
			a := u.Call(t.Context(), chatRequest())
			if a.Signal.Kind != limit.Served {
				t.Fatalf("%d bytes: %v %s", n, a.Signal.Kind, a.Cause)
			}
			if got := a.Outcome.Body.Bytes() != nil; got != inMemory {
				t.Errorf("%d bytes, %d permits taken: in memory %v", n, o.LargeBodies.InUse(), got)
			}
			if _, got := read(t, a); got != want {
				t.Errorf("%d bytes: got %d bytes", n, len(got))
			}
		}
		// net/http tells the end of a body of known length with its last bytes, so what fills the room exactly has ended.
		check(n <= maxLargeBody)
		if in := o.LargeBodies.InUse(); in != 0 {
			t.Errorf("%d bytes: %d permits in use", n, in)
		}
		long, _ := object(2 * chunk)
		other := playing(t, whole(long), o).Call(t.Context(), chatRequest())
		check(n <= chunk)
		if in := o.LargeBodies.InUse(); in != 1 {
			t.Errorf("%d bytes: %d permits in use, want the other call's own", n, in)
		}
		read(t, other)
		if left, err := os.ReadDir(o.SpoolDir); err != nil || len(left) > 0 {
			t.Errorf("%d bytes: %d files left, error %v", n, len(left), err)
		}
	}
}

func TestBodyReaderHoldsThePermitUntilTheBodyIsClosed(t *testing.T) {
	t.Parallel()
	raw, _ := object(chunk * 3)
	u := playing(t, whole(raw), upstream.Options{LargeBodies: upstream.NewLargeBodyBudget(1)})
	inMemory := func(a dispatch.Answer) bool { return a.Outcome.Body.Bytes() != nil }
	first := u.Call(t.Context(), chatRequest())
	second := u.Call(t.Context(), chatRequest())
	if !inMemory(first) || inMemory(second) {
		t.Error("want the first body in memory and the second in a file")
	}
	read(t, first)
	read(t, second)
	third := u.Call(t.Context(), chatRequest())
	if !inMemory(third) {
		t.Error("want the third body in memory: the permit was free again")
	}
	read(t, third)
}

func TestBodyReaderGivesThePermitBackOnEveryFailure(t *testing.T) {
	t.Parallel()
	for _, n := range []int{10, chunk, chunk + 10, maxLargeBody, maxLargeBody + 10} {
		budget := upstream.NewLargeBodyBudget(1)
		body, _ := object(n + 10)
		cut := reply(200, body)
		cut = cut[:len(cut)-10]
		u := playing(t, func(c net.Conn, _ *http.Request) {
			_ = inPieces(c, cut)
			_ = c.Close()
		}, upstream.Options{LargeBodies: budget})
		if a, _ := call(t, u); a.Cause != "truncated" || budget.InUse() != 0 {
			t.Errorf("failed after %d bytes: cause %s, permits in use %d", n, a.Cause, budget.InUse())
		}
	}
}

func TestBodyReaderRepairsInvalidUTF8(t *testing.T) {
	t.Parallel()
	for _, n := range []int{100, chunk + 5, maxLargeBody + 5} {
		// The bad bytes stand at the seams of pieces, too: a character cut by a seam must survive, and one
		// cut for ever must not.
		body := "[\"" + strings.Repeat("€", n/3) + "\xe2\x82" + strings.Repeat("é", n/2) + "\xff\"]"
		want := strings.ToValidUTF8(body, "\uFFFD")
		if _, got := call(t, playing(t, whole(body), upstream.Options{})); got != want {
			t.Errorf("%d bytes: got %d bytes, want %d; valid UTF-8 %v", n, len(got), len(want), utf8.ValidString(got))
		}
	}
}

func TestU19LongAndDeepAnswers(t *testing.T) {
	t.Parallel()
	for _, limit := range []int64{10, chunk, chunk + 1, 1 << 20, maxLargeBody + 1, 8 << 20} {
		var taken int
		u := playing(t, endless(200, `["`, 'a', &taken), upstream.Options{MaxResponseBytes: limit})
		if a, _ := call(t, u); a.Cause != "too_large" {
			t.Errorf("limit %d: cause %s", limit, a.Cause)
		}
		exact, _ := object(int(max(limit, 16)))
		u = playing(t, whole(exact), upstream.Options{MaxResponseBytes: int64(len(exact))})
		if a, _ := call(t, u); a.Cause != "ok" {
			t.Errorf("limit %d, and an answer of just that length: %s", limit, a.Cause)
		}
	}
	deep := strings.Repeat("[", 1_000_000) + strings.Repeat("]", 1_000_000)
	if a, _ := call(t, playing(t, whole(deep), upstream.Options{})); a.Cause != "too_deep" {
		t.Errorf("deep nesting: %s", a.Cause)
	}
}

func TestBodyReaderDoesNotReadOnWhatIsTooLongToQuote(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]limit.Kind{200: limit.Broken, 400: limit.Answered, 500: limit.Broken} {
		var taken int
		gone := make(chan struct{})
		play := endless(status, "", '<', &taken)
		u := playing(t, func(c net.Conn, r *http.Request) {
			defer close(gone)
			play(c, r)
		}, upstream.Options{})
		a, _ := call(t, u)
		if a.Signal.Kind != want || a.Outcome.Code == "" {
			t.Errorf("%d: %+v", status, a)
		}
		// Three pieces more than were looked at may be in buffers.
		if <-gone; taken > maxLargeBody+4*chunk {
			t.Errorf("%d: read %d bytes", status, taken)
		}
	}
}

func TestBodyReaderSaysSoWhenTheDiskFails(t *testing.T) {
	t.Parallel()
	budget := upstream.NewLargeBodyBudget(1)
	raw, _ := object(maxLargeBody * 2)
	var log strings.Builder
	u := playing(t, whole(raw), upstream.Options{
		LargeBodies: budget, SpoolDir: t.TempDir() + "/absent",
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	a, _ := call(t, u)
	if a.Cause != "spool" || a.Signal.Kind != limit.Abandoned || !strings.Contains(log.String(), "spool answer: open") {
		t.Errorf("%v %s, logged %q", a.Signal.Kind, a.Cause, log.String())
	}
	if budget.InUse() != 0 {
		t.Error("the permit was not given back")
	}
}
