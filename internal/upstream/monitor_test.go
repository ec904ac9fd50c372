package upstream_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"batchd/internal/dispatch"
	"batchd/internal/limit"
	"batchd/internal/upstream"
)

func TestWhatSpeaksAgainstAnUpstreamStandsUntilItAnswersOrIsCalled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		closed := true
		dial := piped(func(c net.Conn) {
			serveConn(c, func(c net.Conn, _ *http.Request) {
				answer := reply(200, `{"data":[{"id":"m"}]}`)
				if closed {
					answer = reply(401, "")
				}
				_, _ = io.WriteString(c, answer)
			})
		})
		one := newUpstream(t, upstream.Config{URL: "http://h/v1"}, upstream.Options{DialContext: dial})
		var log strings.Builder
		m := upstream.NewMonitor(upstream.NewSet(one), slog.New(slog.NewTextHandler(&log, nil)))
		look := func(called bool, want limit.Reason) {
			t.Helper()
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() { // joined below
				defer close(ended)
				m.Inspect(ctx, func() []dispatch.UpstreamState { return []dispatch.UpstreamState{{Called: called}} })
			}()
			synctest.Wait()
			again := true
			select {
			case <-ended:
				again = false
			default:
			}
			if got := m.Condition(0); got.Reason != want || again != (want != "") {
				t.Errorf("found %+v, want %q; looks again: %t", got, want, again)
			}
			cancel()
			<-ended
			time.Sleep(time.Second)
		}
		look(false, limit.ReasonDenied)
		first := m.Condition(0)
		look(false, limit.ReasonDenied)
		if again := m.Condition(0); again.Since != first.Since || !again.Next.After(first.Next) {
			t.Errorf("the same once more: %+v after %+v", again, first)
		}
		look(true, "") // what a call is told is worth more
		look(false, limit.ReasonDenied)
		closed = false
		look(false, "")
		if n := strings.Count(log.String(), "refuses the key"); n != 2 {
			t.Errorf("told %d times, want once each time it begins:\n%s", n, log.String())
		}
	})
}

func TestAnUpstreamWithoutAListAndWithoutV1IsShownAsMisconfiguredUntilItsFirstCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dial := piped(func(c net.Conn) { serveConn(c, paths(nil)) })
		one := newUpstream(t, upstream.Config{URL: "http://h"}, upstream.Options{DialContext: dial})
		var log strings.Builder
		m := upstream.NewMonitor(upstream.NewSet(one), slog.New(slog.NewTextHandler(&log, nil)))
		var called atomic.Bool
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { // joined below
			defer close(ended)
			m.Inspect(ctx, func() []dispatch.UpstreamState { return []dispatch.UpstreamState{{Called: called.Load()}} })
		}()
		time.Sleep(2 * time.Minute)
		shown := m.Describe([]dispatch.UpstreamState{{}})[0].Reason
		if shown.Kind != "misconfigured" || !strings.Contains(shown.Detail, "/v1") || shown.Status != 404 {
			t.Errorf("shown before the first call: %+v", shown)
		}
		if n := strings.Count(log.String(), "is /v1 missing from its url?"); n != 1 {
			t.Errorf("told %d times, want once:\n%s", n, log.String())
		}
		if shown = m.Describe([]dispatch.UpstreamState{{Called: true}})[0].Reason; shown.Kind != "" {
			t.Errorf("shown after the first call: %+v", shown)
		}
		called.Store(true)
		<-ended // nothing is asked any more
		cancel()
	})
}
