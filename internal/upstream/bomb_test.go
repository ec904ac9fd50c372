package upstream_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"

	"batchd/internal/batch"
	"batchd/internal/dispatch"
	"batchd/internal/limit"
	"batchd/internal/upstream"
)

// bomb writes a gzipped JSON array of n blanks, without ever holding it.
func bomb(w io.Writer, n int64) {
	z := gzip.NewWriter(w)
	defer func() { _ = z.Close() }()
	_, _ = io.WriteString(z, "[1")
	blanks := []byte(strings.Repeat(" ", 1<<20))
	for ; n > 0; n -= int64(len(blanks)) {
		if _, err := z.Write(blanks); err != nil {
			return
		}
	}
	_, _ = io.WriteString(z, "]")
}

func TestU09ADecompressionBombIsStopped(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		bomb(w, 10<<30)
	})
	spool := t.TempDir()
	u := newUpstream(t, upstream.Config{URL: url}, upstream.Options{SpoolDir: spool})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	res, body := call(t, u)
	runtime.ReadMemStats(&after)
	check(t, res, body, want{limit.Answered, "too_large", 0, batch.CodeResponseTooLarge, ""})
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 32<<20 {
		t.Errorf("allocated %d bytes", grown)
	}
	if left, _ := os.ReadDir(spool); len(left) > 0 {
		t.Errorf("%d files left in the spool", len(left))
	}
}

func TestAnAnswerThatCompressesWellIsNoBomb(t *testing.T) {
	t.Parallel()
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		bomb(w, 3<<20) // a thousand to one, but it fits into memory
	})
	res, body := call(t, newUpstream(t, upstream.Config{URL: url}, upstream.Options{}))
	if res.Signal.Kind != limit.Served || len(body) != 3<<20+3 {
		t.Errorf("got %v %s, %d bytes", res.Signal.Kind, res.Cause, len(body))
	}
}

func TestU19AnAnswerOverTheLimitIsFinal(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 400, 500, 503} {
		url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			piece := strings.Repeat(" ", 64<<10)
			for err := error(nil); err == nil; {
				_, err = io.WriteString(w, piece)
			}
		})
		u := newUpstream(t, upstream.Config{URL: url}, upstream.Options{MaxResponseBytes: 8 << 20})
		res, body := call(t, u)
		w := want{limit.Answered, "too_large", 0, batch.CodeResponseTooLarge, ""}
		switch status {
		case 500:
			w.kind, w.cause = limit.Broken, "status_500"
		case 503:
			w.kind, w.cause = limit.NoRoom, "status_503"
		}
		t.Run(fmt.Sprint(status), func(t *testing.T) { check(t, res, body, w) })
	}
}

func TestManyLongAnswersAtOnceDoNotBlockEachOther(t *testing.T) {
	t.Parallel()
	const calls = 64
	arrived := make(chan struct{}, calls)
	all := make(chan struct{})
	long := `{"a":"` + strings.Repeat("x", 300<<10) + `"}`
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		// Each answer stops halfway until all have got there: with a queue for the permit none would end.
		_, _ = io.WriteString(w, long[:200<<10])
		_ = http.NewResponseController(w).Flush()
		arrived <- struct{}{}
		<-all
		_, _ = io.WriteString(w, long[200<<10:])
	})
	over := upstream.NewLargeBodyBudget(2)
	u := newUpstream(t, upstream.Config{URL: url, Concurrency: calls}, upstream.Options{LargeBodies: over})
	results := make(chan dispatch.Answer, calls)
	for range calls {
		go func() { results <- u.Call(t.Context(), chatRequest()) }() // joined by the loop below
	}
	for range calls {
		<-arrived
	}
	close(all)
	held := make([]dispatch.Answer, calls)
	for i := range held {
		held[i] = <-results
	}
	if over.InUse() > 2 {
		t.Errorf("%d permits in use", over.InUse())
	}
	for _, res := range held {
		res, body := read(t, res)
		check(t, res, body, want{limit.Served, "ok", 200, "", long})
	}
	if over.InUse() != 0 {
		t.Errorf("%d permits in use at the end", over.InUse())
	}
}
