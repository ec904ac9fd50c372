package upstream

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"batchd/internal/dispatch"
	"batchd/internal/limit"
)

func TestWhatSpeaksAgainstAnUpstreamStandsUntilItAnswersOrIsCalled(t *testing.T) {
	t.Parallel()
	var closed atomic.Bool
	closed.Store(true)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if closed.Load() {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, `{"data":[{"id":"m"}]}`)
	}))
	t.Cleanup(server.Close)
	one, err := New(Config{URL: server.URL + "/v1"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(one.Close)
	var log strings.Builder
	m := NewMonitor(NewSet(one), slog.New(slog.NewTextHandler(&log, nil)))
	look := func(called bool, want limit.Reason) {
		t.Helper()
		wrong := m.inspectOnce(t.Context(), []dispatch.UpstreamState{{Called: called}})
		if got := m.Condition(0); got.Reason != want || wrong != (want != "") {
			t.Errorf("found %+v, want %q; looks again: %t", got, want, wrong)
		}
	}
	look(false, limit.ReasonDenied)
	first := m.Condition(0)
	look(false, limit.ReasonDenied)
	if again := m.Condition(0); again.Since != first.Since || !again.Next.After(first.Next) {
		t.Errorf("the same once more: %+v after %+v", again, first)
	}
	look(true, "") // what a call is told is worth more
	look(false, limit.ReasonDenied)
	closed.Store(false)
	look(false, "")
	if n := strings.Count(log.String(), "refuses the key"); n != 2 {
		t.Errorf("told %d times, want once each time it begins:\n%s", n, log.String())
	}
}
