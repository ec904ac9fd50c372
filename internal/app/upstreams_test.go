package app_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"batchd/internal/config"
)

// says waits until the log holds the words.
func (j *journal) says(t *testing.T, words string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for !j.said(words) {
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("the log does not say %q", words)
		}
	}
}

func TestAServerSaysAtItsStartWhatSpeaksAgainstAnUpstream(t *testing.T) {
	t.Parallel()
	below := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/models" {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, `{"data":[{"id":"m"}]}`)
	}))
	t.Cleanup(below.Close)
	closed := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"error":{"message":"who are you?","code":"invalid_api_key"}}`)
	}))
	t.Cleanup(closed.Close)
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()

	bare := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(bare.Close)

	cfg := guarded(t, "127.0.0.1")
	cfg.Upstreams = append(cfg.Upstreams, config.Upstream{URL: below.URL}, config.Upstream{URL: closed.URL + "/v1"},
		config.Upstream{URL: bare.URL}, config.Upstream{URL: "http://" + gone.Addr().String() + "/v1"})
	_, log := serving(t, cfg)
	log.says(t, `level=WARN msg="upstream has its models below /v1 only; add /v1 to its url" upstream=`+below.Listener.Addr().String()+" status=404")
	log.says(t, `level=WARN msg="upstream refuses the key" upstream=`+closed.Listener.Addr().String()+
		`/v1 reason=denied status=401 code=invalid_api_key message="who are you?"`)
	log.says(t, `level=WARN msg="upstream does not answer" upstream=`+gone.Addr().String()+"/v1 reason=unreachable detail=refused")
	log.says(t, `level=WARN msg="upstream has no list of models; is /v1 missing from its url?" upstream=`+bare.Listener.Addr().String())
	if log.said("upstream=sim/v1") {
		t.Error("it has something to say of an upstream that is fine")
	}
}
