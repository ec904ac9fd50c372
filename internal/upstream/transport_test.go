package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"batchd/internal/dispatch"
)

// hangUpOverTLS answers, and after every third answer of a connection hangs up without having said so.
func hangUpOverTLS(t *testing.T) *httptest.Server {
	var mu sync.Mutex
	answers := map[string]int{}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		answers[r.RemoteAddr]++
		last := answers[r.RemoteAddr]%3 == 0
		mu.Unlock()
		if _, err := io.Copy(io.Discard, r.Body); err != nil || !last {
			_, _ = io.WriteString(w, `{"a":1}`)
			return
		}
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"+`{"a":1}`)
		_ = c.Close()
	}))
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func TestAConnectionThatWasClosedInTheMeantimeCostsNothingOverTLS(t *testing.T) {
	t.Parallel()
	s := hangUpOverTLS(t)
	u, err := New(Config{URL: s.URL + "/v1"}, Options{SpoolDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	u.transport.DialTLSContext = dialer(Options{}.withDefaults(), &tls.Config{RootCAs: roots, ServerName: "example.com"})
	const callers, each = 16, 30
	var mu sync.Mutex
	causes := map[string]int{}
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				a := u.Call(t.Context(), dispatch.Call{Endpoint: "/v1/x", Body: []byte("{}"), Key: "k"})
				mu.Lock()
				causes[a.Cause]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if causes["ok"]+causes["reset"] != callers*each || causes["reset"] > callers*each/10 {
		t.Errorf("calls ended as %v", causes)
	}
}

func TestHowFarARequestGotIsKnownByItsConnection(t *testing.T) {
	t.Parallel()
	near, away := net.Pipe()
	c := &conn{Conn: near, idle: time.Minute}
	w := new(way)
	if got := w.progress(); got != unsent {
		t.Errorf("without a connection: %v", got)
	}
	w.take(c)
	if got := w.progress(); got != unsent {
		t.Errorf("before it writes: %v", got)
	}
	go func() { _, _ = io.ReadFull(away, make([]byte, 1)); _ = away.Close() }() // ends the write below
	if _, err := c.Write([]byte("ab")); err == nil {
		t.Error("a write to a closed pipe worked")
	}
	if got := w.progress(); got != sent {
		t.Errorf("when a part was taken: %v", got)
	}
	next := new(way)
	next.take(c)
	if _, err := c.Write([]byte("ab")); err == nil {
		t.Error("a write to a closed pipe worked")
	}
	if got := next.progress(); got != unsent {
		t.Errorf("when nothing was taken: %v", got)
	}
	next.answering.Store(true)
	if got := next.progress(); got != answering {
		t.Errorf("when an answer had begun: %v", got)
	}
}
