package upstream_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"batchd/internal/dispatch"
	"batchd/internal/upstream"
)

func TestTheListOfASoleUpstreamIsKeptFreshAndBindsNoLine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		list, sent := `{"data":[{"id":"llama3:latest"}]}`, int64(0)
		dial := piped(func(c net.Conn) {
			serveConn(c, func(c net.Conn, r *http.Request) {
				answer := reply(200, list)
				if r.Method == http.MethodPost {
					sent, answer = r.ContentLength, reply(200, chatAnswer)
				}
				_, _ = io.WriteString(c, answer)
			})
		})
		u := newUpstream(t, upstream.Config{URL: "http://h/v1"}, upstream.Options{DialContext: dial})
		set := upstream.NewSet(u)
		if got := set.Models(); len(got) > 0 {
			t.Errorf("before it was asked: %q", got)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { // joined below
			defer close(ended)
			upstream.NewMonitor(set, slog.New(slog.DiscardHandler)).KeepSoleModels(ctx)
		}()
		for _, want := range []string{"llama3:latest", "another"} {
			synctest.Wait()
			if d := cmp.Diff([]string{want}, set.Models()); d != "" {
				t.Errorf("models (-want +got):\n%s", d)
			}
			list = `{"data":[{"id":"another"}]}`
			if want != "another" {
				for _, model := range []string{"llama3", "Llama3", "none"} {
					body := `{"model":"` + model + `"}`
					a := u.Call(t.Context(), dispatch.Call{Endpoint: "/v1/chat/completions", Model: model, Body: []byte(body)})
					_ = a.Outcome.Body.Close()
					if sent != int64(len(body)) || !set.Known(model) || len(set.Serving(nil, model)) != 1 {
						t.Errorf("%s: %d bytes were sent; known %t", body, sent, set.Known(model))
					}
				}
			}
			time.Sleep(30 * time.Second)
		}
		stop()
		<-ended
	})
}

func TestModelsOfSeveralUpstreamsAreListedOnceAndWildcardsAsTheyStand(t *testing.T) {
	t.Parallel()
	configured := newUpstream(t, upstream.Config{URL: "http://nobody.invalid/v1", Models: []string{"openai/*", "b"}}, upstream.Options{})
	set := upstream.NewSet(configured, listing(t, 200, `{"data":[{"id":"b"},{"id":"a"}]}`), listing(t, 500, ``))
	_ = set.RefreshModels(t.Context()) // one of them is down
	if d := cmp.Diff([]string{"a", "b", "openai/*"}, set.Models()); d != "" {
		t.Errorf("models (-want +got):\n%s", d)
	}
	if got := (*upstream.Set)(nil).Models(); got != nil {
		t.Errorf("without upstreams: %q", got)
	}
}
