package httpapi_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"batchd/internal/batch"
	"batchd/internal/blob"
)

// manyExtents stores a file of several blobs and extents, some of them parts of a blob, and returns its bytes.
func (f *fixture) manyExtents(id string) []byte {
	f.t.Helper()
	blobs := blob.NewStore(f.objects, blob.Options{})
	random := rand.NewChaCha8([32]byte{})
	var whole []byte
	var m batch.Manifest
	for i, size := range []int{10, 3 << 20, 1, 100_000, 1 << 20} {
		raw := make([]byte, size)
		_, _ = random.Read(raw)
		b, err := blobs.Put(f.t.Context(), fmt.Sprintf("files/%d", i), bytes.NewReader(raw))
		if err != nil {
			f.t.Fatal(err)
		}
		skip := size / 3
		m = m.Append(b, int64(skip), int64(size-skip))
		whole = append(whole, raw[skip:]...)
	}
	err := f.store.CreateFile(f.t.Context(), batch.File{
		ID: id, Tenant: ours, Dialect: "openai", Name: "out.jsonl", Purpose: batch.PurposeBatchOutput,
		Bytes: m.Size(), CreatedAt: now, Content: m,
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return whole
}

func TestI25RangesAndConditionsGiveTheRightBytes(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	const path = "/v1/files/file-many/content"
	whole := f.manyExtents("file-many")
	size := len(whole)
	tag := f.do("HEAD", path, "").Header().Get("Etag")
	for name, tc := range map[string]struct {
		headers    []string
		status     int
		start, end int
	}{
		"whole":                      {nil, 200, 0, size},
		"first byte":                 {[]string{"Range", "bytes=0-0"}, 206, 0, 1},
		"across extents":             {[]string{"Range", "bytes=3-2097200"}, 206, 3, 2097201},
		"to the end":                 {[]string{"Range", "bytes=100-"}, 206, 100, size},
		"past the end":               {[]string{"Range", "bytes=100-99999999999999999999999"}, 206, 100, size},
		"suffix":                     {[]string{"Range", "bytes=-7"}, 206, size - 7, size},
		"suffix longer than all":     {[]string{"Range", "bytes=-99999999999"}, 206, 0, size},
		"unit in capitals":           {[]string{"Range", "Bytes=1-2"}, 206, 1, 3},
		"If-Range holds":             {[]string{"Range", "bytes=1-2", "If-Range", tag}, 206, 1, 3},
		"If-Range date holds":        {[]string{"Range", "bytes=1-2", "If-Range", now.Format(http.TimeFormat)}, 206, 1, 3},
		"If-Range of another":        {[]string{"Range", "bytes=1-2", "If-Range", `"other"`}, 200, 0, size},
		"If-Range weak":              {[]string{"Range", "bytes=1-2", "If-Range", "W/" + tag}, 200, 0, size},
		"several ranges":             {[]string{"Range", "bytes=1-2,5-6"}, 200, 0, size},
		"another unit":               {[]string{"Range", "lines=1-2"}, 200, 0, size},
		"nonsense":                   {[]string{"Range", "bytes=a-b"}, 200, 0, size},
		"backwards":                  {[]string{"Range", "bytes=5-2"}, 200, 0, size},
		"signs":                      {[]string{"Range", "bytes=+1-2"}, 200, 0, size},
		"If-None-Match of another":   {[]string{"If-None-Match", `"x"`}, 200, 0, size},
		"If-None-Match":              {[]string{"If-None-Match", `"x", W/` + tag}, 304, 0, 0},
		"start past the end":         {[]string{"Range", fmt.Sprintf("bytes=%d-", size)}, 416, 0, 0},
		"start far past the end":     {[]string{"Range", "bytes=99999999999999999999999-"}, 416, 0, 0},
		"suffix of nothing":          {[]string{"Range", "bytes=-0"}, 416, 0, 0},
		"range of an empty If-Range": {[]string{"Range", "bytes=0-4", "If-Range", ""}, 206, 0, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := f.do("GET", path, "", tc.headers...)
			if w.Code != tc.status {
				t.Fatalf("status %d, want %d", w.Code, tc.status)
			}
			switch tc.status {
			case 416:
				if got, want := w.Header().Get("Content-Range"), fmt.Sprintf("bytes */%d", size); got != want {
					t.Errorf("Content-Range %q, want %q", got, want)
				}
				return
			case 206:
				if got, want := w.Header().Get("Content-Range"), fmt.Sprintf("bytes %d-%d/%d", tc.start, tc.end-1, size); got != want {
					t.Errorf("Content-Range %q, want %q", got, want)
				}
			}
			if !bytes.Equal(w.Body.Bytes(), whole[tc.start:tc.end]) {
				t.Errorf("%d bytes that are not bytes %d to %d", w.Body.Len(), tc.start, tc.end)
			}
		})
	}
}

func TestI25HeadSendsHeadersOnly(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	whole := f.manyExtents("file-many")
	server := httptest.NewServer(f.handler)
	t.Cleanup(server.Close)
	req, _ := http.NewRequestWithContext(t.Context(), "HEAD", server.URL+"/v1/files/file-many/content", nil)
	req.Header.Set("Range", "bytes=0-4")
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 || resp.ContentLength != int64(len(whole)) {
		t.Errorf("status %d, length %d; a range means nothing to HEAD", resp.StatusCode, resp.ContentLength)
	}
}

func TestI25ManyReadersGetTheirOwnBytes(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	whole := f.manyExtents("file-many")
	server := httptest.NewServer(f.handler)
	t.Cleanup(server.Close)
	var readers sync.WaitGroup
	for i := range 24 {
		readers.Go(func() {
			start := i * 100_003
			req, _ := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/v1/files/file-many/content", nil)
			req.Header.Set("Range", fmt.Sprintf("bytes=%d-", start))
			resp, err := server.Client().Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if got, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(got, whole[start:]) {
				t.Errorf("reader %d: %d bytes, %v", i, len(got), err)
			}
		})
	}
	readers.Wait()
}

func TestF08DamageInTheFirstBlockIsAnErrorAndLaterDamageCutsTheConnection(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		at      int
		header  string
		started bool
	}{
		"first block":           {5, "", false},
		"later block":           {2<<20 + 5, "", true},
		"first block of range":  {2<<20 + 5, "bytes=2097152-", false},
		"range beside the flaw": {5, "bytes=2097152-", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			f := newFixture(t, func(o *options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
			content := strings.Repeat(goodLine, 3<<20/len(goodLine))
			id := f.mustUpload(content)
			f.objects.damage(tc.at)
			server := httptest.NewServer(f.handler)
			req, _ := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/v1/files/"+id+"/content", nil)
			req.Header.Set("Range", tc.header)
			resp, err := server.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			server.Close()
			complete := err == nil
			switch {
			case !tc.started && (resp.StatusCode != 500 || !complete || !bytes.Contains(got, []byte(`"server_error"`))):
				t.Errorf("status %d, complete %v: %.200s", resp.StatusCode, complete, got)
			case !tc.started && resp.Header.Get("Etag") != "":
				t.Error("an error must not carry the file's tag")
			case tc.started && name == "later block" && (complete || !strings.HasPrefix(content, string(got))):
				t.Errorf("damage was sent: complete %v, %d bytes", complete, len(got))
			case tc.started && name != "later block" && (!complete || string(got) != content[2<<20:]):
				t.Errorf("sound bytes were not sent: complete %v, %d bytes", complete, len(got))
			}
			if flawed := name != "range beside the flaw"; flawed && strings.Count(log.String(), "level=ERROR") != 1 {
				t.Errorf("want it logged once:\n%s", log.String())
			}
		})
	}
}

func TestContentThatIsGoneIsAnErrorOfTheServer(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	id := f.mustUpload(goodLine)
	clear(f.objects.objects)
	if got := faultOf(t, f.do("GET", "/v1/files/"+id+"/content", "")); got.Status != 500 || got.Code != "content_unavailable" || !strings.Contains(got.Message, "req_") {
		t.Errorf("fault %+v", got)
	}
}

func TestContentOfAFileThatIsAStoredManifest(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	blobs := blob.NewStore(f.objects, blob.Options{})
	data, err := blobs.Put(t.Context(), "files/data", strings.NewReader("0123456789"))
	if err != nil {
		t.Fatal(err)
	}
	m := batch.Manifest{}.Append(data, 5, 5).Append(data, 0, 5)
	stored, err := blobs.Put(t.Context(), "manifests/m", bytes.NewReader(batch.EncodeManifest(m)))
	if err != nil {
		t.Fatal(err)
	}
	err = f.store.CreateFile(t.Context(), batch.File{
		ID: "file-m", Tenant: ours, Dialect: "openai", Name: `a "quoted"; é.jsonl`, Purpose: batch.PurposeBatchOutput,
		Bytes: m.Size(), CreatedAt: now, ContentBlob: stored,
	})
	if err != nil {
		t.Fatal(err)
	}
	w := f.do("GET", "/v1/files/file-m/content", "", "Accept", "application/binary")
	if got := f.want(w, 200); got != "5678901234" {
		t.Errorf("content %q", got)
	}
	const want = `attachment; filename="a _quoted__ _.jsonl"; filename*=UTF-8''a%20%22quoted%22%3B%20%C3%A9.jsonl`
	if got := w.Header().Get("Content-Disposition"); got != want {
		t.Errorf("Content-Disposition %s, want %s", got, want)
	}
}

func TestI24DeletedFileIsHiddenAtOnceAndItsBytesStay(t *testing.T) {
	t.Parallel()
	t.Run("a file that a batch reads is hidden at once and held", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, nil)
		file := f.mustUpload(goodLine)
		b := f.mustCreate(file)
		f.want(f.do("DELETE", "/v1/files/"+file, ""), 200)
		f.want(f.do("GET", "/v1/files/"+file, ""), 404)
		f.want(f.do("GET", "/v1/files/"+file+"/content", ""), 404)
		if _, err := f.store.InputFile(t.Context(), b); err != nil {
			t.Errorf("the batch lost its input: %v", err)
		}
		if f.objects.count() != 1 {
			t.Error("the bytes are gone")
		}
	})
	t.Run("a download under way finishes", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, nil)
		whole := f.manyExtents("file-many")
		server := httptest.NewServer(f.handler)
		t.Cleanup(server.Close)
		resp, err := server.Client().Get(server.URL + "/v1/files/file-many/content")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		f.want(f.do("DELETE", "/v1/files/file-many", ""), 200)
		if got, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(got, whole) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
}

func TestExpiredFileIsAbsent(t *testing.T) {
	t.Parallel()
	clock := now
	f := newFixture(t, func(o *options) { o.Now = func() time.Time { return clock }; o.Mounts[0].InputTTL = time.Hour })
	id := f.mustUpload(goodLine)
	clock = now.Add(time.Hour)
	for _, path := range []string{"/v1/files/" + id, "/v1/files/" + id + "/content"} {
		f.want(f.do("GET", path, ""), 404)
	}
	if got := faultOf(t, f.do("POST", "/v1/batches", createBody(id))); got.Param != "input_file_id" {
		t.Errorf("fault %+v", got)
	}
}

// deadlines is a response writer that remembers the first write deadline and the last one.
type deadlines struct {
	*httptest.ResponseRecorder
	set         int
	first, last time.Time
}

func (d *deadlines) SetWriteDeadline(t time.Time) error {
	if d.set == 0 {
		d.first = t
	}
	d.set++
	d.last = t
	return nil
}

func TestI25SlowReaderHasADeadlineForEachPiece(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *options) { o.SendTimeout = time.Minute })
	f.manyExtents("file-many")
	w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	began := time.Now()
	f.handler.ServeHTTP(w, httptest.NewRequest("GET", "/v1/files/file-many/content", nil))
	if w.Code != 200 || w.set < 3 || !w.first.IsZero() {
		t.Errorf("status %d, %d deadlines, the first one %v: that of the answer before must end", w.Code, w.set, w.first)
	}
	if left := w.last.Sub(began); left < time.Minute || left > 2*time.Minute {
		t.Errorf("the end of the answer has %s, want about a minute", left)
	}
}
