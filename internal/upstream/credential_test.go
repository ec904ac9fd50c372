package upstream_test

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"batchd/internal/upstream"
)

func TestCredentialIsReadAgainAfterItsTTLOrARefusal(t *testing.T) {
	t.Parallel()
	const ttl, refusedTTL = 10 * time.Second, time.Second
	var sent string
	refuse := false
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		sent = r.Header.Get("Authorization")
		if refuse {
			w.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = io.WriteString(w, chatAnswer)
	})
	now := time.Unix(1_000_000, 0)
	key, fault := "a", error(nil)
	reads := 0
	var log strings.Builder
	u := newUpstream(t, upstream.Config{URL: url, APIKey: func() (string, error) { reads++; return key, fault }}, upstream.Options{
		Now: func() time.Time { return now }, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	expect := func(wantKey, wantLog string, wantReads int) {
		t.Helper()
		log.Reset()
		call(t, u)
		if sent != "Bearer "+wantKey || !strings.Contains(log.String(), wantLog) || wantLog == "" && log.Len() > 0 || reads != wantReads {
			t.Errorf("sent %q after %d reads, logged %q; want %q, %d, %q", sent, reads, log.String(), wantKey, wantReads, wantLog)
		}
	}
	expect("a", "", 1)
	key = "b"
	expect("a", "", 1)
	refuse = true
	expect("a", "", 1)
	refuse = false
	expect("a", "", 1) // once a second at most, however many calls are refused
	now = now.Add(refusedTTL)
	expect("b", "", 2)
	key, now = "c", now.Add(refusedTTL)
	expect("b", "", 2)
	now = now.Add(ttl - refusedTTL)
	expect("c", "", 3)

	fault, now = errors.New("gone"), now.Add(ttl)
	expect("c", "gone", 4)
	expect("c", "", 4) // said once, and tried again later
	fault, now = nil, now.Add(-time.Hour)
	key = "d"
	expect("d", "", 5) // a clock set back does not keep an old key alive
}
