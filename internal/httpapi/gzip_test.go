package httpapi_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// unpack returns what a body in gzip holds, and fails the test unless it is whole.
func unpack(t testing.TB, body []byte) string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(z)
	if err != nil {
		t.Fatalf("gzip is broken after %d bytes: %v", len(raw), err)
	}
	return string(raw)
}

func TestContentIsPackedForClientsThatTakeIt(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	long, short := strings.Repeat(goodLine, 30_000), goodLine
	for name, tc := range map[string]struct {
		content string
		headers []string
		packed  bool
		varies  bool
	}{
		"asked for":              {long, []string{"Accept-Encoding", "gzip"}, true, true},
		"among others":           {long, []string{"Accept-Encoding", "br, gzip;q=0.8"}, true, true},
		"not asked for":          {long, nil, false, true},
		"refused":                {long, []string{"Accept-Encoding", "gzip;q=0"}, false, true},
		"too short to be worth":  {short, []string{"Accept-Encoding", "gzip"}, false, false},
		"range that means none":  {long, []string{"Accept-Encoding", "gzip", "Range", "lines=1-2"}, false, true},
		"range that is outdated": {long, []string{"Accept-Encoding", "gzip", "Range", "bytes=1-2", "If-Range", `"other"`}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			path := "/v1/files/" + f.mustUpload(tc.content) + "/content"
			w, head := f.do("GET", path, "", tc.headers...), f.do("HEAD", path, "", tc.headers...)
			body, h := f.want(w, 200), w.Header()
			tag := `"`
			if tc.packed {
				body, tag = unpack(t, w.Body.Bytes()), `W/"`
			}
			if body != tc.content {
				t.Errorf("content of %d bytes, want %d", len(body), len(tc.content))
			}
			if packed := h.Get("Content-Encoding") == "gzip"; packed != tc.packed || (h.Get("Content-Length") == "") != tc.packed {
				t.Errorf("headers %v, want packed %v", h, tc.packed)
			}
			if (h.Get("Vary") == "Accept-Encoding") != tc.varies || !strings.HasPrefix(h.Get("Etag"), tag) || (h.Get("Last-Modified") == "") != tc.packed {
				t.Errorf("headers %v", h)
			}
			h.Del("X-Request-Id")
			head.Header().Del("X-Request-Id")
			w.Body.Reset()
			if got, want := string(show(head)), string(show(w)); got != want {
				t.Errorf("HEAD answers %s, GET %s", got, want)
			}
		})
	}
}

func TestRangeGivesPlainBytesAlsoToClientsThatTakeGzip(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	content := strings.Repeat(goodLine, 100)
	path := "/v1/files/" + f.mustUpload(content) + "/content"
	w := f.do("GET", path, "", "Accept-Encoding", "gzip", "Range", "bytes=10-5000")
	if got := f.want(w, 206); got != content[10:5001] || w.Header().Get("Content-Encoding") != "" {
		t.Errorf("%d bytes, headers %v", len(got), w.Header())
	}
}

func TestPackedContentHasATagThatOnlySavesDownloads(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	content := strings.Repeat(goodLine, 100)
	path := "/v1/files/" + f.mustUpload(content) + "/content"
	packed := f.do("HEAD", path, "", "Accept-Encoding", "gzip").Header().Get("Etag")
	plain := f.do("HEAD", path, "").Header().Get("Etag")
	for _, tag := range []string{packed, plain} {
		w := f.do("GET", path, "", "Accept-Encoding", "gzip", "If-None-Match", tag)
		f.want(w, http.StatusNotModified)
		if got := w.Header(); got.Get("Etag") != packed || got.Get("Vary") == "" || got.Get("Content-Encoding") != "" {
			t.Errorf("headers %v of what has not changed", got)
		}
	}
	// Nobody may put plain bytes behind packed ones.
	if got := f.want(f.do("GET", path, "", "Range", "bytes=10-", "If-Range", packed), 200); got != content {
		t.Errorf("%d bytes, want all", len(got))
	}
	f.want(f.do("GET", path, "", "Range", "bytes=10-", "If-Range", plain), 206)
}

func TestF08DamageCutsPackedContentSoThatItIsNotTakenForWhole(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	content := strings.Repeat(goodLine, 3<<20/len(goodLine))
	id := f.mustUpload(content)
	f.objects.damage(2<<20 + 5)
	server := httptest.NewServer(f.handler)
	defer server.Close()
	for name, proto := range map[string]string{"HTTP/1.1": "HTTP/1.1", "HTTP/1.0, which has no end mark of its own": "HTTP/1.0"} {
		t.Run(name, func(t *testing.T) {
			resp := rawGet(t, server, "/v1/files/"+id+"/content", proto)
			z, err := gzip.NewReader(resp)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(z)
			if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.HasPrefix(content, string(got)) {
				t.Errorf("%d bytes of %d and %v, want some and an unexpected end", len(got), len(content), err)
			}
		})
	}
	// What was in the middle of a file is not left over for the next answer.
	whole := f.mustUpload(strings.Repeat(goodLine, 200))
	for range 3 {
		w := f.do("GET", "/v1/files/"+whole+"/content", "", "Accept-Encoding", "gzip")
		if got := unpack(t, w.Body.Bytes()); got != strings.Repeat(goodLine, 200) {
			t.Errorf("%d bytes", len(got))
		}
	}
}

// broken is a client that goes away after some bytes.
type broken struct {
	*httptest.ResponseRecorder
	left int
}

func (b *broken) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errors.New("connection reset by peer")
	}
	return b.ResponseRecorder.Write(p)
}

func TestClientThatLeavesAPackedDownloadEndsIt(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	id := f.mustUpload(goodLine + strings.Repeat("{}\n", 100_000))
	for _, left := range []int{0, 100, 1000} {
		r := httptest.NewRequest("GET", "/v1/files/"+id+"/content", nil)
		r.Header.Set("Accept-Encoding", "gzip")
		func() {
			defer func() {
				if err, ok := recover().(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
					t.Errorf("after %d bytes: recovered %v", left, err)
				}
			}()
			f.handler.ServeHTTP(&broken{httptest.NewRecorder(), left}, r)
		}()
	}
}

func TestJSONIsPackedOnceItIsLong(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	id := f.mustUpload(goodLine)
	w := f.do("GET", "/v1/files/"+id, "", "Accept-Encoding", "gzip")
	if w.Header().Get("Content-Encoding") != "" || field(t, f.want(w, 200), "id") != id {
		t.Errorf("a short answer came with %v", w.Header())
	}
	for range 20 {
		f.mustUpload(goodLine)
	}
	plain, packed := f.do("GET", "/v1/files", ""), f.do("GET", "/v1/files", "", "Accept-Encoding", "gzip")
	h := packed.Header()
	if h.Get("Content-Encoding") != "gzip" || h.Get("Content-Length") != strconv.Itoa(packed.Body.Len()) || packed.Body.Len() >= plain.Body.Len() {
		t.Errorf("headers %v of %d bytes for %d", h, packed.Body.Len(), plain.Body.Len())
	}
	if h.Get("Vary") != "Accept-Encoding" || plain.Header().Get("Vary") != "Accept-Encoding" {
		t.Errorf("a cache would mix up %v and %v", plain.Header(), h)
	}
	if got := unpack(t, packed.Body.Bytes()); got != plain.Body.String() {
		t.Errorf("packed answer %s", got)
	}
}

func TestManyReadersOfPackedContentGetTheirOwnBytes(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *options) { o.Blobs = onDisk(t) })
	server := httptest.NewServer(f.handler)
	defer server.Close()
	var readers sync.WaitGroup
	for i := range 16 {
		content := strings.Repeat(`{"reader":`+strconv.Itoa(i)+"}\n", 20_000)
		id := f.mustUpload(content)
		readers.Go(func() {
			resp, err := server.Client().Get(server.URL + "/v1/files/" + id + "/content") // asks for gzip by itself
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if got, err := io.ReadAll(resp.Body); err != nil || string(got) != content || !resp.Uncompressed {
				t.Errorf("reader %d: %d bytes, %v, unpacked %v", i, len(got), err, resp.Uncompressed)
			}
		})
	}
	readers.Wait()
}

// rawGet asks for a path in gzip over a connection of its own and returns the body, which ends as the server ends it.
func rawGet(t testing.TB, server *httptest.Server, path, proto string) io.Reader {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_, err = io.WriteString(conn, "GET "+path+" "+proto+"\r\nHost: test\r\nAccept-Encoding: gzip\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp.Body
}
