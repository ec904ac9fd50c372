package httpapi_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"batchd/internal/batch"
	"batchd/internal/sim"
)

// patience is how long these tests' servers wait for too few bytes, at a rate of 1 KiB/s.
const patience = 30 * time.Second

// dial starts a server on fake time, without sockets, and connects to it.
func (f *fixture) dial() net.Conn {
	f.t.Helper()
	network := sim.NewNetwork()
	server := &http.Server{Handler: f.handler}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(network) }) // always returns an error: the one of Close
	f.t.Cleanup(func() {
		_ = server.Close()
		serving.Wait()
	})
	conn, err := network.DialContext(f.t.Context(), "", "")
	if err != nil {
		f.t.Fatal(err)
	}
	return conn
}

// drip is a request whose body does not arrive all at once.
type drip struct {
	path, contentType, body string
	headers                 []string
	// declared is the length in the header; 0 means that of body.
	declared int
	// every is the time between pieces of size bytes; the first comes after it too.
	every time.Duration
	size  int
}

// send writes the request until it is done or the server is, then holds the connection as it is.
func (d drip) send(conn net.Conn) {
	declared := d.declared
	if declared == 0 {
		declared = len(d.body)
	}
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: test\r\nContent-Type: %s\r\nContent-Length: %d\r\n", d.path, d.contentType, declared)
	for i := 0; i < len(d.headers); i += 2 {
		head += d.headers[i] + ": " + d.headers[i+1] + "\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		return
	}
	tick := time.NewTicker(d.every)
	defer tick.Stop()
	for rest := d.body; rest != ""; {
		<-tick.C
		n := min(d.size, len(rest))
		if _, err := io.WriteString(conn, rest[:n]); err != nil {
			return
		}
		rest = rest[n:]
	}
}

// exchange sends d and returns the answer, how long it took to come, and how long until the connection was closed, at
// most an hour.
func (f *fixture) exchange(d drip) (status int, body string, answered, closed time.Duration) {
	f.t.Helper()
	conn, start := f.dial(), time.Now()
	var sending sync.WaitGroup
	sending.Go(func() { d.send(conn) })
	answers := bufio.NewReader(conn)
	resp, err := http.ReadResponse(answers, nil)
	if err != nil {
		f.t.Fatalf("no answer after %v: %v", time.Since(start), err)
	}
	raw, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		f.t.Errorf("answer cut off: %v", err)
	}
	answered = time.Since(start)
	_ = conn.SetReadDeadline(time.Now().Add(time.Hour))
	_, _ = answers.ReadByte()
	closed = time.Since(start)
	_ = conn.Close()
	sending.Wait()
	return resp.StatusCode, string(raw), answered, closed
}

func TestI14SlowBodiesAreCutOffAndLeaveNothing(t *testing.T) {
	t.Parallel()
	line := strings.Repeat("x", 50_000)
	file, fileType := form(part{"file", "in.jsonl", `{"a":"` + line + `"}` + "\n"}, part{"purpose", "", "batch"})
	data, dataType := form(part{"data", "blob", line})
	for name, d := range map[string]drip{
		"file at 10 B/s":          {path: "/v1/files", contentType: fileType, body: file, every: time.Second, size: 10},
		"file that stalls":        {path: "/v1/files", contentType: fileType, body: file[:40_000], declared: len(file), every: time.Millisecond, size: 1000},
		"file that never comes":   {path: "/v1/files", contentType: fileType, declared: len(file), every: time.Second},
		"part at 10 B/s":          {path: "/v1/uploads/%/parts", contentType: dataType, body: data, every: time.Second, size: 10},
		"JSON at 1 B/s":           {path: "/v1/batches", contentType: "application/json", body: createBody("file-x"), every: time.Second, size: 1},
		"announcement at 1 B/s":   {path: "/v1/uploads", contentType: "application/json", body: announce(9), every: time.Second, size: 1},
		"JSON that never comes":   {path: "/v1/uploads/%/complete", contentType: "application/json", declared: 10, every: time.Second},
		"one byte each 29 s":      {path: "/v1/files", contentType: fileType, body: file, every: 29 * time.Second, size: 1},
		"just under the rate":     {path: "/v1/files", contentType: fileType, body: file, every: time.Second, size: 1000},
		"in bursts far too small": {path: "/v1/files", contentType: fileType, body: file, every: 10 * time.Second, size: 5000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, nil)
				f.limit(someBytes)
				before := f.storageLeft()
				d.path = strings.Replace(d.path, "%", f.mustAnnounce(50_000), 1)
				status, body, answered, closed := f.exchange(d)
				if status != http.StatusRequestTimeout || !strings.Contains(body, "too slowly") {
					t.Errorf("%d %s, want 408", status, body)
				}
				// A client that was fast at first has its patience from the last time that enough had come.
				if answered < patience || answered > 2*patience || closed > answered+time.Second {
					t.Errorf("answered after %v, closed after %v; want it after about %v", answered, closed, patience)
				}
				f.wantNothing()
				if left := f.storageLeft(); left != before {
					t.Errorf("%d bytes are left of %d", left, before)
				}
			})
		})
	}
}

func TestI14SlowButSteadyUploadsPass(t *testing.T) {
	t.Parallel()
	body, contentType := form(part{"file", "in.jsonl", `{"a":"` + strings.Repeat("x", 500_000) + `"}` + "\n"}, part{"purpose", "", "batch"})
	for name, d := range map[string]drip{
		"1.1 KiB each second":    {every: time.Second, size: 1127},
		"31 KiB each 29 seconds": {every: 29 * time.Second, size: 31 << 10},
		"all at once":            {every: time.Millisecond, size: len(body)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d.path, d.contentType, d.body = "/v1/files", contentType, body
				status, answer, _, closed := newFixture(t, nil).exchange(d)
				if status != 200 || closed < time.Hour {
					t.Errorf("%d %s, closed after %v; the connection must serve on", status, answer, closed)
				}
			})
		})
	}
}

func TestBodyThatNobodyReadsDoesNotHoldTheConnection(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]drip{
		"wrong key":     {path: "/v1/batches", headers: []string{"Authorization", "Bearer wrong"}},
		"unknown route": {path: "/v1/nothing"},
		"cancel":        {path: "/v1/batches/batch_x/cancel"},
		"off the table": {path: "/"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d.contentType, d.body, d.every, d.size = "application/json", strings.Repeat("x", 10_000), time.Second, 1
				status, _, answered, closed := newFixture(t, nil).exchange(d)
				if status != 401 && status != 404 || answered > patience+time.Second || closed > patience+time.Second {
					t.Errorf("%d after %v, closed after %v", status, answered, closed)
				}
			})
		})
	}
}

func TestRefusedUploadIsReadForABoundedTimeOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(o *options) { o.Mounts[0].Limits = batch.Limits{MaxFileBytes: 10} })
		body, contentType := form(part{"file", "in.jsonl", strings.Repeat("{}\n", 1<<20)}, part{"purpose", "", "batch"})
		status, _, answered, closed := f.exchange(drip{path: "/v1/files", contentType: contentType, body: body, every: time.Second, size: 2000})
		if status != http.StatusRequestEntityTooLarge || answered > 15*time.Second || closed > 20*time.Second {
			t.Errorf("%d after %v, closed after %v", status, answered, closed)
		}
	})
}

func TestClientThatAsksFirstIsRefusedBeforeItSends(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(o *options) { o.Mounts[0].Limits = batch.Limits{MaxFileBytes: 10} })
		conn := f.dial()
		defer func() { _ = conn.Close() }()
		_, err := io.WriteString(conn, "POST /v1/files HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Type: multipart/form-data; boundary=X\r\nContent-Length: 99000000\r\n\r\n")
		if err != nil {
			t.Fatal(err)
		}
		first, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || !strings.HasPrefix(first, "HTTP/1.1 413 ") {
			t.Errorf("first line %q, %v", first, err)
		}
	})
}

func TestI14UploadAbortedAt99PercentGivesItsSpaceBack(t *testing.T) {
	t.Parallel()
	content := strings.Repeat(goodLine, 20_000)
	file, fileType := form(part{"purpose", "", "batch"}, part{"file", "in.jsonl", content})
	data, dataType := form(part{"data", "blob", content})
	for name, d := range map[string]drip{
		"file": {path: "/v1/files", contentType: fileType, body: file},
		"part": {path: "/v1/uploads/%/parts", contentType: dataType, body: data},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, nil)
				f.limit(someBytes)
				before := f.storageLeft()
				d.path = strings.Replace(d.path, "%", f.mustAnnounce(int64(len(content))), 1)
				d.declared, d.body = len(d.body), d.body[:len(d.body)*99/100]
				d.every, d.size = time.Millisecond, 64<<10
				conn := f.dial()
				d.send(conn)
				synctest.Wait()
				if f.objects.putting() != 1 {
					t.Error("the upload is not under way")
				}
				_ = conn.Close()
				synctest.Wait()
				f.wantNothing()
				if left := f.storageLeft(); left != before || f.objects.putting() != 0 {
					t.Errorf("%d bytes are left of %d", left, before)
				}
				// What was under way is not counted any more: there is room for all that is left.
				f.want(f.upload([]part{{"file", "notes.txt", strings.Repeat("x", int(before))}, {"purpose", "", "assistants"}}), 200)
			})
		})
	}
}

func TestSlowDiskIsNotTheClientsFault(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.objects.slow = 10 * time.Minute
		body, contentType := form(part{"file", "in.jsonl", goodLine + strings.Repeat("\n", 200_000)}, part{"purpose", "", "batch"})
		status, answer, answered, _ := f.exchange(drip{path: "/v1/files", contentType: contentType, body: body, every: time.Millisecond, size: 50_000})
		if status != 200 || answered < 10*time.Minute {
			t.Errorf("%d %s after %v", status, answer, answered)
		}
		if got := f.want(f.do("GET", "/v1/files/"+field(t, answer, "id")+"/content", ""), 200); !strings.HasPrefix(got, goodLine) {
			t.Errorf("%d bytes are stored", len(got))
		}
	})
}

// TestI14StalledUploadIsCutOffOnRealConnections has real sockets and real time: what deadlines do there differs between
// versions of HTTP.
func TestI14StalledUploadIsCutOffOnRealConnections(t *testing.T) {
	t.Parallel()
	body, contentType := form(part{"file", "in.jsonl", strings.Repeat(goodLine, 1000)}, part{"purpose", "", "batch"})
	for name, start := range map[string]func(*httptest.Server){
		"HTTP/1.1": (*httptest.Server).Start,
		"TLS":      (*httptest.Server).StartTLS,
		"HTTP/2": func(s *httptest.Server) {
			s.EnableHTTP2 = true
			s.StartTLS()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, func(o *options) {
				o.Blobs = onDisk(t)
				o.MinUploadRate, o.UploadPatience = 10*batch.MiB, 100*time.Millisecond
			})
			server := httptest.NewUnstartedServer(f.handler)
			start(server)
			source, sink := io.Pipe()
			var sending sync.WaitGroup
			sending.Go(func() { _, _ = io.WriteString(sink, body[:len(body)-100]) })
			req, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+"/v1/files", source)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", contentType)
			req.ContentLength = int64(len(body))
			resp, err := server.Client().Do(req)
			if err != nil {
				t.Fatalf("no answer: %v", err)
			}
			if answer, err := io.ReadAll(resp.Body); resp.StatusCode != http.StatusRequestTimeout || err != nil {
				t.Errorf("%d %s, %v", resp.StatusCode, answer, err)
			}
			_ = resp.Body.Close()
			_ = sink.Close()
			sending.Wait()
			server.Close()
			f.wantNothing()
		})
	}
}
