package httpapi_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"batchd/internal/batch"
	"batchd/internal/httpapi"
)

// bulky adds a route whose answer has so many bytes.
func bulky(size int) func(*options) {
	return func(o *options) {
		o.extra = []httpapi.Route{{Path: "/bulky", Open: true, Methods: map[string]httpapi.Handler{
			"GET": func(c *httpapi.Call) error { return c.JSON([]byte(`"` + strings.Repeat("x", size) + `"`)) },
		}}}
	}
}

// sip takes one byte of an answer a second until it is cut off, and returns how long that took.
func sip(c net.Conn) time.Duration {
	began := time.Now()
	for one := make([]byte, 1); ; time.Sleep(time.Second) {
		if _, err := c.Read(one); err != nil {
			return time.Since(began)
		}
	}
}

func TestI25WhoeverTakesTooLittleIsCutOffAfterASettableTime(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/v1/files/file-many/content", "/v1/bulky"} {
		for _, limit := range []time.Duration{0, 20 * time.Second} {
			t.Run(fmt.Sprint(path, " ", limit), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					f := newFixture(t, func(o *options) { bulky(1 << 20)(o); o.SendTimeout = limit })
					f.manyExtents("file-many")
					c := f.dial()
					_, _ = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", path)
					want := limit
					if want == 0 {
						want = 5 * time.Minute
					}
					// A piece is buffered on the way, and may begin while the one before is taken.
					if got := sip(c); got < want-time.Second || got > want+2*time.Second {
						t.Errorf("cut off after %s, want %s", got, want)
					}
					_ = c.Close()
				})
			})
		}
	}
}

func TestADeadlineOfOneAnswerDoesNotEndTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(o *options) { o.SendTimeout = 10 * time.Second })
		c := f.dial()
		answers := bufio.NewReader(c)
		for range 3 {
			if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 {
				t.Fatalf("%s, %q, %v", resp.Status, body, err)
			}
			_ = resp.Body.Close()
			time.Sleep(time.Minute)
		}
		_ = c.Close()
	})
}

// narrow connects with a receive buffer so small that what a client does not read stays with the server.
func narrow(t *testing.T, address string) net.Conn {
	t.Helper()
	d := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) { setReceiveBuffer(fd, 4096) })
	}}
	c, err := d.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// heap returns the bytes that are in use.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what pools keep goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestI25SlowReadersCostBoundedMemory has 200 clients take a byte a second of a large file, as it is and packed, and 200 read
// nothing of an answer of 4 MiB, over real sockets.
func TestI25SlowReadersCostBoundedMemory(t *testing.T) {
	const clients, limit = 200, 3 * time.Second
	f := newFixture(t, func(o *options) { bulky(4 << 20)(o); o.SendTimeout = limit })
	f.manyExtents("file-many")
	var answering atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answering.Add(1)
		defer answering.Add(-1)
		f.handler.ServeHTTP(w, r)
	}))
	defer server.Close()
	for _, load := range []struct {
		name, path, header string
		// sips is set if clients take a byte a second.
		sips bool
		// most is how much memory all may cost for as long as they are borne, in MiB: 1.2 for each of 32 that are packed and a
		// little for each, or answers up to the bound.
		most int64
	}{
		{"downloads", "/v1/files/file-many/content", "", true, 40},
		{"packed downloads", "/v1/files/file-many/content", "Accept-Encoding: gzip\r\n", true, 90},
		{"answers", "/v1/bulky", "", false, 180},
	} {
		before, goroutines, began := heap(), runtime.NumGoroutine(), time.Now()
		end := make(chan struct{})
		var sipping sync.WaitGroup
		var open []net.Conn
		for range clients {
			c := narrow(t, server.Listener.Addr().String())
			open = append(open, c)
			if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: test\r\n%s\r\n", load.path, load.header); err != nil {
				t.Fatal(err)
			}
			if load.sips {
				sipping.Go(func() {
					for ended := false; !ended; {
						_, _ = c.Read(make([]byte, 1))
						select {
						case <-end:
							ended = true
						case <-time.After(time.Second):
						}
					}
				})
			}
		}
		<-time.After(limit - time.Since(began) - time.Second/2)
		used := (heap() - before) / batch.MiB
		t.Logf("%d %s: %d MiB, %d under way, after %s", clients, load.name, used, answering.Load(), time.Since(began).Round(time.Millisecond))
		if used > load.most {
			t.Errorf("%d %s take %d MiB, want at most %d", clients, load.name, used, load.most)
		}
		for answering.Load() > 0 && time.Since(began) < 10*limit {
			<-time.After(10 * time.Millisecond)
		}
		if took := time.Since(began); answering.Load() > 0 {
			t.Errorf("%s: %d are not cut off after %s", load.name, answering.Load(), took)
		} else {
			t.Logf("%s: all are cut off after %s", load.name, took.Round(time.Millisecond))
		}
		close(end)
		for _, c := range open {
			_ = c.Close()
		}
		sipping.Wait()
		for until := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > goroutines+8 && time.Now().Before(until); {
			<-time.After(10 * time.Millisecond)
		}
		if left := runtime.NumGoroutine() - goroutines; left > 8 {
			t.Errorf("%s: %d goroutines are left", load.name, left)
		}
	}
}
