package upstream_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"batchd/internal/dispatch"
	"batchd/internal/limit"
	"batchd/internal/upstream"
)

// longAnswer is a chat answer of about 1 KB.
var longAnswer = strings.Replace(chatAnswer, `"hi"`, `"`+strings.Repeat(`The quick brown fox.\n`, 36)+`"`, 1)

// benchServer answers on loopback with as little work as possible, so that the client is what is measured. A request ends
// with its last byte, a line break.
func benchServer(b *testing.B) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	answer := []byte(reply(200, longAnswer, "Content-Type: application/json"))
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { echo(c, answer) })
		}
	})
	b.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return "http://" + l.Addr().String() + "/v1"
}

func echo(c net.Conn, answer []byte) {
	defer func() { _ = c.Close() }()
	buf := make([]byte, 16<<10)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		if !bytes.HasSuffix(buf[:n], []byte("xx\n")) {
			continue
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

var benchBody = append(bytes.Repeat([]byte("x"), 1023), '\n')

// cpu returns the time that this process has used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func benchmark(b *testing.B, one func() error) {
	b.Helper()
	b.ReportAllocs()
	start := cpu(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := one(); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(cpu(b)-start)/float64(b.N), "cpu-ns/op")
}

// BenchmarkCall and BenchmarkBareClient differ by what batchd adds to a call.
func BenchmarkCall(b *testing.B) {
	u := newUpstream(b, upstream.Config{
		URL: benchServer(b), APIKey: func() (string, error) { return "sk", nil },
	}, upstream.Options{})
	b.SetParallelism(16)
	req := dispatch.Call{Endpoint: "/v1/chat/completions", Body: benchBody, Key: "batch_1-7-0"}
	benchmark(b, func() error {
		res := u.Call(b.Context(), req)
		if res.Signal.Kind != limit.Served {
			b.Errorf("%v %s", res.Signal.Kind, res.Cause)
		}
		return res.Outcome.Body.Close()
	})
}

func BenchmarkBareClient(b *testing.B) {
	url := benchServer(b) + "/chat/completions"
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}}
	b.Cleanup(client.CloseIdleConnections)
	b.SetParallelism(16)
	benchmark(b, func() error {
		req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, bytes.NewReader(benchBody))
		if err != nil {
			return err
		}
		for _, h := range []string{"Accept", "Accept-Encoding", "Authorization", "Content-Type", "Idempotency-Key", "User-Agent", "X-Request-Id"} {
			req.Header.Set(h, "batchd")
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		_, err = io.ReadAll(resp.Body)
		return err
	})
}
